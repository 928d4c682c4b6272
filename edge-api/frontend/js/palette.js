// Ctrl/Cmd-K: go to a page, do something, or find an object. Pages come from the navigation, objects from the server.
import { toggleTheme } from "./common.js";

const dialog = document.getElementById("palette");
const input = dialog.querySelector("[data-palette-input]");
const list = dialog.querySelector("[data-palette-list]");
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

document.querySelectorAll("[data-mod-key]").forEach((key) => (key.textContent = isMac ? "⌘" : "Ctrl"));

const pages = [...document.querySelectorAll("[data-go]")].map((link) => ({
  title: link.textContent.trim(),
  sub: "Go to",
  run: () => location.assign(link.href),
}));
const actions = [
  { title: "Switch between light and dark", sub: "Do", run: toggleTheme },
  { title: "Keyboard shortcuts", sub: "Do", run: () => document.getElementById("shortcuts").showModal() },
  { title: "Your tenants", sub: "Go to", run: () => location.assign("/account") },
  { title: "API reference", sub: "Go to", run: () => location.assign("/docs") },
];

let chosen = 0;
let asked = 0;
let timer = null;

const items = () => [...list.querySelectorAll("[role=option]")];

function choose(index) {
  const all = items();
  chosen = all.length ? (index + all.length) % all.length : 0;
  all.forEach((item, place) => {
    item.id = `palette-item-${place}`;
    item.setAttribute("aria-selected", String(place === chosen));
  });
  all[chosen]?.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", all.length ? `palette-item-${chosen}` : "");
}

function option(entry) {
  const item = document.createElement("div");
  item.className = "palette-item";
  item.setAttribute("role", "option");
  const tag = Object.assign(document.createElement("span"), { className: "tag", textContent: entry.sub });
  const title = Object.assign(document.createElement("span"), { className: "palette-title", textContent: entry.title });
  item.append(tag, title);
  item.addEventListener("click", () => {
    dialog.close();
    entry.run();
  });
  return item;
}

function render() {
  const words = input.value.trim().toLowerCase().split(/\s+/);
  const matching = [...pages, ...actions].filter(({ title }) => words.every((word) => title.toLowerCase().includes(word)));
  list.replaceChildren(...matching.map(option));
  choose(0);
  clearTimeout(timer);
  if (input.value.trim().length > 1) timer = setTimeout(() => find(input.value.trim()), 150);
}

async function find(text) {
  const number = ++asked;
  const response = await fetch(`/admin/find?part=1&q=${encodeURIComponent(text)}`);
  if (!response.ok || number !== asked || text !== input.value.trim()) return;
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  for (const hit of template.content.children) hit.setAttribute("role", "option");
  list.prepend(template.content);
  if (!items().length) list.textContent = "Nothing found. Ids must be whole.";
  choose(0);
}

export function openPalette() {
  if (dialog.open) return;
  input.value = "";
  render();
  dialog.showModal();
  input.focus();
}

input.addEventListener("input", render);
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") choose(chosen + 1);
  else if (event.key === "ArrowUp") choose(chosen - 1);
  else if (event.key === "Enter") items()[chosen]?.click();
  else return;
  event.preventDefault();
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
// A click on the search box opens the palette; with the keyboard the box stays what it is, a form.
document.querySelector("[data-palette-open]").addEventListener("click", (event) => {
  event.preventDefault();
  openPalette();
});
