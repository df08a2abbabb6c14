// JSON as a tree one can open and close, exact to the digit: text is read by hand, numbers stay text.
// A value that was cut off is shown as far as it goes.

import { h } from "./dom.js";
import { thousands } from "./words.js";

const OPEN_DEPTH = 2;
const ITEMS_SHOWN = 100;
const TEXT_SHOWN = 240;
const DEPTH_MAX = 200;
const WORD = /[^,\]}\s]+/y;

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  value(depth = 0) {
    this.space();
    const c = this.text[this.at];
    if (c === undefined || depth > DEPTH_MAX) return { type: "cut" };
    if (c === "{" || c === "[") return this.group(c, depth);
    if (c === '"') return { type: "text", text: this.string() };
    WORD.lastIndex = this.at;
    const word = WORD.exec(this.text)?.[0] ?? this.text[this.at];
    this.at += word.length;
    return { type: /^-?\d/.test(word) ? "number" : "word", text: word };
  }

  group(open, depth) {
    const node = { type: open === "{" ? "object" : "array", items: [], cut: false };
    const close = open === "{" ? "}" : "]";
    this.at += 1;
    for (;;) {
      this.space();
      const c = this.text[this.at];
      if (c === undefined) return { ...node, cut: true };
      if (c === close) {
        this.at += 1;
        return node;
      }
      if (c === ",") {
        this.at += 1;
        continue;
      }
      const start = this.at;
      let key = null;
      if (open === "{") {
        key = c === '"' ? this.string() : null;
        this.space();
        if (this.text[this.at] !== ":") return { ...node, cut: true };
        this.at += 1;
      }
      const value = this.value(depth + 1);
      if (value.type === "cut") return { ...node, cut: true };
      node.items.push([key, value]);
      if (this.at === start) return { ...node, cut: true };
    }
  }

  string() {
    let end = this.at + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === "\\" ? 2 : 1;
    const raw = this.text.slice(this.at, end + 1);
    this.at = end + 1;
    try {
      return JSON.parse(raw);
    } catch {
      return `${raw.slice(1)}…`;
    }
  }

  space() {
    while (/\s/.test(this.text[this.at] ?? "")) this.at += 1;
  }
}

export function jsonView(text) {
  return h("div", { class: "json" }, draw(new Reader(text).value(), null, 0));
}

function draw(node, key, depth) {
  const label = key === null ? null : h("span", { class: "j-key" }, key, h("span", { class: "j-mark" }, ": "));
  if (node.type === "object" || node.type === "array") return group(node, label, depth);
  return h("div", { class: "j-line" }, label, leaf(node));
}

function leaf(node) {
  if (node.type === "cut") return h("span", { class: "j-mark" }, "…");
  if (node.type !== "text") return h("span", { class: `j-${node.type}` }, node.text);
  if (node.text.length <= TEXT_SHOWN) return h("span", { class: "j-text" }, `"${node.text}"`);
  const shown = h("span", { class: "j-text" }, `"${node.text.slice(0, TEXT_SHOWN)}…`);
  const more = h("button", { class: "j-more", onclick: () => {
    shown.textContent = `"${node.text}"`;
    more.remove();
  } }, `all ${thousands(node.text.length)} characters`);
  return h("span", {}, shown, " ", more);
}

function group(node, label, depth) {
  const [open, close] = node.type === "object" ? "{}" : "[]";
  const nonFinite = node.items.length === 1 && node.items[0][0] === "$float" ? node.items[0][1].text : null;
  if (nonFinite !== null) return h("div", { class: "j-line" }, label, h("span", { class: "j-number" }, nonFinite));
  if (!node.items.length) return h("div", { class: "j-line" }, label, h("span", { class: "j-mark" }, node.cut ? `${open}…` : open + close));
  if (node.type === "array" && !node.cut && node.items.length <= 8 && node.items.every(([, item]) => item.type === "number")) {
    return h("div", { class: "j-line" }, label, h("span", { class: "j-mark" }, "["),
      h("span", { class: "j-number" }, node.items.map(([, item]) => item.text).join(", ")), h("span", { class: "j-mark" }, "]"));
  }
  return plain(node, label, depth, open, close);
}

function plain(node, label, depth, open, close) {
  const word = node.type === "object" ? "field" : "item";
  const size = `${thousands(node.items.length)} ${word}${node.items.length === 1 ? "" : "s"}${node.cut ? ", cut" : ""}`;
  const body = h("div", { class: "j-body" });
  const details = h("details", { class: "j-group" },
    h("summary", {}, label, h("span", { class: "j-mark" }, open), h("span", { class: "j-size" }, ` ${size} `), h("span", { class: "j-mark j-close" }, close)), body);
  const fill = () => {
    if (!body.childElementCount) more(body, node, depth, 0);
  };
  details.addEventListener("toggle", () => details.open && fill());
  if (depth < OPEN_DEPTH && node.items.length <= 40) {
    fill();
    details.open = true;
  }
  return details;
}

function more(body, node, depth, from) {
  const to = Math.min(from + ITEMS_SHOWN, node.items.length);
  for (let i = from; i < to; i += 1) {
    const [key, value] = node.items[i];
    body.append(draw(value, key ?? String(i), depth + 1));
  }
  if (to < node.items.length) {
    const button = h("button", { class: "j-more", onclick: () => {
      button.remove();
      more(body, node, depth, to);
    } }, `${thousands(node.items.length - to)} more`);
    body.append(button);
  } else if (node.cut) {
    body.append(h("div", { class: "j-line j-mark" }, "… cut here"));
  }
}
