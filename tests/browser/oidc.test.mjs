// Sign-in at another provider, with a certified one that we did not write, in a real browser.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PASSWORD, Portal, note, openPage } from "./portal.mjs";
import { OpenIdProvider } from "./provider.mjs";

let folder;
let provider;
let closed; // A second one, whose people get no account by themselves.
let portal;
let browser;
const faults = [];
const pictures = process.env.PICTURES;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "sealwright-oidc-"));
  const start = (id) => {
    mkdirSync(join(folder, id));
    return OpenIdProvider.start(join(folder, id), id);
  };
  provider = await start("test");
  closed = await start("closed");
  const secret = "a secret: with / + % and spaces of at least 32 bytes";
  writeFileSync(join(folder, "secret"), `${secret}\n`, { mode: 0o600 });
  const common = ({ id, issuer, ca }) => ({ id, issuer, ca_file: ca, client_id: "sealwright", client_secret_file: join(folder, "secret") });
  const providers = [{ name: "Test Id", sign_up: true, ...common(provider) }, { name: "Closed Id", sign_up: false, ...common(closed) }];
  portal = await Portal.start({ providers });
  await provider.serve(portal.origin, secret);
  await closed.serve(portal.origin, secret);
  browser = await portal.browse([provider.key, closed.key]);
});
after(async () => {
  await browser?.close();
  await portal?.stop();
  await provider?.stop();
  await closed?.stop();
  rmSync(folder, { recursive: true, force: true });
});

// At the provider: a name, and yes.
async function signInThere(page, name, there = provider) {
  await page.waitForURL((url) => url.origin === there.issuer);
  await page.fill('input[name="login"]', name);
  await page.fill('input[name="password"]', "believed");
  await page.click('button[type="submit"]');
  await page.waitForURL((url) => url.origin === portal.origin || url.pathname.startsWith("/interaction/"));
  if (new URL(page.url()).origin === there.issuer) await page.click('button[type="submit"]');
  await page.waitForURL((url) => url.origin === portal.origin);
}

// What a program began, ended in a browser of its own; the portal's answer.
async function endInBrowser(started, name, there) {
  assert.equal(started.status, 200, JSON.stringify(started.json));
  const context = await browser.newContext();
  const [pair] = started.headers["set-cookie"][0].split(";");
  const [cookie, value] = pair.split("=");
  await context.addCookies([{ name: cookie, value, url: portal.origin, secure: true, httpOnly: true, sameSite: "Lax" }]);
  const page = await openPage(context, faults);
  await page.goto(started.json.authorization_url);
  const finished = page.waitForResponse((answer) => answer.request().method() === "POST" && answer.url().endsWith("/callback"));
  await signInThere(page, name, there);
  const answer = await finished;
  note("POST", "/v1/oidc/{provider}/callback", answer.status());
  const json = await answer.json();
  await context.close();
  return { status: answer.status(), json };
}

async function letIn(name) {
  const device = await portal.beginDevice();
  const context = await browser.newContext();
  const page = await openPage(context, faults);
  await page.goto(device.verification_uri_complete);
  await page.click("#code-form button");
  if (pictures) await page.screenshot({ path: `${pictures}/9-providers.png` });
  const started = page.waitForResponse((answer) => answer.url().endsWith("/v1/oidc/test/start"));
  const finished = page.waitForResponse((answer) => answer.request().method() === "POST" && answer.url().endsWith("/callback"));
  await page.click('#providers button:has-text("Test Id")');
  note("POST", "/v1/oidc/{provider}/start", (await started).status());
  await signInThere(page, name);
  note("POST", "/v1/oidc/{provider}/callback", (await finished).status());
  await page.waitForSelector('[data-view="decide"]:not([hidden])');
  assert.equal(page.url(), `${portal.origin}/device`, "nothing of the answer stays in the address");
  // Cookies know no ports: the provider's own stay.
  const ours = (await context.cookies(portal.origin)).filter((cookie) => cookie.name.startsWith("__Host-"));
  assert.deepEqual(ours, [], "our cookie is gone");
  await page.click("#approve");
  await page.waitForSelector('[data-view="done"]:not([hidden])');
  const tokens = (await portal.askForTokens(device)).json;
  await context.close();
  return tokens;
}

test("who signs in at the provider gets an account of issuer and subject, and the same one again", async () => {
  const first = await letIn("alice");
  assert.match(first.user.name, /^test-[0-9a-f]{16}$/);
  const again = await letIn("alice");
  assert.equal(again.user.id, first.user.id);
  const other = await letIn("bob");
  assert.notEqual(other.user.id, first.user.id, "the same e-mail address opens nothing (CVE-2026-9087)");
  const listed = await portal.call("GET", "/v1/me/identities", undefined, { token: first.access_token });
  assert.equal(listed.json.identities[0].issuer, provider.issuer);
});

// GHSA-3rw9-wmc8-8948
test("the session ends when the provider's word does", async () => {
  const { access_token: token } = await letIn("erin");
  const sessions = (await portal.call("GET", "/v1/sessions", undefined, { token })).json.sessions;
  assert(sessions.length > 0);
  for (const session of sessions) assert(session.expires_at <= Date.now() / 1000 + 901, JSON.stringify(session));
});

