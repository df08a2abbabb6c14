// Forks: the family that a run belongs to, and the wish for another member of it.

import { byId, h } from "./dom.js";
import { glyph, thousands } from "./words.js";

const RETRIABLE = ["failed", "cancelled", "dead"];

export class Forking {
  constructor(api, { onseek }) {
    Object.assign(this, { api, onseek, family: null, step: null });
    const form = byId("fork").querySelector("form");
    form.addEventListener("submit", (event) => this.#submit(event));
    form.addEventListener("change", () => this.#choose());
    byId("retry").addEventListener("click", () => this.#go(() => this.api.retry(), byId("note")));
  }

  async load() {
    this.family = await this.api.lineage();
  }

  setPhase(phase) {
    byId("retry").hidden = !RETRIABLE.includes(phase);
  }

  // A tree: each run stands under the one that it was forked from, at the event after which they part.
  tree() {
    const { family } = this;
    if (!family || !(family.ancestors.length || family.descendants.length)) return null;
    const all = [...family.ancestors, family.run, ...family.descendants];
    const known = new Set(all.map((kin) => kin.id));
    const list = (parent) => {
      const kin = all.filter((each) => (known.has(each.parent) ? each.parent : null) === parent);
      return kin.length ? h("ul", { class: parent ? "" : "tree" }, kin.map((each) => h("li", {}, this.#line(each), list(each.id)))) : null;
    };
    return [list(null), family.is_cut && h("p", { class: "cut" }, "There are more descendants than are shown.")].filter(Boolean);
  }

  get shared() {
    const run = this.family?.run;
    if (!run?.parent) return null;
    return h("span", {}, h("a", { class: "mono", href: `/runs/${run.parent}`, title: run.parent }, run.parent.slice(-12)), " up to ",
      h("button", { class: "link", onclick: () => this.onseek(run.parent_seq) }, `event ${thousands(run.parent_seq)}`));
  }

  #line(kin) {
    const here = kin.id === this.family.run.id;
    const name = [h("span", { class: `glyph is-${kin.phase}`, "aria-hidden": "true" }, glyph(kin.phase)), h("span", { class: "sr" }, kin.phase), " ",
      h("span", { class: "mono" }, kin.id.slice(-12))];
    return h("div", { class: `kin${here ? " is-here" : ""}` },
      here ? h("b", { "aria-current": "true", title: kin.id }, name) : h("a", { href: `/runs/${kin.id}`, title: kin.id }, name),
      kin.parent && h("span", { class: "muted" }, `after event ${thousands(kin.parent_seq)}`),
      h("span", { class: "k-what" }, kin.changed.join(", ") || (kin.parent ? "nothing changed" : `version ${kin.version}`)));
  }

  button(view) {
    if (view.status === "pending" || view.status === "skipped") return null;
    return h("button", { class: "button fork", "aria-haspopup": "dialog", onclick: () => this.#open(view) }, "Fork from here");
  }

  #open(view) {
    this.step = view.step;
    byId("fork-step").textContent = view.step;
    byId("fork-output").value = view.output && !view.output.truncated ? view.output.json : "";
    byId("fork-error").hidden = true;
    byId("fork-again").checked = true;
    byId("fork-external").checked = false;
    this.#choose();
    byId("fork").showModal();
  }

  #choose() {
    byId("fork-output").disabled = byId("fork-again").checked;
  }

  #submit(event) {
    if (event.submitter?.value !== "fork") return;
    event.preventDefault();
    const again = byId("fork-again").checked;
    const step = JSON.stringify(this.step);
    const text = byId("fork-output").value;
    const external = byId("fork-external").checked;
    this.#go(async () => {
      if (!again) JSON.parse(text);
      // the text travels as it was typed: a number keeps every digit
      return this.api.fork(again ? `{"at":${step},"allow_external":${external}}` : `{"outputs":{${step}:${text}},"allow_external":${external}}`);
    }, byId("fork-error"));
  }

  async #go(ask, told) {
    try {
      const { run_id: fork } = await ask();
      location.assign(`/runs/${fork}`);
    } catch (error) {
      told.textContent = error instanceof SyntaxError ? `This is no JSON: ${error.message}` : error.message;
      told.hidden = false;
    }
  }
}
