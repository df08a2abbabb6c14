// Questions to /api/v1.  A refusal becomes an Error that carries the server's own words.

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = body?.code ?? "unknown";
  }
}

export let skewMs = 0; // server minus browser, to the second

async function answer(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (date) skewMs = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
  if (response.ok) return response.json();
  let body = null;
  try {
    body = (await response.json()).error;
  } catch { /* not ours: a proxy's page */ }
  throw new Refused(response.status, body);
}

export class Api {
  constructor(run) {
    this.base = `/api/v1/runs/${run}`;
  }

  detail = () => this.#get("", { payload_max: 65536 });
  timeline = () => this.#get("/timeline", {});
  events = (after, limit) => this.#get("/events", { after, limit });
  state = (seq, step) =>
    this.#get("/state", { seq, payloads: step ?? "none", payload_max: 65536 });

  stream = (after) => new EventSource(`${this.base}/stream?after=${after}`);

  lineage = () => this.#get("/lineage", {});
  standing = () => this.#get("/standing", {});

  cancel = (reason) => this.#post("/cancel", JSON.stringify({ reason }));
  say = (word, body) => this.#post(`/${word}`, JSON.stringify(body));
  fork = (body) => this.#post("/fork", body);
  retry = () => this.#post("/retry", "{}");

  async #post(path, body) {
    const csrf = document.querySelector("meta[name=csrf]").content;
    const headers = { "content-type": "application/json", "x-csrf-token": csrf };
    return answer(await fetch(`${this.base}${path}`, { method: "POST", headers, body }));
  }

  async #get(path, query) {
    return answer(await fetch(`${this.base}${path}?${new URLSearchParams(query)}`));
  }
}

// One question at a time; while it is out, only the latest wish is remembered.  Answers are kept, oldest out first.
export class Latest {
  #kept = new Map();
  #busy = false;
  #wish = null;

  constructor(ask, { keep, onanswer, onerror }) {
    Object.assign(this, { ask, keep, onanswer, onerror });
  }

  want(key, ...args) {
    this.#wish = { key, args };
    const kept = this.#kept.get(key);
    if (kept) {
      this.#wish = null;
      this.onanswer(kept, key);
    } else if (!this.#busy) {
      this.#run();
    }
  }

  async #run() {
    this.#busy = true;
    while (this.#wish) {
      const { key, args } = this.#wish;
      this.#wish = null;
      try {
        const found = await this.ask(...args);
        this.#kept.set(key, found);
        if (this.#kept.size > this.keep) this.#kept.delete(this.#kept.keys().next().value);
        if (!this.#wish) this.onanswer(found, key);
      } catch (error) {
        if (!this.#wish) this.onerror(error);
      }
    }
    this.#busy = false;
  }
}
