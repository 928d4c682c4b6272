import "htmx.org";
import "./common.js";
import "./charts.js";
import "./event-stream.js";
import "./freshness.js";
import "./live.js";
import "./palette.js";
import "./shortcuts.js";

// Addresses stay readable: empty filters are left out.
document.addEventListener("htmx:config:request", (event) => {
  const { sourceElement, request } = event.detail.ctx;
  if (!sourceElement.matches("[data-tidy]") || !(request.body instanceof FormData)) return;
  for (const [name, value] of [...request.body]) if (value === "") request.body.delete(name);
});

// A page that the browser kept and shows again has closed its streams.
addEventListener("pageshow", (event) => event.persisted && location.reload());

document.querySelectorAll("[data-toggle-details]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => {
    const all = [...document.querySelectorAll(`${button.dataset.toggleDetails} details`)];
    const open = all.some((item) => !item.open);
    all.forEach((item) => (item.open = open));
    button.textContent = open ? "Close all" : "Open all";
  });
});

// On a phone the navigation is one line that scrolls; begin at the page that is open.
const current = document.querySelector(".console-nav [aria-current]");
current?.parentElement.parentElement.scrollTo({ left: current.offsetLeft - 48 });
