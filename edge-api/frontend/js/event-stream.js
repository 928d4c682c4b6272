// The live view of the event log: rows arrive over SSE; while paused they wait and are counted.
import { report, watch } from "./freshness.js";

const mostRows = 300;
const control = document.querySelector("[data-live-control]");

const texts = { paused: "Paused", live: "Live", lost: "Reconnecting", over: "Disconnected" };

let source = null;
let address = null;
let paused = false;
let waiting = [];

const text = () => control.querySelector("[data-live-text]");

function show(state) {
  control.dataset.state = state;
  text().textContent = state === "paused" && waiting.length ? `${waiting.length} new` : texts[state];
}

/** How the stream is; one that the server has closed for good does not come back. */
const state = () => ["lost", "live", "over"][source.readyState];

function insert(html) {
  const results = document.getElementById("results");
  const rows = results.querySelector("[data-stream-rows]");
  const template = document.createElement("template");
  template.innerHTML = html;
  const row = template.content.querySelector("tr");
  if (!row || document.getElementById(row.id)) return;
  rows.prepend(row);
  rows.closest("table").hidden = false;
  results.querySelector("[data-stream-empty]")?.remove();
  while (rows.rows.length > mostRows) rows.lastElementChild.remove();
}

function open() {
  const wanted = document.getElementById("results")?.dataset.stream ?? null;
  if (wanted === address) return;
  source?.close();
  report("stream", null);
  address = wanted;
  control.hidden = wanted === null;
  waiting = [];
  if (wanted === null) return;
  source = new EventSource(wanted);
  source.addEventListener("open", () => !paused && show("live"));
  source.addEventListener("error", () => !paused && show(state()));
  watch(source);
  source.addEventListener("row", (event) => {
    if (!paused) return insert(event.data);
    waiting = [...waiting, event.data].slice(-mostRows);
    show("paused");
  });
}

if (control) {
  const toggle = control.querySelector("[data-live-toggle]");
  toggle.addEventListener("click", () => {
    paused = !paused;
    toggle.setAttribute("aria-pressed", String(paused));
    if (!paused) waiting.splice(0).forEach(insert);
    show(paused ? "paused" : state());
  });
  open();
  document.addEventListener("htmx:after:swap", open);
  addEventListener("pagehide", () => source?.close());
}
