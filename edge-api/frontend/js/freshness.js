// Says when a page that keeps itself fresh cannot any more, and leaves what it shows alone until it can again. Errors
// and other pages, such as that of the sign-in, never take the place of a part of this one.
const place = document.querySelector("[data-freshness]");
const troubles = new Map();

const texts = {
  lost: "The connection is lost. What you see may be out of date; it goes on trying.",
  failed: "The server cannot answer. What you see may be out of date; it goes on trying.",
  over: "This page is not kept up to date any more. Reload it to go on.",
};

function show() {
  const worst = ["over", "lost", "failed"].find((state) => [...troubles.values()].includes(state));
  const text = worst ? texts[worst] : "";
  if (place.firstElementChild?.textContent === text || (!text && !place.firstElementChild)) return;
  if (!text) return place.replaceChildren();
  const said = Object.assign(document.createElement("span"), { textContent: text });
  const reload = Object.assign(document.createElement("a"), { textContent: "Reload", href: location.href, className: "link" });
  place.replaceChildren(said, reload);
}

/** `source` is what cannot be reached (`state` of the texts above), or is well again (null). */
export function report(source, state) {
  if (state === null) troubles.delete(source);
  else troubles.set(source, state);
  show();
}

/** Follows whether a stream is there; one that the server has closed for good does not come back. */
export function watch(stream) {
  stream.addEventListener("open", () => report("stream", null));
  stream.addEventListener("error", () => report("stream", stream.readyState === EventSource.CLOSED ? "over" : "lost"));
}

const isMissing = ({ text, select }) => select && !new DOMParser().parseFromString(text, "text/html").querySelector(select);

document.addEventListener("htmx:error", (event) => event.detail.ctx.response || report("parts", "lost"));
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  if (!ctx.response) return;
  const { status } = ctx.response;
  const state = status >= 500 || status === 429 ? "failed" : status >= 400 || isMissing(ctx) ? "over" : null;
  report("parts", state);
  if (state !== null) event.preventDefault();
});