test("an account of ours is linked by its owner, who has to prove it", async () => {
  await portal.signUp("carol");
  const token = await portal.logIn("carol");
  const path = "/v1/me/identities/test";
  assert.equal((await portal.call("POST", `${path}/start`, {}, { token })).json.code, "proof_required");
  const started = await portal.call("POST", `${path}/start`, { password: PASSWORD }, { token });
  note("POST", "/v1/me/identities/{provider}/start", started.status);
  assert.match(started.headers["set-cookie"][0], /^__Host-.*; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
  assert.equal((await endInBrowser(started, "carol-there", provider)).json.user.name, "carol");
  assert.equal((await letIn("carol-there")).user.name, "carol");
  const unlinked = await portal.call("DELETE", path, { password: PASSWORD }, { token });
  assert.equal(unlinked.status, 204);
  note("DELETE", "/v1/me/identities/{provider}", unlinked.status);
  assert.notEqual((await letIn("carol-there")).user.name, "carol");
});

test("what opens one account opens no other", async () => {
  await letIn("frank-there");
  await portal.signUp("frank");
  const token = await portal.logIn("frank");
  const started = await portal.call("POST", "/v1/me/identities/test/start", { password: PASSWORD }, { token });
  const answer = await endInBrowser(started, "frank-there", provider);
  assert.equal(answer.json.code, "identity_taken", JSON.stringify(answer));
  const listed = await portal.call("GET", "/v1/me/identities", undefined, { token });
  assert.deepEqual(listed.json.identities, []);
});

test("where nobody gets an account by themselves, only who was linked before comes in", async () => {
  const signIn = async () => endInBrowser(await portal.call("POST", "/v1/oidc/closed/start"), "grace-there", closed);
  const answer = await signIn();
  assert.equal(answer.json.code, "identity_unknown", JSON.stringify(answer));
  await portal.signUp("grace");
  const token = await portal.logIn("grace");
  const started = await portal.call("POST", "/v1/me/identities/closed/start", { password: PASSWORD }, { token });
  assert.equal((await endInBrowser(started, "grace-there", closed)).json.user.name, "grace");
  assert.equal((await signIn()).json.user.name, "grace");
});

// CVE-2026-9087: what one provider said was believed of another.
test("what was begun at one provider does not end at another", async () => {
  for (const [here, there] of [["test", "closed"], ["closed", "test"]]) {
    const begun = await portal.call("POST", `/v1/oidc/${here}/start`);
    const cookie = begun.headers["set-cookie"][0].split(";")[0];
    const state = new URL(begun.json.authorization_url).searchParams.get("state");
    const answer = await portal.call("POST", `/v1/oidc/${there}/callback`, { code: "x", state }, { headers: { cookie } });
    assert.equal(answer.json.code, "oidc_refused");
    assert.match(answer.json.detail, /has not begun this sign-in/, "before any provider is asked");
  }
});

test("an answer that this browser has not asked for is refused", async () => {
  const callback = "/v1/oidc/test/callback";
  const begun = await portal.call("POST", "/v1/oidc/test/start");
  const cookie = begun.headers["set-cookie"][0].split(";")[0];
  const state = new URL(begun.json.authorization_url).searchParams.get("state");
  const refused = async (body, headers, why) => {
    const answer = await portal.call("POST", callback, body, { headers });
    assert.equal(answer.json.code, "oidc_refused", `${why}: ${JSON.stringify(answer.json)}`);
  };
  await refused({ code: "x", state }, {}, "no cookie");
  await refused({ code: "x", state: "another" }, { cookie }, "another state");
  await refused({ code: "x", state }, { cookie: `${cookie.slice(0, -2)}00` }, "a changed cookie");
  await refused({ code: "x", state }, { cookie: `${cookie}; ${cookie}` }, "a cookie twice");
  await refused({ code: "x", state, iss: "https://evil.example" }, { cookie }, "another issuer");
  await refused({ error: "access_denied", state }, { cookie }, "the provider says no");
  await refused({ code: "made-up", state }, { cookie }, "a code that the provider does not know");
  const opened = await portal.call("GET", `${callback}?code=x&state=${state}`, undefined, { headers: { cookie } });
  assert.match(opened.headers["content-type"], /^text\/html/, "GET only shows the page");
  assert.equal(opened.headers["set-cookie"], undefined);
  assert.equal((await portal.call("POST", "/v1/oidc/other/start")).json.code, "not_found");
});

// CVE-2026-33709, CVE-2019-10255
test("no parameter leads the page away from here", async () => {
  const context = await browser.newContext();
  const page = await openPage(context, faults);
  for (const next of ["//evil.example", "/\\evil.example", "https://evil.example", "%2f%2fevil.example", "javascript:alert(1)", "\thttps:evil.example"]) {
    for (const path of ["/device", "/v1/oidc/test/callback"]) {
      const query = ["next", "redirect_uri", "return_to", "url"].map((name) => `${name}=${encodeURIComponent(next)}`).join("&");
      await page.goto(`${portal.origin}${path}?${query}#${encodeURIComponent(next)}`);
      await page.waitForFunction(() => !document.querySelector('[data-view="code"]').hidden);
      assert.equal(new URL(page.url()).origin, portal.origin);
    }
  }
  await context.close();
});

test("nothing went wrong in the pages", () => assert.deepEqual(faults, []));
