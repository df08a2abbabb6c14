// The steps in the order of the graph, each with its attempts on the time axis.
// What the position does not know yet is only an outline; the status words come from the server's state.

import { byId, frame, h } from "./dom.js";
import { Scale } from "./scale.js";
import { VirtualList } from "./virtual.js";
import { duration, glyph, worded } from "./words.js";

const LEVELS_SHOWN = 6;
const CHARACTER_PX = 6.7;

export class Gantt {
  constructor({ onselect, onseek }) {
    this.box = byId("rows");
    this.lane = byId("lane-head");
    Object.assign(this, { onselect, onseek, nodes: [], bars: new Map(), statuses: new Map(), selected: null, seq: 0, scale: null, timeline: null, at: null });
    this.list = new VirtualList(this.box, { row: () => parseFloat(getComputedStyle(this.box).getPropertyValue("--row")), draw: (i) => this.#row(i) });
    this.line = h("div", { class: "playhead" });
    this.knob = h("div", { class: "playhead-knob" });
    this.redraw = frame(() => this.#measure());
    new ResizeObserver(this.redraw).observe(this.lane);
    this.box.addEventListener("click", (event) => {
      const row = event.target.closest("[data-index]");
      if (row) this.onselect(this.#name(Number(row.dataset.index)));
    });
    this.#drag();
  }

  setGraph(run, nodes) {
    this.run = run;
    this.nodes = nodes;
    this.follow = new Map(nodes.map((node) => [node.step, []]));
    for (const node of nodes) for (const name of [...node.needs, ...node.after]) this.follow.get(name)?.push(node.step);
    this.list.resize(nodes.length + 1);
  }

  setTimeline(timeline, until) {
    this.timeline = timeline;
    this.until = until;
    this.coarse = timeline.bars.some((bar) => bar.merged > 1);
    this.bars = Map.groupBy ? Map.groupBy(timeline.bars, (bar) => bar.step) : group(timeline.bars);
    this.redraw();
  }

  setState(state) {
    this.state = state;
    this.statuses = new Map(state.steps.map((step) => [step.step, step]));
    this.list.refresh();
  }

  setPosition(seq, at) {
    this.seq = seq;
    this.at = at;
    this.#placeLine();
    this.list.refresh();
  }

  select(step, { reveal }) {
    this.selected = step;
    this.list.refresh();
    if (reveal) this.list.reveal(this.index(step));
  }

  index = (step) => (step === null ? 0 : 1 + this.nodes.findIndex((node) => node.step === step));
  neighbour(step, by) {
    const next = Math.min(Math.max(this.index(step) + by, 0), this.nodes.length);
    return this.#name(next);
  }

  #name = (index) => (index === 0 ? null : this.nodes[index - 1].step);

  #offset = (ns) => Number(BigInt(ns) - this.origin);

  #measure() {
    if (!this.timeline?.start) return;
    this.origin = BigInt(this.timeline.start);
    const end = this.#offset(this.until);
    const spans = this.timeline.bars.map((bar) => [this.#offset(bar.scheduled), bar.finished ? this.#offset(bar.finished) : end]);
    this.scale = new Scale(spans, end, this.lane.clientWidth);
    this.box.style.setProperty("--lane", `${this.lane.clientWidth}px`);
    this.lane.replaceChildren(
      ...this.scale.ticks(this.origin).map((tick) => place(h("span", { class: "tick mono" }, tick.text), tick.x)),
      ...this.scale.folds().map((fold) => place(h("span", { class: "fold", title: `${fold.text} without events, folded` }, "⋯"), fold.x, fold.width)),
      this.knob,
    );
    this.box.append(this.line);
    this.#placeLine();
    this.list.refresh();
  }

  #placeLine() {
    const shown = this.scale && this.at;
    this.line.hidden = this.knob.hidden = !shown;
    if (!shown) return;
    const x = this.scale.x(this.#offset(this.at));
    this.knob.style.transform = `translateX(${x}px)`;
    this.box.style.setProperty("--playhead", `${x}px`);
    this.line.style.height = `${Math.max(this.box.clientHeight, this.list.count * this.list.rowHeight())}px`;
  }

  #row(index) {
    const step = this.#name(index);
    const node = this.nodes[index - 1];
    const view = step === null ? null : this.statuses.get(step);
    const status = step === null ? this.state?.phase ?? this.run.phase : worded(view);
    const current = this.state?.event?.step === step && step !== null;
    const row = h("div", {
      class: `row${step === this.selected ? " is-selected" : ""}${current ? " is-current" : ""}${step === null ? " is-run" : ""}`,
      role: "option", id: `row-${index}`, "data-index": index, "data-step": step ?? "", "data-status": status, "aria-selected": step === this.selected,
      "aria-setsize": this.nodes.length + 1, "aria-posinset": index + 1,
    },
    h("div", { class: "cell" },
      h("span", { class: `glyph is-${status}`, "aria-hidden": "true" }, glyph(status)),
      h("span", { class: "label", title: step ?? this.run.workflow }, step ?? this.run.workflow),
      this.#kin(step),
      view?.attempt > 1 && h("span", { class: "badge mono", title: `attempt ${view.attempt}` }, `×${view.attempt}`),
      h("span", { class: `word is-${status}` }, status)),
    h("div", { class: "lane" }, this.scale ? this.#lane(step) : null));
    if (node) row.querySelector(".cell").style.paddingLeft = `${12 + Math.min(node.level, LEVELS_SHOWN) * 12}px`;
    return row;
  }

  // What the selected step waits for, and who waits for it.
  #kin(step) {
    if (step === null || this.selected === null || step === this.selected) return null;
    const chosen = this.nodes.find((node) => node.step === this.selected);
    if (chosen?.needs.includes(step) || chosen?.after.includes(step)) return h("span", { class: "kin", title: `${this.selected} needs this` }, "↓ feeds");
    if (this.follow.get(this.selected)?.includes(step)) return h("span", { class: "kin", title: `this needs ${this.selected}` }, "↑ needs");
    return null;
  }

  #lane(step) {
    const folds = this.scale.folds().map((fold) => place(h("i", { class: "fold-band" }), fold.x, fold.width));
    if (step === null) return [...folds, ...this.#runBar()];
    return [...folds, ...(this.coarse ? this.#told(step) : this.bars.get(step) ?? []).flatMap((bar, i, all) => this.#bar(bar, all[i + 1]))];
  }

  // Where bars were merged each row draws what the state knows of it: its latest attempt, and no outline of later ones.
  #told(step) {
    const view = this.statuses.get(step);
    if (!view?.scheduled) return [];
    const seq = (time) => (time ? this.seq : null);
    const { attempt, scheduled, started = null, finished = null, status } = view;
    return [{ step, attempt, merged: 1, scheduled, scheduled_seq: this.seq, started, started_seq: seq(started), finished, finished_seq: seq(finished),
      status: status === "retrying" ? "failed" : status, waits_for: view.waits_for }];
  }

  #runBar() {
    const { start, head_seq: head } = this.timeline;
    const known = this.seq >= head ? this.until : this.at ?? start;
    return [this.#box("bar-run", start, known, null)];
  }

  #bar(bar, next) {
    const scheduled = bar.scheduled_seq <= this.seq;
    const begun = bar.started_seq !== null && bar.started_seq <= this.seq;
    const over = bar.finished_seq !== null && bar.finished_seq <= this.seq;
    const end = bar.finished ?? this.until;
    const begin = bar.started ?? bar.scheduled;
    const found = [];
    if (!over) found.push(this.#box("bar-ghost", begin, end, null));
    if (over && next) found.push(this.#box("bar-wait", end, next.scheduled, "waiting for the next attempt"));
    if (scheduled && bar.started !== null) found.push(this.#box("bar-queue", bar.scheduled, begin, null));
    if (begun) {
      const until = over ? end : this.seq >= this.timeline.head_seq ? this.until : max(begin, this.at);
      const took = duration(BigInt(until) - BigInt(begin));
      const tone = over ? bar.status : bar.waits_for ? "waiting" : "running";
      const box = this.#box(`bar is-bar-${tone}`, begin, until, `${bar.step}, attempt ${bar.attempt}: ${tone}${tone === "waiting" ? ` (${bar.waits_for})` : ""}, ${took}`);
      found.push(box);
      this.#label(found, box, `${tone === "failed" ? "✖\uFE0E " : ""}${took}`, this.scale.x(this.#offset(begin)), this.scale.x(this.#offset(until)), next);
    }
    return found;
  }

  // Inside where there is room, else behind the bar, else only in its title.
  #label(found, box, text, left, right, next) {
    const width = text.length * CHARACTER_PX + 12;
    const limit = next ? this.scale.x(this.#offset(next.scheduled)) : this.scale.width;
    if (right - left > width) box.append(h("span", { class: "bar-text mono" }, text));
    else if (right + width < limit) found.push(place(h("span", { class: "took mono" }, text), right + 6));
  }

  #box(name, from, to, title) {
    const x = this.scale.x(this.#offset(from));
    return place(h("span", { class: name, title }), x, Math.max(this.scale.x(this.#offset(to)) - x, name === "bar-queue" ? 0 : 3));
  }

  #drag() {
    let dragging = false;
    const seek = (event) => {
      if (!this.scale) return;
      const x = event.clientX - this.lane.getBoundingClientRect().left;
      const time = this.origin + BigInt(Math.round(this.scale.time(x)));
      this.onseek(nearest(this.timeline.marks, time), { jump: event.type === "pointerdown" });
    };
    this.lane.addEventListener("pointerdown", (event) => {
      dragging = event.button === 0;
      this.lane.setPointerCapture(event.pointerId);
      if (dragging) seek(event);
    });
    this.lane.addEventListener("pointermove", (event) => dragging && seek(event));
    for (const name of ["pointerup", "pointercancel"]) this.lane.addEventListener(name, () => (dragging = false));
  }
}

function nearest(marks, time) {
  let best = null;
  for (const mark of marks) {
    const gap = BigInt(mark.at) > time ? BigInt(mark.at) - time : time - BigInt(mark.at);
    if (best === null || gap <= best.gap) best = { gap, seq: mark.last_seq };
  }
  return best?.seq ?? 1;
}

function place(element, x, width) {
  element.style.left = `${x}px`;
  if (width !== undefined) element.style.width = `${width}px`;
  return element;
}

function group(bars) {
  const found = new Map();
  for (const bar of bars) found.set(bar.step, [...(found.get(bar.step) ?? []), bar]);
  return found;
}

const max = (a, b) => (b !== null && BigInt(b) > BigInt(a) ? b : a);
