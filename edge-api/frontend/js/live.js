// Keeps lists fresh: a tick on the stream says which domain has news, and parts of the page that show it fetch
// themselves again (htmx morphs them in place, so focus and open details stay). A part stands still while a form in it
// that holds it (`data-holds-live`) is open, has the focus or has been typed in: nothing may overwrite what is typed.
import { watch } from "./freshness.js";

const leastPauseMs = 1000;
const parts = () => [...document.querySelectorAll("[data-live]")];

const held = new Set();

function isTypedIn(form) {
  return [...form.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);
}

function isHeld(part) {
  return [...part.querySelectorAll("[data-holds-live]")].some(
    (form) => form.closest("details[open]") || form.contains(document.activeElement) || isTypedIn(form),
  );
}

function hold(event) {
  const part = event.detail.ctx.sourceElement;
  if (!part.matches("[data-live]") || !isHeld(part)) return;
  event.preventDefault();
  held.add(part);
}

/** What was held back is fetched as soon as nothing holds it any more. */
function release() {
  for (const part of held) {
    if (part.isConnected && isHeld(part)) continue;
    held.delete(part);
    part.dispatchEvent(new CustomEvent("live-refresh"));
  }
}

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
  document.addEventListener("htmx:before:request", hold);
  document.addEventListener("htmx:before:swap", hold);
  document.addEventListener("toggle", release, true);
  document.addEventListener("focusout", () => setTimeout(release));
  const source = new EventSource("/admin/live");
  watch(source);
  source.addEventListener("tick", (event) => {
    pending.add(JSON.parse(event.data).domain);
    timer ??= setTimeout(refresh, leastPauseMs);
  });
  addEventListener("pagehide", () => source.close());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) parts().forEach((part) => part.dispatchEvent(new CustomEvent("live-refresh")));
  });
}
