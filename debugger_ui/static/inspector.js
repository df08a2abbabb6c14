// What was true of the selected step, or of the run, at the position.

import { byId, h } from "./dom.js";
import { jsonView } from "./json.js";
import { bytes, clock, duration, exact, glyph, worded } from "./words.js";

export class Inspector {
  constructor({ onselect, forking }) {
    this.box = byId("inspector");
    this.onselect = onselect;
    this.forking = forking;
    this.closed = new Set();
  }

  show(state, detail, step) {
    const view = state.steps.find((each) => each.step === step);
    const top = this.box.scrollTop;
    this.box.replaceChildren(...(view ? this.#step(state, detail, view) : this.#run(state, detail)));
    this.box.scrollTop = this.last === step ? top : 0;
    this.last = step;
  }

  say(text) {
    this.box.replaceChildren(h("p", { class: "nothing" }, text));
  }

  #run(state, detail) {
    const tree = this.forking.tree();
    return [
      title(state.phase, detail.run.workflow),
      state.head_seq === 0 && h("p", { class: "nothing" }, "No worker has claimed this run yet. If none is up, start one: ", h("code", {}, "kronos worker MODULE")),
      facts([
        ["as of", `event ${state.seq}`],
        ["run", detail.run.id],
        ["created", stamp(detail.run.created_at)],
        ["started", state.seq ? stamp(detail.run.started_at) : null],
        ["ended", ["completed", "failed", "cancelled", "dead"].includes(state.phase) ? stamp(detail.run.finished_at) : null],
        ["definition", short(detail.definition)],
        ["fork of", this.forking.shared],
      ]),
      state.failure && this.#failure(state.failure),
      this.#value("Result", state.output, "The run has no result at this point."),
      this.#value("Input", detail.input, ""),
      tree && this.#section("Lineage", "", tree),
    ].filter(Boolean);
  }

  #step(state, detail, view) {
    const node = detail.steps.find((each) => each.step === view.step);
    const failed = view.failure && view.status !== "completed";
    return [
      title(worded(view), view.step, view.attempt ? `attempt ${view.attempt}${node.retries ? ` of ${node.retries + 1}` : ""}` : null),
      view.report && h("a", { class: "button report", href: view.report, target: "_blank", rel: "noopener" }, "Open report"),
      this.forking.button(view),
      view.status === "pending" && h("p", { class: "nothing" }, this.#waiting(state, node)),
      facts([
        ["waits for", view.waits_for],
        ["scheduled", view.scheduled && stamp(view.scheduled)],
        ["started", view.started && stamp(view.started)],
        ["waited", view.started && view.scheduled && BigInt(view.started) > BigInt(view.scheduled) && duration(BigInt(view.started) - BigInt(view.scheduled))],
        ["finished", view.finished && stamp(view.finished)],
        ["took", view.finished && view.started && duration(BigInt(view.finished) - BigInt(view.started))],
        ["next try", view.retry_due && stamp(view.retry_due)],
        ["worker", view.worker],
        ["code", view.code && short(view.code)],
        ["taken over", view.reused_from && h("a", { href: `/runs/${view.reused_from}`, title: view.reused_from }, view.reused_from.slice(-12))],
        ["given", view.replaced && "by whoever forked: not executed"],
        ["function", node.target],
        ["needs", this.#links([...node.needs, ...node.after])],
      ]),
      failed && this.#failure(view.failure),
      this.#value("Output", view.output, view.status === "pending" ? null : "No output at this point."),
      this.#value("Input", view.input, null, origin(view)),
      view.attempts?.length > 1 && this.#section("Attempts", String(view.attempts.length), attempts(view.attempts)),
      view.effects?.length && this.#section("Effects", String(view.effects.length), view.effects.map(effect)),
    ].filter(Boolean);
  }

  #waiting(state, node) {
    const missing = [...node.needs, ...node.after].filter((name) => state.steps.find((step) => step.step === name)?.status !== "completed");
    return missing.length ? `Not scheduled at this point: waits for ${missing.join(", ")}.` : "Not scheduled at this point.";
  }

  #links(names) {
    if (!names.length) return null;
    return h("span", { class: "links" }, names.map((name) => h("button", { class: "link", onclick: () => this.onselect(name) }, name)));
  }

