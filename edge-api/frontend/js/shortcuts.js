// Keys of the console. None of them works while somebody types.
import { toggleTheme } from "./common.js";
import { openPalette } from "./palette.js";

const sheet = document.getElementById("shortcuts");
const waitMs = 1200;
let leader = 0;

const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;

function move(step) {
  const rows = [...document.querySelectorAll("#main .row-link, #main .story-step > summary")].filter((row) => row.offsetParent);
  const place = rows.indexOf(document.activeElement);
  rows[place < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(place + step, 0), rows.length - 1)]?.focus();
}

function go(key) {
  const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
  if (link) location.assign(link.href);
}

const keys = {
  "?": () => sheet.showModal(),
  "/": () => document.querySelector("[data-filter-search]")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  L: toggleTheme,
};

document.addEventListener("keydown", (event) => {
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.timeStamp - leader < waitMs && leader) {
    leader = 0;
    go(event.key);
  } else if (event.key === "g") {
    leader = event.timeStamp;
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

document.querySelectorAll("[data-shortcuts-open]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => sheet.showModal());
});
sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
