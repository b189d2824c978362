// The device page in a real browser: password, one-time code, passkey; yes and no; what other pages cannot do.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { PASSWORD, Portal, addAuthenticator, openPage } from "./portal.mjs";

let portal;
let browser;
const faults = [];
const pictures = process.env.PICTURES;

before(async () => {
  portal = await Portal.start();
  browser = await portal.browse();
});
after(async () => {
  await browser?.close();
  await portal?.stop();
});

async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: `${pictures}/${name}.png` });
}

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 900, height: 900 }, ...options });
  return openPage(context, faults);
}

async function withPassword(page, name) {
  await page.fill("#name", name);
  await page.fill("#password", PASSWORD);
  await page.click("#password-form button");
}

// RFC 6238 by node's own HMAC.
function oneTimeCode(base32, step) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...base32].map((letter) => letters.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const count = Buffer.alloc(8);
  count.writeBigUInt64BE(BigInt(step));
  const tag = createHmac("sha1", key).update(count).digest();
  const place = tag.at(-1) & 15;
  return String((tag.readUInt32BE(place) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

test("a person types the code, signs in with the password and says yes", async () => {
  await portal.signUp("alice");
  const device = await portal.beginDevice();
  const page = await open();
  await page.goto(device.verification_uri);
  await page.waitForSelector('[data-view="code"]:not([hidden])');
  await picture(page, "1-code");
  await page.locator("#code").pressSequentially(device.user_code.replace("-", "").toLowerCase());
  assert.equal(await page.inputValue("#code"), device.user_code);
  await page.click("#code-form button");
  await page.waitForSelector('[data-view="sign-in"]:not([hidden])');
  await picture(page, "2-sign-in");
  await withPassword(page, "alice");
  await page.waitForSelector('[data-view="decide"]:not([hidden])');
  await picture(page, "3-decide");
  assert.equal(await page.textContent("#agent"), "sealwright/0.1 (browser test)");
  assert.match(await page.textContent("#since"), /just now|minute/);
  assert.equal(await page.textContent("dd.code-shown"), device.user_code);
  assert.equal((await portal.askForTokens(device)).json.error, "authorization_pending");
  await page.click("#approve");
  await page.waitForSelector('[data-view="done"]:not([hidden])');
  await picture(page, "4-done");
  const tokens = await portal.askForTokens(device);
  assert.equal(tokens.json.user?.name, "alice", JSON.stringify(tokens.json));
  assert.equal((await portal.call("GET", "/v1/me", undefined, { token: tokens.json.access_token })).status, 200);
  await page.context().close();
});

test("a passkey is registered on the page and signs in without a password", async () => {
  await portal.signUp("bob");
  const first = await portal.beginDevice();
  const page = await open();
  const { session, authenticatorId } = await addAuthenticator(page);
  await page.goto(first.verification_uri_complete);
  await page.waitForSelector('[data-view="code"]:not([hidden])');
  assert.equal(page.url(), first.verification_uri, "the code is taken out of the address");
  assert.equal(await page.inputValue("#code"), first.user_code);
  await page.click("#code-form button");
  await withPassword(page, "bob");
  await page.click("#deny");
  await page.waitForSelector('[data-view="done"]:not([hidden])');
  assert.equal((await portal.askForTokens(first)).json.error, "access_denied");
  await page.click("#add-passkey summary");
  await page.fill("#proof", "a wrong password here");
  await page.click("#add-form button");
  await page.waitForSelector("#status.bad:not([hidden])");
  await page.fill("#proof", PASSWORD);
  await picture(page, "5-add-passkey");
  await page.click("#add-form button");
  await page.waitForSelector("#status.good:not([hidden])");
  const { credentials } = await session.send("WebAuthn.getCredentials", { authenticatorId });
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].rpId, "localhost");

  const second = await portal.beginDevice();
  await page.goto(second.verification_uri_complete);
  await page.reload(); // a new start: nothing is remembered
  await page.fill("#code", second.user_code);
  await page.click("#code-form button");
  await page.click("#passkey");
  await page.waitForSelector('[data-view="decide"]:not([hidden])');
  await page.click("#approve");
  await page.waitForSelector('[data-view="done"]:not([hidden])');
  assert.equal((await portal.askForTokens(second)).json.user?.name, "bob");

  // And it is the second factor after the password.
  const third = await portal.beginDevice();
  await page.goto("about:blank");
  await page.goto(third.verification_uri_complete);
  await page.click("#code-form button");
  await withPassword(page, "bob");
  await page.click("#second-passkey");
  await page.waitForSelector('[data-view="decide"]:not([hidden])');
  await page.context().close();
});

test("a one-time code is asked for after the password, and a wrong one is told", async () => {
  await portal.signUp("carol");
  const token = await portal.logIn("carol");
  const offer = (await portal.call("POST", "/v1/me/totp", { password: PASSWORD }, { token })).json;
  const step = Math.floor(Date.now() / 30_000);
  const confirmed = await portal.call("PUT", "/v1/me/totp", { code: oneTimeCode(offer.secret, step - 1) }, { token });
  assert.equal(confirmed.status, 204);
  const device = await portal.beginDevice();
  const page = await open({ colorScheme: "dark" });
  await page.goto(device.verification_uri_complete);
  await page.click("#code-form button");
  await withPassword(page, "carol");
  await page.waitForSelector('[data-view="second"]:not([hidden])');
  await page.fill("#totp", "000000");
  await page.click("#totp-form button");
  await page.waitForSelector("#status.bad:not([hidden])");
  await picture(page, "6-second-dark");
  await page.fill("#totp", oneTimeCode(offer.secret, Math.floor(Date.now() / 30_000)));
  await page.click("#totp-form button");
  await page.waitForSelector('[data-view="decide"]:not([hidden])');
  await picture(page, "7-decide-dark");
  await page.context().close();
});

test("the page works by keyboard alone and fits a phone", async () => {
  await portal.signUp("dora");
  const device = await portal.beginDevice();
  const page = await open({ viewport: { width: 360, height: 740 } });
  await page.goto(device.verification_uri);
  await page.waitForFunction(() => document.activeElement?.id === "code");
  await page.keyboard.type(device.user_code.replace("-", ""));
  await page.keyboard.press("Enter");
  await page.waitForSelector('[data-view="sign-in"]:not([hidden])');
  await page.focus("#name");
  await page.keyboard.type("dora");
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await page.waitForSelector('[data-view="decide"]:not([hidden])');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Let this device in?");
  await picture(page, "8-decide-phone");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert(wide <= 0, `scrolls sideways by ${wide}`);
  const unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("input")].filter((input) => !input.labels?.length).map((input) => input.id));
  assert.deepEqual(unnamed, []);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "deny", "no comes first");
  await page.keyboard.press("Enter");
  await page.waitForSelector('[data-view="done"]:not([hidden])');
  assert.equal((await portal.askForTokens(device)).json.error, "access_denied");
  await page.context().close();
});