  #failure(failure) {
    const trace = failure.traceback && h("pre", { class: "trace" }, failure.traceback);
    return this.#section("Error", failure.cause === "error" ? "" : failure.cause, [
      h("p", { class: "failure" }, h("b", {}, failure.type), " ", failure.message), trace].filter(Boolean), "is-error");
  }

  #value(name, payload, absent, aside = null) {
    if (!payload) return absent ? this.#section(name, "", [h("p", { class: "nothing" }, absent)]) : null;
    const cut = payload.truncated && h("p", { class: "cut" }, `Shown: the first part of ${bytes(payload.bytes)}. `, h("a", { href: payload.href, target: "_blank", rel: "noopener" }, "Open all of it"));
    return this.#section(name, bytes(payload.bytes), [aside, jsonView(payload.json), cut].filter(Boolean), "", payload.href);
  }

  #section(name, size, body, tone = "", href = null) {
    const details = h("details", { class: `section ${tone}`, open: !this.closed.has(name) },
      h("summary", {}, h("span", { class: "s-name" }, name), h("span", { class: "s-size mono" }, size)),
    href && h("a", { class: "s-link", href, target: "_blank", rel: "noopener", "aria-label": `${name} as JSON` }, "JSON"), body);
    details.addEventListener("toggle", () => (details.open ? this.closed.delete(name) : this.closed.add(name)));
    return details;
  }
}

const short = (hash) => h("abbr", { title: hash }, hash.slice(0, 12));
const stamp = (ns) => (ns ? h("time", { title: exact(ns) }, clock(ns)) : null);

function title(status, name, aside) {
  return h("header", { class: "i-head" },
    h("h2", {}, name),
    h("span", { class: `status is-${status}` }, h("span", { class: "glyph", "aria-hidden": "true" }, glyph(status)), status),
    aside && h("span", { class: "muted" }, aside));
}

function facts(rows) {
  return h("dl", { class: "facts" }, rows.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
    .flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: "mono" }, value)]));
}

function origin(view) {
  const text = view.input_origin === "derived" ? "derived: bound from what is known here, not recorded yet"
    : view.input_matches ? "recorded ✔\uFE0E equals the hash in the history" : view.input_matches === false ? "✖\uFE0E differs from the hash in the history" : "recorded";
  return h("p", { class: `origin${view.input_matches === false ? " bad" : ""}` }, text);
}

function attempts(all) {
  return [h("table", { class: "attempts" }, h("thead", {}, h("tr", {}, ["try", "status", "started", "took"].map((name, i) => h("th", { scope: "col", class: i === 0 || i === 3 ? "num" : null }, name)))),
    h("tbody", {}, all.flatMap((each) => [
      h("tr", {}, h("td", { class: "mono num" }, String(each.attempt)),
        h("td", {}, h("span", { class: `status is-${each.status}` }, h("span", { class: "glyph", "aria-hidden": "true" }, glyph(each.status)), each.status)),
        h("td", { class: "mono" }, each.started ? clock(each.started) : ""),
        h("td", { class: "mono num" }, each.finished && each.started ? duration(BigInt(each.finished) - BigInt(each.started)) : "")),
      each.failure && h("tr", { class: "why" }, h("td", {}), h("td", { colspan: 3 }, `${each.failure.type}: ${each.failure.message}`)),
    ].filter(Boolean))))];
}

function effect(each) {
  return h("div", { class: "effect" }, h("b", { class: "mono" }, each.name), each.key ? h("span", { class: "muted mono" }, ` ${each.key}`) : null, jsonView(each.value.json));
}
