// Behaviour of every page. All of it only adds to pages that work without.
const root = document.documentElement;

/** Light or dark: the choice lives in a cookie that the server reads, so no page is ever drawn in the wrong one. */
export function toggleTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `prog_theme=${next}; path=/; max-age=31536000; samesite=lax${secure}`;
  root.dataset.theme = next;
  document.dispatchEvent(new CustomEvent("theme-change"));
}

/** A notice in the page's live region; it leaves by itself unless it tells of an error. */
export function notify(kind, text) {
  const template = document.getElementById("notice-template");
  const notice = template.content.firstElementChild.cloneNode(true);
  notice.className = `notice notice-${kind}`;
  notice.querySelector("[data-notice-text]").textContent = text;
  document.getElementById("notices").append(notice);
  expire(notice);
}

function expire(notice) {
  if (!notice.classList.contains("notice-error")) setTimeout(() => notice.remove(), 6000);
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    notify("error", "The browser does not let this page copy.");
    return;
  }
  button.classList.add("is-done");
  setTimeout(() => button.classList.remove("is-done"), 1400);
}

/** A form is sent once: its buttons rest until the next page is there. */
function guard(event) {
  const form = event.target;
  if (!form.matches("[data-guard]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  form.querySelectorAll("button:not([type=button])").forEach((button) => button.setAttribute("aria-busy", "true"));
}

function release() {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
  });
}

function closeMenus(except) {
  document.querySelectorAll("details[data-menu][open]").forEach((menu) => {
    if (menu !== except) menu.open = false;
  });
}

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-theme-form]")) {
    event.preventDefault();
    toggleTheme();
    return;
  }
  guard(event);
});
document.addEventListener("click", (event) => {
  const copyButton = event.target.closest("[data-copy]");
  if (copyButton) {
    event.preventDefault();
    copy(copyButton);
  }
  if (event.target.closest("[data-print]")) print();
  event.target.closest("[data-dismiss]")?.closest("[data-notice]").remove();
  closeMenus(event.target.closest("details[data-menu]"));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details[data-menu][open]");
  closeMenus(null);
  open?.querySelector("summary").focus();
});
addEventListener("pageshow", release);

document.querySelectorAll("[data-needs-script]").forEach((part) => (part.hidden = false));

document.querySelectorAll("[data-notice]").forEach(expire);
(document.querySelector("[data-first-problem]") ?? document.querySelector("[aria-invalid=true]"))?.focus();
