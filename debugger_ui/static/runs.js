// The list of runs, kept fresh: every two seconds the same page is asked for and the rows that differ are replaced.

const EVERY_MS = 2000;
const pill = document.getElementById("live");

document.querySelectorAll("#filters select").forEach((each) => each.addEventListener("change", () => {
  const chosen = [...new FormData(each.form)].filter(([, value]) => value);
  location.search = new URLSearchParams(chosen).toString();
}));
document.getElementById("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = [...new FormData(event.target)].filter(([, value]) => value);
  location.search = new URLSearchParams(chosen).toString();
});

// XMLHttpRequest because it parses a document without passing markup through a string
function again() {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.timeout = 10_000;
    request.onload = () => (request.status === 200 && request.response ? resolve(request.response) : reject(request.status));
    request.onerror = request.ontimeout = () => reject(0);
    request.send();
  });
}

function merge(fresh) {
  const old = document.getElementById("list");
  const made = fresh.getElementById("list");
  const body = old.querySelector("tbody");
  const rows = made.querySelectorAll("tbody tr");
  if (!body || !rows.length) {
    if (old.textContent !== made.textContent) old.replaceWith(document.adoptNode(made));
    return;
  }
  const kept = [...rows].map((row) => {
    const here = document.getElementById(row.id);
    if (here && here.isEqualNode(row)) return here;
    const arrived = document.adoptNode(row);
    if (!here) arrived.classList.add("is-new");
    else if (here.contains(document.activeElement)) queueMicrotask(() => arrived.querySelector("a").focus());
    return arrived;
  });
  if (kept.some((row, i) => body.children[i] !== row) || body.children.length !== kept.length) body.replaceChildren(...kept);
  old.querySelector(".paging").replaceWith(document.adoptNode(made.querySelector(".paging")));
}

function show(state, text) {
  pill.hidden = false;
  pill.className = `pill ${state}`;
  if (pill.textContent !== text) pill.textContent = text;
}

async function loop() {
  for (;;) {
    if (!document.hidden) {
      try {
        merge(await again());
        show("live", "LIVE");
      } catch (status) {
        show("lost", status === 401 ? "SIGNED OUT: RELOAD" : "SERVER DOES NOT ANSWER");
      }
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

loop();
