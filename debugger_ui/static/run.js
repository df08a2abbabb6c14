// One run: the position is the model, everything else follows it.
// Whatever stands at a position came from the server's fold up to there; nothing is inferred from later events.

import { Api, Latest, skewMs } from "./api.js";
import { Asks } from "./asks.js";
import { byId, h } from "./dom.js";
import { Events } from "./events.js";
import { Forking } from "./forking.js";
import { Gantt } from "./gantt.js";
import { Inspector } from "./inspector.js";
import { Live } from "./live.js";
import { drawPill } from "./pill.js";
import { Player } from "./player.js";
import { Scrubber } from "./scrubber.js";
import { drawState } from "./whole.js";
import { clock, glyph, thousands } from "./words.js";

const FINAL = ["completed", "failed", "cancelled", "dead"];
const TABS = ["timeline", "events", "json"];
const STATES_KEPT = 400;
const TIMELINE_EVERY_MS = 300;
const SAY_EVERY_MS = 600;

const page = byId("run");
const api = new Api(page.dataset.run);
const model = { head: Number(page.dataset.head), phase: page.dataset.phase, seq: 0, step: null, tab: "timeline", following: true, connection: "", detail: null, timeline: null, state: null, seen: 0 };

const scrubber = new Scrubber({ onseek: (seq, how) => goTo(seq, how) });
const gantt = new Gantt({ onselect: (step) => select(step, {}), onseek: (seq, how) => goTo(seq, how) });
const events = new Events(api, { onseek: (seq, how) => goTo(seq, how) });
const forking = new Forking(api, { onseek: (seq) => goTo(seq, { jump: true }) });
const inspector = new Inspector({ onselect: (step) => select(step, { reveal: true }), forking });
const player = new Player(model, { goTo, markAt });
const asks = new Asks(api, { onerror: showError });
const states = new Latest((seq, step) => api.state(seq, step), { keep: STATES_KEPT, onanswer: showState, onerror: showError });

// ── position ─────────────────────────────────────────────────────────────────────────────────────

function goTo(seq, { jump = false, quiet = false } = {}) {
  const to = Math.min(Math.max(seq, model.head ? 1 : 0), model.head);
  model.following = to === model.head;
  if (model.following) model.seen = model.head;
  if (to !== model.seq || !model.state) {
    model.seq = to;
    if (!quiet) remember(jump);
    draw();
    ask();
  }
  pill();
}

function ask() {
  page.setAttribute("aria-busy", "true");
  states.want(`${model.seq} ${model.step ?? ""}`, model.seq, model.step);
}

function showState(state) {
  model.state = state;
  page.removeAttribute("aria-busy");
  note();
  gantt.setState(state);
  inspector.show(state, model.detail, model.step);
  byId("run").dataset.seq = state.seq;
  if (model.tab === "json") drawState(model.state);
  draw();
}

function note() {
  byId("note").textContent = gantt.coarse ? "More steps than a drawing holds: later attempts are not outlined." : "";
}

function showError(error) {
  page.removeAttribute("aria-busy");
  byId("note").textContent = error.message;
  if (!model.state) inspector.say(error.message);
}

function select(step, { reveal = false, quiet = false }) {
  model.step = step;
  gantt.select(step, { reveal });
  if (!quiet) remember(true);
  ask();
}

function draw() {
  const event = model.state?.seq === model.seq ? model.state.event : events.find(model.seq);
  const at = event?.at ?? markAt(model.seq);
  const what = event ? `${event.kind}${event.step ? ` ${event.step}` : ""}` : "";
  const text = model.head ? `event ${thousands(model.seq)} of ${thousands(model.head)}${at ? `, ${clock(at, 0)}` : ""}${what ? `, ${what}` : ""}` : "no events yet";
  byId("where").replaceChildren(h("b", {}, thousands(model.seq)), h("span", { class: "muted" }, ` / ${thousands(model.head)}`),
    h("span", { class: "w-at" }, at ? clock(at) : ""), h("span", { class: "w-what" }, what));
  scrubber.setPosition(model.seq, text);
  gantt.setPosition(model.seq, model.following && !FINAL.includes(model.phase) && model.timeline?.start ? until() : at);
  events.setPosition(model.seq);
  for (const id of ["first", "back", "back100"]) byId(id).disabled = model.seq <= 1;
  for (const id of ["forward", "forward100", "last"]) byId(id).disabled = model.seq >= model.head && !(id === "last" && !FINAL.includes(model.phase) && !model.following);
  say(text);
}

