// The page on which a person lets a device in. The access token lives in this module and nowhere else; nothing is decided without a click.

const element = (id) => document.getElementById(id);
const STEP_OF = { code: "code", "sign-in": "sign-in", second: "sign-in", decide: "decide", done: "done" };
const STEPS = ["code", "sign-in", "decide"];
const CODE_KEPT = "sealwright-device-code";

let token = null;
let user = "";
let code = "";
let pending = null; // name and password between the two factors

// Why something was refused, in words for people, by its code.
const WORDS = {
  bad_credentials: "Wrong name or password.",
  second_factor_invalid: "This code is not valid, or was used before. Wait for the next one.",
  too_many_attempts: "Too many attempts. Wait a while, then try again.",
  passkey_refused: "This passkey is not known here.",
  proof_required: "The password is wrong.",
  passkey_conflict: "This passkey is there already.",
  busy: "Too much is going on. Try again in a moment.",
  identity_unknown: "No account here belongs to that sign-in yet. Sign in with your password first.",
  oidc_refused: "The sign-in at the other service was refused. Try again.",
  oidc_unavailable: "The other service does not answer. Try again later.",
};

class Refused extends Error {
  constructor(problem) {
    super(WORDS[problem.code] ?? problem.detail ?? "That did not work.");
    this.code = problem.code;
    this.factors = problem.factors ?? [];
  }
}

async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", redirect: "error" });
  } catch {
    throw new Refused({ detail: "The server does not answer. Is your network up?" });
  }
  if (answer.status === 204) return null;
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(json);
  return json;
}

function show(view) {
  tell("");
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
  const now = STEPS.indexOf(STEP_OF[view]);
  for (const item of document.querySelectorAll("[data-step]")) {
    const place = STEPS.indexOf(item.dataset.step);
    item.classList.toggle("past", now === -1 || place < now);
    if (place === now) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
  for (const shown of document.querySelectorAll(".code-shown")) shown.textContent = code;
  for (const shown of document.querySelectorAll(".user")) shown.textContent = user;
  const section = document.querySelector(`[data-view="${view}"]`);
  (section.querySelector("input:not([hidden])") && view !== "done" && view !== "sign-in" ? section.querySelector("input") : section.querySelector("h1")).focus();
}

function tell(text, kind = "bad") {
  const status = element("status");
  status.textContent = text;
  status.className = `notice ${kind}`;
  status.hidden = text === "";
}

// Runs what a click began: one at a time, and what goes wrong is said.
let busy = false;
async function run(work) {
  if (busy) return;
  busy = true;
  tell("");
  const buttons = [...document.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (error instanceof Refused) tell(error.message);
    else if (error?.name === "NotAllowedError" || error?.name === "AbortError") tell("The passkey was not used. Try again, or take another way.");
    else if (error?.name === "InvalidStateError") tell("This authenticator has a passkey for your account already.");
    else tell("That did not work in this browser.");
  } finally {
    busy = false;
    for (const button of buttons) button.disabled = false;
  }
}

const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

async function usePasskey() {
  const { public_key: options } = await call("POST", "/v1/sessions/passkey-challenge");
  const credential = await navigator.credentials.get({ publicKey: { ...options, challenge: decode(options.challenge) } });
  const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
  return {
    id: credential.id,
    rawId: encode(credential.rawId),
    type: credential.type,
    response: {
      clientDataJSON: encode(clientDataJSON),
      authenticatorData: encode(authenticatorData),
      signature: encode(signature),
      userHandle: userHandle ? encode(userHandle) : undefined,
    },
  };
}

async function addPasskey(name, password) {
  const { public_key: options } = await call("POST", "/v1/me/passkeys/challenge", { password });
  const credential = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: decode(options.challenge),
      user: { ...options.user, id: decode(options.user.id) },
      excludeCredentials: options.excludeCredentials.map((known) => ({ ...known, id: decode(known.id) })),
    },
  });
  const { clientDataJSON, attestationObject } = credential.response;
  await call("POST", "/v1/me/passkeys", {
    name,
    credential: {
      id: credential.id,
      rawId: encode(credential.rawId),
      type: credential.type,
      response: { clientDataJSON: encode(clientDataJSON), attestationObject: encode(attestationObject) },
    },
  });
}

async function signedIn(tokens) {
  token = tokens.access_token;
  user = tokens.user.name;
  pending = null;
  for (const field of ["password", "totp", "recovery-code"]) element(field).value = "";
  await lookUp();
}

