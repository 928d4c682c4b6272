// Passkeys: asks the browser what a form with `data-passkey` holds, puts the answer into the form and sends it. The form
// is hidden where the browser or the address cannot have passkeys; every other way in works without this.
const goodForMs = 4 * 60 * 1000;

const messages = {
  NotAllowedError: "No passkey was used. Try again, or take another way.",
  InvalidStateError: "This device has a passkey for your account already.",
  NotSupportedError: "This device makes no passkeys that could be used here.",
  ConstraintError: "This device does not ask who you are. Set up a PIN, fingerprint or face first.",
};

let autofill = null;

function bytes(text) {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

function base64url(buffer) {
  const raw = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const options = (form) => JSON.parse(form.dataset.passkeyOptions);
const isOf = (domain) => location.hostname === domain || location.hostname.endsWith(`.${domain}`);
const usable = (form) => {
  const asked = options(form);
  return "PublicKeyCredential" in window && isOf(asked.rpId ?? asked.rp.id);
};

/** What a browser takes: the same options, with bytes where the JSON has text. */
function readable(form) {
  const asked = options(form);
  const known = (list) => list?.map((item) => ({ ...item, id: bytes(item.id) }));
  asked.challenge = bytes(asked.challenge);
  if (asked.user) asked.user.id = bytes(asked.user.id);
  if (asked.allowCredentials) asked.allowCredentials = known(asked.allowCredentials);
  if (asked.excludeCredentials) asked.excludeCredentials = known(asked.excludeCredentials);
  return asked;
}

/** The answer as JSON (WebAuthn, Level 3, section 5.1). Written here: not every password manager's toJSON works. */
function told(credential) {
  const { response } = credential;
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const given = parts.filter((name) => response[name]).map((name) => [name, base64url(response[name])]);
  return JSON.stringify({
    id: credential.id,
    rawId: base64url(credential.rawId),
    type: credential.type,
    clientExtensionResults: {},
    response: { ...Object.fromEntries(given), transports: response.getTransports?.() },
  });
}

/** A challenge that waited too long is replaced by the one of the same page, fetched anew. */
async function renew(form) {
  if (performance.now() - Number(form.dataset.passkeyAsked) < goodForMs) return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector(`form[data-passkey][action="${form.getAttribute("action")}"]`);
  if (!fresh) return;
  form.dataset.passkeyOptions = fresh.dataset.passkeyOptions;
  form.elements.passkey_token.value = fresh.elements.passkey_token.value;
  form.dataset.passkeyAsked = performance.now();
}

async function answer(form, more) {
  await renew(form);
  const asked = { publicKey: readable(form), ...more };
  const credential = await (form.dataset.passkey === "create" ? navigator.credentials.create(asked) : navigator.credentials.get(asked));
  form.elements.credential.value = told(credential);
  form.submit();
}

function tell(form, text) {
  const place = form.querySelector("[data-passkey-problem]");
  place.textContent = text;
  place.hidden = text === "";
}

async function send(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  if (button.getAttribute("aria-busy")) return;
  autofill?.abort();
  tell(form, "");
  button.setAttribute("aria-busy", "true");
  try {
    await answer(form);
  } catch (error) {
    button.removeAttribute("aria-busy");
    tell(form, messages[error.name] ?? "The passkey could not be used. Try again, or take another way.");
    button.focus();
  }
}

/** Offers passkeys among what the browser fills into the field for the address, for as long as the page is there. */
async function offer(form) {
  if (!(await window.PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  autofill = new AbortController();
  const { signal } = autofill;
  const again = setTimeout(() => {
    autofill.abort();
    offer(form);
  }, goodForMs);
  try {
    await answer(form, { mediation: "conditional", signal });
  } catch {
    clearTimeout(again); // the button was used, or nothing was chosen: either says so itself
  }
}

document.querySelectorAll("form[data-passkey]").forEach((form) => {
  if (!usable(form)) return;
  form.dataset.passkeyAsked = performance.now();
  form.hidden = false;
  document.querySelectorAll("[data-passkey-elsewhere]").forEach((note) => (note.hidden = true));
  form.addEventListener("submit", send);
  form.querySelector("[autofocus]")?.focus();
  if ("passkeyAutofill" in form.dataset) offer(form);
});

// A page that the browser kept and shows again holds a challenge that was answered.
addEventListener("pageshow", (event) => event.persisted && document.querySelector("form[data-passkey]") && location.reload());