function markAt(seq) {
  return model.timeline?.marks.find((mark) => mark.last_seq >= seq)?.at ?? null;
}

let saying = null;
function say(text) {
  // the slider speaks for itself when it has the focus
  if (document.activeElement === scrubber.box) return;
  clearTimeout(saying);
  saying = setTimeout(() => (byId("announce").textContent = text), SAY_EVERY_MS);
}

// ── errors ───────────────────────────────────────────────────────────────────────────────────────

function nextError(by) {
  const bad = (model.timeline?.marks ?? []).filter((mark) => mark.tone === "failed");
  const found = by > 0 ? bad.find((mark) => mark.last_seq > model.seq) : bad.findLast((mark) => mark.last_seq < model.seq);
  if (!found) {
    byId("note").textContent = by > 0 ? "No error after this point." : "No error before this point.";
    return;
  }
  goTo(found.last_seq, { jump: true });
  const failed = model.timeline.bars.find((bar) => bar.finished_seq === found.last_seq);
  if (failed) select(failed.step, { reveal: true });
}

// ── live ─────────────────────────────────────────────────────────────────────────────────────────

function pill() {
  drawPill(model, FINAL.includes(model.phase));
}

function phase() {
  byId("phase").replaceChildren(h("span", { class: `status is-${model.phase}` }, h("span", { class: "glyph", "aria-hidden": "true" }, glyph(model.phase)), model.phase));
  byId("cancel").hidden = FINAL.includes(model.phase);
  forking.setPhase(model.phase);
}

function onUpdate(update) {
  const following = model.following;
  model.head = Math.max(model.head, update.head_seq);
  model.phase = update.phase;
  events.setHead(model.head);
  events.add(update.events);
  scrubber.setHistory(model.head, model.timeline?.marks ?? []);
  phase();
  redraw();
  asks.refresh();
  if (following && !player.playing) goTo(model.head, { quiet: true });
  else draw();
  pill();
}

let timer = null;
function redraw() {
  timer ??= setTimeout(async () => {
    timer = null;
    await loadTimeline().catch(showError);
  }, TIMELINE_EVERY_MS);
}

async function loadTimeline() {
  model.timeline = await api.timeline();
  scrubber.setHistory(model.head, model.timeline.marks);
  gantt.setTimeline(model.timeline, until());
  note();
  draw();
}

function until() {
  if (FINAL.includes(model.phase)) return model.timeline.end;
  const now = String(BigInt(Math.round(Date.now() + skewMs)) * 1_000_000n);
  return model.timeline.end && BigInt(now) < BigInt(model.timeline.end) ? model.timeline.end : now;
}

const AGAIN_MS = 1000;

async function onEnd() {
  clearInterval(ticking);
  asks.end();
  try {
    model.detail = await api.detail();
    await loadTimeline();
  } catch (error) {
    showError(error);
    setTimeout(onEnd, AGAIN_MS); // the end is known; what the page says of it waits for the connection
    return;
  }
  if (model.state) inspector.show(model.state, model.detail, model.step);
  pill();
}

// ── address ──────────────────────────────────────────────────────────────────────────────────────

function remember(jump) {
  const words = new URLSearchParams();
  if (!model.following) words.set("seq", model.seq);
  if (model.step) words.set("step", model.step);
  if (model.tab !== "timeline") words.set("tab", model.tab);
  const hash = `#${words}`;
  if (hash === (location.hash || "#")) return;
  const to = words.size ? hash : location.pathname;
  if (jump) history.pushState(null, "", to);
  else history.replaceState(null, "", to);
}

function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  const step = words.get("step");
  model.step = model.detail.steps.some((each) => each.step === step) ? step : null;
  tab(TABS.includes(words.get("tab")) ? words.get("tab") : "timeline", true);
  gantt.select(model.step, { reveal: true });
  const seq = Number(words.get("seq"));
  model.state = null;
  goTo(seq >= 1 ? seq : model.head, { quiet: true });
}

function tab(name, quiet = false) {
  model.tab = name;
  page.dataset.tab = name;
  for (const each of TABS) {
    const button = byId(`tab-${each}`);
    button.setAttribute("aria-selected", each === name);
    button.tabIndex = each === name ? 0 : -1;
  }
  byId("events").hidden = name !== "events";
  byId("json").hidden = name !== "json";
  if (name === "events") events.setPosition(model.seq);
  if (name === "json") drawState(model.state);
  if (!quiet) remember(false);
}

