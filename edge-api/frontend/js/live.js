// Keeps lists fresh: a tick on the stream says which domain has news, and parts of the page that show it fetch
// themselves again (htmx morphs them in place, so focus and open details stay).
const leastPauseMs = 1000;
const parts = () => [...document.querySelectorAll("[data-live]")];

let pending = new Set();
let timer = null;

function refresh() {
  timer = null;
  const domains = pending;
  pending = new Set();
  if (document.hidden) return;
  for (const part of parts()) {
    const wanted = part.dataset.live.split(" ");
    if (part.dataset.live === "*" || wanted.some((domain) => domains.has(domain))) {
      part.dispatchEvent(new CustomEvent("live-refresh"));
    }
  }
}

if (parts().length > 0) {
  const source = new EventSource("/admin/live");
  source.addEventListener("tick", (event) => {
    pending.add(JSON.parse(event.data).domain);
    timer ??= setTimeout(refresh, leastPauseMs);
  });
  addEventListener("pagehide", () => source.close());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) parts().forEach((part) => part.dispatchEvent(new CustomEvent("live-refresh")));
  });
}