async function withPassword(secondFactor) {
  const body = secondFactor ? { ...pending, second_factor: secondFactor } : pending;
  try {
    await signedIn(await call("POST", "/v1/sessions", body));
  } catch (error) {
    if (error.code !== "second_factor_required") throw error;
    element("second-passkey").hidden = !error.factors.includes("passkey");
    element("totp-form").hidden = !error.factors.includes("totp");
    element("recovery").hidden = !error.factors.includes("recovery_code");
    show("second");
  }
}

async function lookUp() {
  let device;
  try {
    device = await call("POST", "/v1/device/lookup", { user_code: code });
  } catch (error) {
    show("code");
    if (error.code === "not_found") throw new Refused({ detail: "No device waits under this code. Look again; it may also be over." });
    throw error;
  }
  const minutes = Math.max(0, Math.floor((Date.now() / 1000 - device.created_at) / 60));
  element("agent").textContent = device.agent || "nothing";
  element("since").textContent = minutes === 0 ? "just now" : minutes === 1 ? "a minute ago" : `${minutes} minutes ago`;
  element("from").textContent = device.same_address ? "the network that this browser is on" : `another network (mark ${device.address.slice(0, 8)})`;
  element("bound").textContent = device.bound ? "works with the device's own key only" : "is not bound to a key";
  element("elsewhere").hidden = device.same_address;
  show("decide");
}

async function decide(verb, title, text) {
  await call("POST", `/v1/device/${verb}`, { user_code: code });
  show("done");
  element("done-title").textContent = title;
  element("done-text").textContent = text;
}

async function providers() {
  const { providers: list } = await call("GET", "/v1/oidc").catch(() => ({ providers: [] }));
  const place = element("providers");
  place.replaceChildren(...list.map(({ id, name }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Sign in with ${name}`;
    button.addEventListener("click", () => run(async () => {
      const { authorization_url: url } = await call("POST", `/v1/oidc/${encodeURIComponent(id)}/start`);
      sessionStorage.setItem(CODE_KEPT, code);
      location.assign(url);
    }));
    return button;
  }));
  place.hidden = list.length === 0;
}

// Back from another service: what it said goes to the server once, and out of the address bar.
async function comeBack() {
  const said = new URLSearchParams(location.search);
  const path = location.pathname;
  code = sessionStorage.getItem(CODE_KEPT) ?? "";
  sessionStorage.removeItem(CODE_KEPT);
  history.replaceState(null, "", "/device");
  const body = {};
  for (const name of ["code", "state", "iss", "error"]) if (said.has(name)) body[name] = said.get(name);
  show(code ? "sign-in" : "code");
  await signedIn(await call("POST", path, body));
}

function on(id, work) {
  const target = element(id);
  const event = target instanceof HTMLFormElement ? "submit" : "click";
  target.addEventListener(event, (happened) => {
    happened.preventDefault();
    if (target instanceof HTMLFormElement) {
      const empty = [...target.elements].find((field) => field.required && !field.value.trim());
      for (const field of target.elements) field.setAttribute?.("aria-invalid", String(field === empty));
      if (empty) return void empty.focus();
    }
    run(work);
  });
}

on("code-form", async () => {
  code = element("code").value.trim().toUpperCase();
  if (token) await lookUp();
  else show("sign-in");
});
on("passkey", async () => signedIn(await call("POST", "/v1/sessions/passkey", { credential: await usePasskey() })));
on("password-form", async () => {
  pending = { name: element("name").value.trim(), password: element("password").value };
  await withPassword();
});
on("second-passkey", async () => withPassword({ passkey: await usePasskey() }));
on("totp-form", () => withPassword({ totp: element("totp").value.trim() }));
on("recovery-form", () => withPassword({ recovery_code: element("recovery-code").value }));
on("approve", () => decide("approve", "It is in", "The device signs in within a few seconds. You can close this page."));
on("deny", () => decide("deny", "Turned away", "The device gets no access. If somebody sent you the code, tell whoever runs this service."));
on("add-form", async () => {
  await addPasskey(element("passkey-name").value.trim(), element("proof").value);
  element("proof").value = "";
  element("add-passkey").hidden = true;
  tell("The passkey is there. Next time one touch is enough.", "good");
});

element("code").addEventListener("input", ({ target }) => {
  const letters = target.value.toUpperCase().replace(/[^A-Z]/g, "").slice(0, 8);
  if (target.selectionStart === target.value.length) target.value = letters.length > 4 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : letters;
});
if (!window.PublicKeyCredential) {
  element("passkey").hidden = true;
  element("add-passkey").hidden = true;
}

await providers();
if (location.pathname.startsWith("/v1/oidc/")) {
  await run(comeBack);
} else {
  code = decodeURIComponent(location.hash.slice(1)).toUpperCase().slice(0, 11);
  if (location.hash) history.replaceState(null, "", location.pathname);
  element("code").value = code;
  show("code");
}