// ── keys and buttons ─────────────────────────────────────────────────────────────────────────────

const MOVES = {
  ArrowRight: (event) => goTo(model.seq + (event.shiftKey ? 100 : 1)),
  ArrowLeft: (event) => goTo(model.seq - (event.shiftKey ? 100 : 1)),
  PageDown: () => goTo(model.seq + 100),
  PageUp: () => goTo(model.seq - 100),
  Home: () => goTo(1, { jump: true }),
  End: () => goTo(model.head, { jump: true }),
  " ": () => player.toggle(),
};
const LETTERS = {
  j: () => select(gantt.neighbour(model.step, 1), { reveal: true }),
  k: () => select(gantt.neighbour(model.step, -1), { reveal: true }),
  e: () => nextError(1),
  E: () => nextError(-1),
  "?": () => byId("keys").showModal(),
};
const UP_DOWN = { ArrowDown: 1, ArrowUp: -1 };

addEventListener("keydown", (event) => {
  const on = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const timeline = [byId("scrub"), byId("rows"), byId("events"), document.body, byId("main")].includes(on);
  let act = timeline ? MOVES[event.key] ?? LETTERS[event.key] : null;
  if (on === byId("rows") && event.key in UP_DOWN) act = () => select(gantt.neighbour(model.step, UP_DOWN[event.key]), { reveal: true });
  if (on === byId("events") && event.key in UP_DOWN) act = () => goTo(model.seq + UP_DOWN[event.key]);
  if (on.getAttribute?.("role") === "tab" && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
    act = () => {
      const next = TABS[(TABS.indexOf(model.tab) + (event.key === "ArrowRight" ? 1 : 2)) % 3];
      tab(next);
      byId(`tab-${next}`).focus();
    };
  }
  if (!act) return;
  event.preventDefault();
  if (event.key !== " ") player.stop();
  act(event);
});

const BUTTONS = {
  first: MOVES.Home, last: MOVES.End, live: MOVES.End, play: MOVES[" "],
  back: () => goTo(model.seq - 1), forward: () => goTo(model.seq + 1),
  back100: () => goTo(model.seq - 100), forward100: () => goTo(model.seq + 100),
  error: () => nextError(1), help: LETTERS["?"],
  "tab-timeline": () => tab("timeline"), "tab-events": () => tab("events"), "tab-json": () => tab("json"),
};
for (const [id, act] of Object.entries(BUTTONS)) {
  byId(id).addEventListener("click", (event) => {
    if (id !== "play") player.stop();
    act(event);
  });
}

byId("copy").addEventListener("click", async ({ currentTarget: button }) => {
  const text = button.dataset.copy;
  const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
  byId("announce").textContent = button.textContent = done ? "Copied" : text;
  if (done) setTimeout(() => (button.textContent = "Copy replay"), 1500);
});
byId("cancel").addEventListener("click", () => byId("confirm").showModal());
byId("confirm").addEventListener("close", async ({ target }) => {
  if (target.returnValue !== "yes") return;
  target.returnValue = "";
  await api.cancel("asked for in the debugger").catch(showError);
});
addEventListener("popstate", recall);
addEventListener("hashchange", recall);

// ── beginning ────────────────────────────────────────────────────────────────────────────────────

let ticking = null;
async function begin() {
  inspector.say("Loading…");
  try {
    [model.detail] = await Promise.all([api.detail(), loadTimeline(), forking.load()]);
  } catch (error) {
    return showError(error);
  }
  model.head = Math.max(model.head, model.detail.run.head_seq, model.timeline.head_seq);
  model.phase = model.detail.run.phase;
  gantt.setGraph(model.detail.run, model.detail.steps);
  events.setHead(model.head);
  scrubber.setHistory(model.head, model.timeline.marks);
  gantt.setTimeline(model.timeline, until());
  phase();
  recall();
  if (FINAL.includes(model.phase)) return pill();
  asks.refresh();
  new Live(api, model.head, { onupdate: onUpdate, onend: onEnd, onstate: (state) => {
    model.connection = state;
    pill();
  } });
  ticking = setInterval(() => {
    if (!model.timeline.start) return;
    gantt.setTimeline(model.timeline, until());
    draw();
  }, 1000);
}

begin();
