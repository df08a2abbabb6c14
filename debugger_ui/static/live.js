// New events as they are recorded.  The browser resumes by Last-Event-ID when the connection was lost.

export class Live {
  constructor(api, after, { onupdate, onend, onstate }) {
    this.source = api.stream(after);
    this.source.addEventListener("open", () => onstate("open"));
    this.source.addEventListener("error", () => onstate(this.source.readyState === EventSource.CLOSED ? "closed" : "lost"));
    this.source.addEventListener("update", (event) => onupdate(JSON.parse(event.data)));
    this.source.addEventListener("refused", (event) => {
      this.source.close();
      onstate("closed", JSON.parse(event.data));
    });
    this.source.addEventListener("end", () => {
      this.source.close();
      onend();
    });
    addEventListener("pagehide", () => this.source.close());
  }
}
