// The history as a list of any length: pages are fetched when they come into sight.

import { byId, h } from "./dom.js";
import { VirtualList } from "./virtual.js";
import { clock, exact, glyph, thousands } from "./words.js";

const PAGE = 200;
const PAGES_KEPT = 50;
const SHAPES = { completed: "completed", failed: "failed", retried: "retrying", started: "running", scheduled: "scheduled", cancelled: "cancelled" };

export class Events {
  constructor(api, { onseek }) {
    this.api = api;
    this.box = byId("events");
    this.pages = new Map();
    this.asked = new Set();
    this.seq = 0;
    this.list = new VirtualList(this.box, { row: () => parseFloat(getComputedStyle(this.box).getPropertyValue("--row")), draw: (i) => this.#row(i + 1) });
    this.box.addEventListener("click", (event) => {
      const row = event.target.closest("[data-seq]");
      if (row) onseek(Number(row.dataset.seq), { jump: true });
    });
  }

  setHead(head) {
    this.list.resize(head);
  }

  add(events) {
    for (const event of events) this.#page(event.seq)?.set(event.seq, event);
    this.list.refresh();
  }

  setPosition(seq) {
    this.seq = seq;
    this.box.setAttribute("aria-activedescendant", `event-${seq}`);
    if (this.box.hidden) return;
    this.list.refresh();
    if (seq) this.list.reveal(seq - 1);
  }

  find = (seq) => this.pages.get(Math.floor((seq - 1) / PAGE))?.get(seq);

  #page = (seq) => this.pages.get(Math.floor((seq - 1) / PAGE));

  async #fetch(number) {
    if (this.asked.has(number)) return;
    this.asked.add(number);
    try {
      const { events } = await this.api.events(number * PAGE, PAGE);
      const page = this.pages.get(number) ?? new Map();
      events.forEach((event) => page.set(event.seq, event));
      this.pages.set(number, page);
      if (this.pages.size > PAGES_KEPT) this.pages.delete(this.pages.keys().next().value);
      this.list.refresh();
    } finally {
      this.asked.delete(number);
    }
  }

  #row(seq) {
    const event = this.find(seq);
    if (!event) this.#fetch(Math.floor((seq - 1) / PAGE)).catch(() => {});
    const shape = SHAPES[event?.kind.split("_").at(-1)];
    return h("div", {
      class: `event${seq === this.seq ? " is-here" : ""}${seq > this.seq ? " is-later" : ""}`,
      role: "option", id: `event-${seq}`, "data-seq": seq, "aria-selected": seq === this.seq, "aria-setsize": this.list.count, "aria-posinset": seq,
    },
    h("span", { class: "mono num e-seq" }, thousands(seq)),
    h("span", { class: "mono e-at", title: event ? exact(event.at) : null }, event ? clock(event.at) : "…"),
    h("span", { class: `glyph is-${shape ?? "pending"}`, "aria-hidden": "true" }, shape ? glyph(shape) : "·"),
    h("span", { class: "e-kind" }, event?.kind ?? ""),
    h("span", { class: "e-step" }, event?.step ?? "", event?.attempt > 1 ? h("span", { class: "badge mono" }, `×${event.attempt}`) : null),
    h("span", { class: "e-note muted" }, event?.note ?? ""));
  }
}
