// `sealwright up` in a folder of its own, and a browser that trusts it. Ended by pid, each by the one that started it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import tls from "node:tls";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const programs = process.env.SEALWRIGHT_PROGRAMS ?? resolve(here, "../../target/debug");
export const PASSWORD = "a long enough password";

export class Portal {
  static async start(config = {}) {
    const portal = new Portal();
    portal.folder = mkdtempSync(join(tmpdir(), "sealwright-browser-"));
    const ready = join(portal.folder, "ready.json");
    const settings = join(portal.folder, "up.yaml");
    writeFileSync(settings, JSON.stringify(config)); // JSON is YAML
    const log = [];
    const child = spawn(
      join(programs, "sealwright"),
      ["up", "--data", join(portal.folder, "data"), "--config", settings, "--ready-file", ready],
      { env: { PATH: process.env.PATH, HOME: portal.folder }, stdio: ["ignore", "ignore", "pipe"] },
    );
    portal.child = child;
    portal.log = log;
    child.stderr.on("data", (piece) => log.push(piece.toString()));
    await new Promise((done, failed) => {
      child.on("exit", (status) => failed(new Error(`up ended with ${status}:\n${log.join("")}`)));
      child.stderr.on("data", () => log.join("").includes("up: ready") && done());
    });
    assert(existsSync(ready));
    portal.port = Number(new URL(JSON.parse(readFileSync(ready)).url).port);
    portal.origin = `https://localhost:${portal.port}`;
    portal.root = readFileSync(join(portal.folder, "data/ca/root.pem"));
    await portal.learnKey();
    return portal;
  }

  // The certificate is checked here against the CA; the browser is told its key, because it has no store of ours.
  async learnKey() {
    const socket = tls.connect({ port: this.port, host: "localhost", servername: "localhost", ca: this.root });
    await new Promise((done, failed) => socket.once("secureConnect", done).once("error", failed));
    assert(socket.authorized);
    const { publicKey } = new X509Certificate(socket.getPeerCertificate().raw);
    this.key = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
    socket.destroy();
  }

  // A request as a program sends it, over checked TLS.
  call(method, path, body, { token, form, headers = {} } = {}) {
    const bytes = form ? new URLSearchParams(form).toString() : body === undefined ? "" : JSON.stringify(body);
    const type = form ? "application/x-www-form-urlencoded" : "application/json";
    const all = { "user-agent": "sealwright/0.1 (browser test)", ...headers };
    if (bytes) Object.assign(all, { "content-type": type, "content-length": Buffer.byteLength(bytes) });
    if (token) all.authorization = `Bearer ${token}`;
    return new Promise((done, failed) => {
      const request = https.request({ host: "localhost", port: this.port, path, method, ca: this.root, headers: all, agent: false });
      request.on("error", failed);
      request.on("response", (answer) => {
        const pieces = [];
        answer.on("data", (piece) => pieces.push(piece));
        answer.on("end", () => {
          const text = Buffer.concat(pieces).toString();
          const isJson = /json/.test(answer.headers["content-type"] ?? "");
          done({ status: answer.statusCode, headers: answer.headers, json: isJson && text ? JSON.parse(text) : null });
        });
      });
      request.end(bytes);
    });
  }

  async signUp(name) {
    const answer = await this.call("POST", "/v1/users", { name, password: PASSWORD });
    assert.equal(answer.status, 201, JSON.stringify(answer.json));
  }

  async logIn(name) {
    const answer = await this.call("POST", "/v1/sessions", { name, password: PASSWORD });
    assert.equal(answer.status, 200, JSON.stringify(answer.json));
    return answer.json.access_token;
  }

  async beginDevice() {
    const answer = await this.call("POST", "/v1/device/authorization", undefined, { form: { client_id: "sealwright" } });
    assert.equal(answer.status, 200, JSON.stringify(answer.json));
    return answer.json;
  }

  askForTokens(device) {
    const grant_type = "urn:ietf:params:oauth:grant-type:device_code";
    return this.call("POST", "/v1/device/token", undefined, { form: { grant_type, device_code: device.device_code, client_id: "sealwright" } });
  }

  // Chromium with a new profile. `trusted` are further keys, of servers that the test itself started.
  async browse(trusted = []) {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
        `--ignore-certificate-errors-spki-list=${[this.key, ...trusted].join(",")}`,
      ],
    });
    return browser;
  }

  async stop() {
    const { child } = this;
    child.removeAllListeners("exit");
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// Says that an operation of the API's document was answered, for `cargo xtask covered`, which counts those of all tests.
export function note(method, template, status) {
  const log = process.env.CONTRACT_LOG;
  if (log) appendFileSync(log, `${method} ${template} ${status} -\n`);
}

// A page whose errors and refused loads fail the test.
export async function openPage(context, faults) {
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  // The other provider's own pages want fonts from elsewhere: no page here may fetch from outside this machine.
  await page.route((url) => url.hostname !== "localhost" && url.hostname !== "127.0.0.1", (route) => route.abort("aborted"));
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (said) => {
    // Answers of 4xx are expected and said by the browser; what our policy refuses is not.
    if (said.type() === "error" && !said.text().includes("Failed to load resource") && said.location().url.includes("/device")) faults.push(`console: ${said.text()}`);
  });
  page.on("requestfailed", (request) => {
    // What a navigation cuts off is no fault.
    const why = request.failure()?.errorText;
    if (why !== "net::ERR_ABORTED") faults.push(`request: ${request.url()} ${why}`);
  });
  return page;
}

// An authenticator of the browser that verifies its user (CDP, WebAuthn domain).
export async function addAuthenticator(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  return { session, authenticatorId };
}