// GHSA-m3cr-vc2j-pm27, CVE-2024-28233, CVE-2026-40864
test("another site's page can neither decide, nor frame the page, nor read an answer", async () => {
  const other = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end(`<!doctype html><title>other</title><iframe src="${portal.origin}/device"></iframe>
      <form id="f" method="post" enctype="text/plain" action="${portal.origin}/v1/device/approve"><input name='{"user_code":"x","y":"' value='"}'></form>`);
  });
  await new Promise((done) => other.listen(0, "127.0.0.1", done));
  const page = await (await browser.newContext()).newPage(); // its errors are what is expected
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const read = await page.evaluate(async (origin) => {
    try {
      await fetch(`${origin}/v1/health`);
      return "read";
    } catch {
      return "refused";
    }
  }, portal.origin);
  assert.equal(read, "refused");
  const framed = page.frames().find((frame) => frame !== page.mainFrame());
  assert.equal(await framed.locator("#code").count(), 0);
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.url().endsWith("/v1/device/approve")),
    page.evaluate(() => document.getElementById("f").submit()),
  ]);
  assert.equal(answer.status(), 403);
  assert.equal((await answer.json()).code, "cross_site");
  await page.context().close();
  await new Promise((done) => other.close(done));
});

test("nothing went wrong in the pages, and they kept nothing", async () => {
  assert.deepEqual(faults, []);
  const page = await open();
  await page.goto(`${portal.origin}/device`);
  assert.deepEqual(await page.context().cookies(), []);
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  await page.context().close();
});
