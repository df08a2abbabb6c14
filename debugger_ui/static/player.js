// Playing a run: one event after the other, at a speed or as far apart as they were.

import { byId } from "./dom.js";

const WAIT_MIN_MS = 10;
const WAIT_MAX_MS = 3000;

export class Player {
  // `model` is the page's, `goTo` moves its position, `markAt` says when an event was.
  constructor(model, { goTo, markAt }) {
    this.model = model;
    this.goTo = goTo;
    this.markAt = markAt;
    this.playing = null;
  }

  toggle() {
    if (this.playing) return this.stop();
    if (this.model.seq >= this.model.head) this.goTo(1, { jump: true });
    this.show(true);
    this.playing = setTimeout(() => this.step(), 0);
  }

  step() {
    const { model } = this;
    if (model.seq >= model.head) return this.stop();
    const before = this.markAt(model.seq);
    this.goTo(model.seq + 1);
    const speed = byId("speed").value;
    const wait = speed === "real" ? Math.max(0, Number(BigInt(this.markAt(model.seq + 1) ?? before) - BigInt(this.markAt(model.seq) ?? before)) / 1e6) : 1000 / Number(speed);
    this.playing = setTimeout(() => this.step(), Math.min(Math.max(wait, WAIT_MIN_MS), WAIT_MAX_MS));
  }

  stop() {
    clearTimeout(this.playing);
    this.playing = null;
    this.show(false);
  }

  show(playing) {
    byId("play").setAttribute("aria-pressed", String(playing));
    byId("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  }
}
