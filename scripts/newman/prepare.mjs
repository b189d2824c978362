// What a run of the collection needs and can't make itself: a manifest whose files are uploaded, and a record that a publisher signed.
// `node prepare.mjs APP OUT`: APP was published by the command under its own name; OUT becomes newman's environment.
import { X509Certificate, createPrivateKey, sign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";

const { SEALWRIGHT_URL: url, SEALWRIGHT_CA, SEALWRIGHT_CERT, SEALWRIGHT_KEY } = process.env;
const [app, out] = process.argv.slice(2);
const tls = { ca: readFileSync(SEALWRIGHT_CA), cert: readFileSync(SEALWRIGHT_CERT), key: readFileSync(SEALWRIGHT_KEY) };

const call = (method, path, token, body) =>
  new Promise((resolve, reject) => {
    const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) };
    const asked = request(url + path, { method, headers, ...tls }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (piece) => (text += piece));
      answer.on("end", () =>
        answer.statusCode < 300 ? resolve(text && JSON.parse(text)) : reject(new Error(`${method} ${path}: ${text}`)),
      );
    });
    asked.on("error", reject).end(body && JSON.stringify(body));
  });

const reader = { name: "prepare", password: "a password for preparing" };
await call("POST", "/v1/users", null, reader);
const { access_token } = await call("POST", "/v1/sessions", null, reader);
const { manifest, version, digest } = await call("GET", `/v1/apps/${app}`, access_token);

const name = "postman-hello";
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const leaf = new X509Certificate(tls.cert).raw.toString("base64");
const signed = [
  encode({ alg: "ES256", typ: "sealwright-record+jwt", x5c: [leaf] }),
  encode({ name, version, digest, issued_at: Math.floor(Date.now() / 1000) }),
].join(".");
const signature = sign("sha256", Buffer.from(signed), { key: createPrivateKey(tls.key), dsaEncoding: "ieee-p1363" });

const values = { url, app: name, manifest: JSON.stringify(manifest), record: `${signed}.${signature.toString("base64url")}` };
writeFileSync(
  out,
  JSON.stringify({ name: "run", values: Object.entries(values).map(([key, value]) => ({ key, value, enabled: true })) }),
);
