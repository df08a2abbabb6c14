// The slider over events: one position an event, every event a mark.

import { byId, frame } from "./dom.js";

const TONES = { plain: "--ghost", done: "--done-fill", retry: "--retry-fill", failed: "--failed-fill", run: "--ink" };
const HEIGHTS = { plain: 0.34, done: 0.62, retry: 0.78, failed: 1, run: 1 };

export class Scrubber {
  constructor({ onseek }) {
    this.box = byId("scrub");
    this.canvas = byId("marks");
    this.past = byId("past");
    this.headLine = byId("head");
    this.onseek = onseek;
    Object.assign(this, { head: 0, seq: 0, marks: [] });
    this.paint = frame(() => this.#paint());
    new ResizeObserver(() => {
      this.paint();
      this.place();
    }).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.paint);
    this.#listen();
  }

  setHistory(head, marks) {
    this.head = head;
    this.marks = marks;
    this.box.setAttribute("aria-valuemin", head ? "1" : "0");
    this.box.setAttribute("aria-valuemax", head);
    this.paint();
    this.place();
  }

  setPosition(seq, text) {
    this.seq = seq;
    this.box.setAttribute("aria-valuenow", seq);
    this.box.setAttribute("aria-valuetext", text);
    this.place();
  }

  place() {
    const x = `${this.#x(this.seq)}px`;
    this.past.style.width = x;
    this.headLine.style.transform = `translateX(${x})`;
  }

  #x(seq) {
    const width = this.box.clientWidth - 16;
    return 8 + (this.head > 1 ? ((seq - 1) / (this.head - 1)) * width : width);
  }

  #seqAt(clientX) {
    const box = this.box.getBoundingClientRect();
    const share = (clientX - box.left - 8) / (box.width - 16);
    return Math.min(this.head, Math.max(1, Math.round(1 + share * (this.head - 1))));
  }

  #listen() {
    let dragging = false;
    this.box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.head) return;
      dragging = true;
      this.box.setPointerCapture(event.pointerId);
      this.box.classList.add("dragging");
      this.onseek(this.#seqAt(event.clientX), { jump: true });
    });
    this.box.addEventListener("pointermove", (event) => dragging && this.onseek(this.#seqAt(event.clientX), {}));
    const done = () => {
      dragging = false;
      this.box.classList.remove("dragging");
    };
    this.box.addEventListener("pointerup", done);
    this.box.addEventListener("pointercancel", done);
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.box;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const draw = this.canvas.getContext("2d");
    draw.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const bar = Math.min(6, Math.max(1.5, (width - 16) / Math.max(this.head, 1) - 2));
    for (const tone of Object.keys(TONES)) {
      draw.fillStyle = style.getPropertyValue(TONES[tone]);
      for (const mark of this.marks) {
        if (mark.tone !== tone) continue;
        const tall = (height - 14) * HEIGHTS[tone];
        const middle = (this.#x(mark.first_seq) + this.#x(mark.last_seq)) / 2;
        draw.beginPath();
        draw.roundRect(middle - bar / 2, height - 6 - tall, bar, tall, Math.min(2, bar / 2));
        draw.fill();
        if (tone === "failed") { // shape as well as colour
          draw.beginPath();
          draw.arc(middle, height - 6 - tall, Math.max(bar / 2, 3), 0, 7);
          draw.fill();
        }
      }
    }
  }
}
