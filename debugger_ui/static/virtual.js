// A list of any length: only the rows in sight exist.  Very long lists scale the scroll, because browsers limit heights.

import { frame } from "./dom.js";

const HEIGHT_MAX = 8_000_000;
const SPARE = 6;

export class VirtualList {
  constructor(box, { row, draw }) {
    this.box = box;
    this.rowHeight = row;
    this.drawRow = draw;
    this.count = 0;
    this.rows = new Map();
    this.sizer = document.createElement("div");
    this.sizer.className = "sizer";
    box.append(this.sizer);
    this.redraw = frame(() => this.#draw());
    box.addEventListener("scroll", this.redraw, { passive: true });
    new ResizeObserver(this.redraw).observe(box);
  }

  resize(count) {
    this.count = count;
    this.redraw();
  }

  // Draw everything in sight anew.
  refresh() {
    this.rows.forEach((row) => row.remove());
    this.rows.clear();
    this.redraw();
  }

  reveal(index) {
    const { height, scale } = this.#geometry();
    const top = index * height;
    const view = this.box.clientHeight;
    const now = this.box.scrollTop * scale;
    if (top < now + height) this.box.scrollTop = Math.max(0, top - height) / scale;
    else if (top + 2 * height > now + view) this.box.scrollTop = (top + 2 * height - view) / scale;
    this.redraw();
  }

  #geometry() {
    const height = this.rowHeight();
    const full = this.count * height;
    const shown = Math.min(full, HEIGHT_MAX);
    const view = this.box.clientHeight;
    return { height, shown, scale: full > shown ? (full - view) / (shown - view) : 1 };
  }

  #draw() {
    const { height, shown, scale } = this.#geometry();
    this.sizer.style.height = `${shown}px`;
    const top = this.box.scrollTop * scale;
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const last = Math.min(this.count - 1, Math.ceil((top + this.box.clientHeight) / height) + SPARE);
    for (const [index, row] of this.rows) {
      if (index < first || index > last) {
        row.remove();
        this.rows.delete(index);
      }
    }
    for (let index = first; index <= last; index += 1) {
      let row = this.rows.get(index);
      if (!row) {
        row = this.drawRow(index);
        row.classList.add("v-row");
        this.rows.set(index, row);
        this.sizer.append(row);
      }
      row.style.transform = `translateY(${index * height - top + this.box.scrollTop}px)`;
    }
  }
}
