// What a run waits for a person to say, and whether somebody holds it.  It speaks of now, wherever the playhead stands.

import { byId, h } from "./dom.js";
import { clock } from "./words.js";

const NAME = "kronos-name"; // who decides, remembered in this browser

export class Asks {
  #shown = "";
  #over = false;

  constructor(api, { onerror }) {
    Object.assign(this, { api, onerror, box: byId("asks"), hold: byId("hold"), paused: false });
    this.hold.addEventListener("click", () => this.#do(() => api.say(this.paused ? "resume" : "pause", { by: name(), reason: "asked for in the debugger" })));
  }

  async refresh() {
    try {
      const standing = await this.api.standing();
      if (!this.#over) this.#draw(standing); // an answer may come after the end
    } catch (error) {
      this.onerror(error);
    }
  }

  end() {
    this.#over = true;
    this.#draw({ approvals: [], pause: null });
    this.hold.hidden = true;
  }

  #draw(standing) {
    this.paused = standing.pause !== null;
    this.hold.hidden = false;
    this.hold.textContent = this.paused ? "Resume" : "Pause";
    const key = JSON.stringify(standing);
    if (key === this.#shown) return; // what somebody is typing stays
    const isNew = standing.approvals.some((each) => !this.#shown.includes(`"step":${JSON.stringify(each.step)}`));
    this.#shown = key;
    this.box.replaceChildren(...(standing.pause ? [held(standing.pause)] : []), ...standing.approvals.map((each) => this.#form(each)));
    this.box.hidden = !this.box.childElementCount;
    if (isNew) byId("announce").textContent = "This run waits for a decision.";
  }

  #form(asked) {
    const id = `ask-${asked.step}`;
    const by = h("input", { id: `${id}-by`, name: "by", required: true, maxlength: 1000, autocomplete: "name", value: name() });
    const reason = h("input", { id: `${id}-why`, name: "reason", maxlength: 1000, autocomplete: "off" });
    const decide = (word) => () => {
      if (!by.reportValidity()) return;
      localStorage.setItem(NAME, by.value);
      this.#do(() => this.api.say(word, { step: asked.step, by: by.value, reason: reason.value }));
    };
    return h("form", { class: "ask", "aria-labelledby": `${id}-title`, onsubmit: (event) => event.preventDefault() },
      h("div", { class: "ask-what" },
        h("h2", { id: `${id}-title` }, `${asked.who} decides on “${asked.step}”`),
        h("p", { class: "muted" }, `asked at ${clock(asked.since, 0)}${asked.due ? `, until ${clock(asked.due, 0)}` : ""}`),
        asked.message === '""' ? null : h("pre", { class: "ask-message mono", tabindex: 0, "aria-label": "What is decided on" }, pretty(asked.message))),
      h("label", { for: by.id }, "Your name", by),
      h("label", { for: reason.id, class: "grow" }, "Reason", reason),
      h("div", { class: "ask-choices" },
        h("button", { class: "button yes", type: "button", onclick: decide("approve") }, "Approve"),
        h("button", { class: "button danger", type: "button", onclick: decide("reject") }, "Reject")));
  }

  async #do(act) {
    for (const button of [...this.box.querySelectorAll("button"), this.hold]) button.disabled = true;
    try {
      await act();
    } catch (error) {
      this.onerror(error);
    } finally {
      for (const button of [...this.box.querySelectorAll("button"), this.hold]) button.disabled = false;
    }
  }
}

const name = () => localStorage.getItem(NAME) ?? "";

function held({ by, reason, at }) {
  return h("p", { class: "held" }, h("b", {}, "Paused"), ` by ${by || "somebody"} at ${clock(at, 0)}${reason ? `: ${reason}` : ""}. What runs may end; nothing begins.`);
}

function pretty(json) {
  try {
    const value = JSON.parse(json);
    return typeof value === "string" ? value : JSON.stringify(value, null, 1);
  } catch {
    return json;
  }
}
