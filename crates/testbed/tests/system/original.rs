//! Clients of the original (portal.md 1.1) with the real system: programs that we did not write log in, ask the enclave, and check the
//! quote by themselves.

use std::fs;
use std::process::Command;

use serde_json::Value;
use testbed::{PASSWORD, Up, World};

const CONFIG: &str = "gateway: {default_app: hello}\n";

/// Runs a program that has to be there, and has to succeed.
fn ok(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}: scripts/install.sh test brings it"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {stdout}\n{stderr}");
    stdout.into_owned()
}

/// A client's own key and certificate, made by openssl.
struct Client {
    certificate: String,
    key: String,
}

fn client(world: &World) -> Client {
    let path = |name: &str| world.path(name).to_string_lossy().into_owned();
    let client = Client { certificate: path("client.crt"), key: path("client.key") };
    let curve =
        ["-pkeyopt", "ec_paramgen_curve:P-256", "-sha256", "-nodes", "-days", "1", "-subj", "/CN=client"];
    let files = ["-keyout", &client.key, "-out", &client.certificate];
    ok("openssl", &[&["req", "-x509", "-newkey", "ec"], &curve[..], &files].concat());
    client
}

/// A running `up` with an app that logins provision, and an account.
fn begin(world: &World) -> Up {
    let up = world.begin(Some(CONFIG)).ready();
    let publisher = world.user("publisher");
    publisher.sign_up();
    publisher.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    up
}

/// What curl gets, as JSON, with its status.
fn curl(up: &Up, client: &Client, url: &str, more: &[&str], body: &Value) -> (u16, Value) {
    let (ca, body) = (up.place().ca_file.to_string_lossy().into_owned(), body.to_string());
    let tls = ["--cacert", &ca, "--cert", &client.certificate, "--key", &client.key, "--noproxy", "*"];
    let form = ["--silent", "--show-error", "--max-time", "120", "--write-out", "\n%{http_code}"];
    let sent = ["-H", "content-type: application/json", "--data", &body, url];
    let text = ok("curl", &[&tls[..], &form, more, &sent].concat());
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

fn gateway(up: &Up) -> String {
    up.place().url.replace("127.0.0.1", "localhost")
}

/// The README's steps of docs/formats.md, 8, done by openssl, tpm2-tools and coreutils alone.
fn check_quote(world: &World, answer: &Value, nonce: &str) {
    let text =
        |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("no {field}: {answer:#}")).to_owned();
    let file = |name: &str| world.path(name).to_string_lossy().into_owned();
    for (field, name) in [("attestationPublicKey", "ak.pem"), ("certificate", "enclave.pem")] {
        fs::write(world.path(name), text(field)).unwrap();
    }
    for field in ["quote", "quoteSignature", "statement"] {
        fs::write(world.path(&format!("{field}.base64")), text(field)).unwrap();
        let script = format!("base64 --decode {0}.base64 >{0}", file(field));
        ok("bash", &["-c", &script]);
    }
    let statement = fs::read(world.path("statement")).unwrap();
    let hex: String = statement.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(hex.contains(&format!("0020{nonce}")), "the nonce is field 4: {hex}");
    let script = format!("openssl x509 -in {} -outform DER | sha256sum | cut -c1-64", file("enclave.pem"));
    let digest = ok("bash", &["-c", &script]);
    assert!(hex.contains(&format!("002101{}", digest.trim())), "the certificate is field 15: {hex}");
    let qualification =
        ok("/usr/bin/python3", &["-c", ROOT, &file("statement"), &answer["proof"].to_string()]);
    let (key, quote, signature) = (file("ak.pem"), file("quote"), file("quoteSignature"));
    let inputs = ["-u", &key, "-m", &quote, "-s", &signature, "-g", "sha256", "-q", qualification.trim()];
    ok("tpm2_checkquote", &inputs);
    // The check is one: another byte of extraData is refused.
    let other = format!("{}00", &qualification.trim()[..62]);
    let wrong = ["-u", &key, "-m", &quote, "-s", &signature, "-g", "sha256", "-q", &other];
    assert!(!Command::new("tpm2_checkquote").args(wrong).output().unwrap().status.success());
}

/// RFC 9162, 2.1.3.2, and what a quote's extraData is for a root: in a few lines of somebody else's language.
const ROOT: &str = r#"
import hashlib, json, sys
sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
proof = json.loads(sys.argv[2])
node, index, last = sha(b"\0", open(sys.argv[1], "rb").read()), proof["index"], proof["count"] - 1
for other in map(bytes.fromhex, proof["path"]):
    if index & 1 or index == last:
        node = sha(b"\1", other, node)
        while not index & 1 and index:
            index, last = index >> 1, last >> 1
    else:
        node = sha(b"\1", node, other)
    index, last = index >> 1, last >> 1
assert last == 0
print(sha(b"sealwright/quote/v1", proof["count"].to_bytes(4, "big"), node).hex())
"#;

#[test]
fn curl_logs_in_and_asks_the_enclave_and_tpm2_tools_check_what_it_says() {
    let world = World::new();
    let up = begin(&world);
    let client = client(&world);
    let who = serde_json::json!({"username": "alice", "password": PASSWORD});
    let (status, answer) = curl(&up, &client, &format!("{}/signup", gateway(&up)), &[], &who);
    assert_eq!((status, &answer["success"]), (200, &Value::Bool(true)), "{answer}");

    let nonce = "1f".repeat(32);
    let login = serde_json::json!({"username": "alice", "password": PASSWORD, "nonce": nonce});
    let (status, login) = curl(&up, &client, &format!("{}/login", gateway(&up)), &[], &login);
    assert_eq!((status, &login["enclaveName"]), (200, &Value::from("hello")), "{login}");
    check_quote(&world, &login, &nonce);

    // At the enclave itself; its name is never resolved.
    let point = login["accessPoint"].as_str().unwrap();
    let to_edge = format!("::{}", up.place().edge);
    let bearer = format!("authorization: Bearer {}", login["token"].as_str().unwrap());
    let nonce = "e1".repeat(32);
    let body = serde_json::json!({"username": "alice", "nonce": nonce});
    let more = ["--connect-to", &to_edge, "-H", &bearer];
    let (status, welcome) = curl(&up, &client, &format!("{point}/enclave"), &more, &body);
    assert_eq!(status, 200, "{welcome}");
    check_quote(&world, &welcome, &nonce);
    assert_eq!(welcome["certificate"], login["certificate"]);
    assert_eq!(welcome["attestationPublicKey"], login["attestationPublicKey"]);

    let body = serde_json::json!({"username": "bob"});
    let (status, refused) = curl(&up, &client, &format!("{point}/enclave"), &more, &body);
    assert_eq!((status, refused), (400, serde_json::json!({"error": "Not Authorized"})));
    let body = serde_json::json!({"username": "alice"});
    let without = ["--connect-to", &to_edge];
    let (status, refused) = curl(&up, &client, &format!("{point}/enclave"), &without, &body);
    assert_eq!((status, refused), (401, serde_json::json!({"error": "Authorization header missing"})));
}

/// The original's own platform, with nothing but what it brings.
#[test]
fn node_logs_in_and_verifies_the_signature_over_its_nonce() {
    let world = World::new();
    let up = begin(&world);
    let client = client(&world);
    let script = world.path("client.mjs");
    fs::write(&script, NODE).unwrap();
    let place = up.place();
    let said = ok(
        "node",
        &[
            &script.to_string_lossy(),
            &gateway(&up),
            &place.edge,
            &place.ca_file.to_string_lossy(),
            &client.certificate,
            &client.key,
            PASSWORD,
        ],
    );
    assert!(said.contains("verified: login") && said.contains("verified: enclave"), "{said}");
}

const NODE: &str = r#"
import assert from "node:assert";
import { X509Certificate, createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";

const [gateway, edge, ca, cert, key, password] = process.argv.slice(2);
const own = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key), agent: false };

const post = (url, options, body) =>
  new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text), ...options.headers };
    const asked = request(url, { method: "POST", ...own, ...options, headers }, (answer) => {
      const shown = answer.socket.getPeerX509Certificate().raw;
      let said = "";
      answer.setEncoding("utf8").on("data", (piece) => (said += piece));
      answer.on("end", () => resolve({ status: answer.statusCode, shown, body: JSON.parse(said) }));
    });
    asked.on("error", reject).end(text);
  });

const sha = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const bytes = (text) => Buffer.from(text, "base64");

/// The statement holds nonce and certificate; the quote commits to the statement; the key signed the quote.
const check = (answer, nonce) => {
  const statement = bytes(answer.statement);
  const certificate = new X509Certificate(answer.certificate).raw;
  assert(statement.includes(Buffer.concat([Buffer.from([0, 32]), nonce])), "nonce");
  assert(statement.includes(Buffer.concat([Buffer.from([0, 33, 1]), sha(certificate)])), "certificate");
  const { index: at, count, path } = answer.proof;
  let [index, last, node] = [at, count - 1, sha(Buffer.from([0]), statement)];
  for (const other of path.map((text) => Buffer.from(text, "hex"))) {
    if (index & 1 || index === last) {
      node = sha(Buffer.from([1]), other, node);
      while (!(index & 1) && index) [index, last] = [index >> 1, last >> 1];
    } else node = sha(Buffer.from([1]), node, other);
    [index, last] = [index >> 1, last >> 1];
  }
  assert.equal(last, 0);
  const leaves = Buffer.alloc(4);
  leaves.writeUInt32BE(count);
  const quote = bytes(answer.quote);
  // TPM 2.0 Part 2, 10.12.12: magic, type, qualifiedSigner, extraData.
  assert.equal(quote.readUInt32BE(0), 0xff544347);
  assert.equal(quote.readUInt16BE(4), 0x8018);
  const extra = 6 + 2 + quote.readUInt16BE(6);
  const length = quote.readUInt16BE(extra);
  const data = quote.subarray(extra + 2, extra + 2 + length);
  assert.deepEqual(data, sha(Buffer.from("sealwright/quote/v1"), leaves, node));
  // TPMT_SIGNATURE: ECDSA with SHA-256, r and s.
  const signature = bytes(answer.quoteSignature);
  assert.deepEqual([signature.readUInt16BE(0), signature.readUInt16BE(2)], [0x0018, 0x000b]);
  const r = signature.subarray(6, 6 + signature.readUInt16BE(4));
  const s = signature.subarray(6 + r.length + 2);
  const pad = (number) => Buffer.concat([Buffer.alloc(32 - number.length), number]);
  const signer = { key: createPublicKey(answer.attestationPublicKey), dsaEncoding: "ieee-p1363" };
  assert(verify("sha256", quote, signer, Buffer.concat([pad(r), pad(s)])), "signature");
  quote[quote.length - 1] ^= 1;
  assert(!verify("sha256", quote, signer, Buffer.concat([pad(r), pad(s)])), "a changed quote");
  return certificate;
};

const who = { username: "carol", password };
assert.equal((await post(`${gateway}/signup`, {}, who)).body.success, true);
const first = randomBytes(32);
const login = await post(`${gateway}/login`, {}, { ...who, nonce: first.toString("base64url") });
assert.equal(login.status, 200, JSON.stringify(login.body));
check(login.body, first);
console.log("verified: login");

const second = randomBytes(32);
const [host, port] = edge.split(":");
const name = new URL(login.body.accessPoint).hostname;
// The name is for TLS and HTTP; what is dialled is the edge.
const options = { hostname: host, port, path: "/enclave", servername: name, headers: { host: name, authorization: `Bearer ${login.body.token}` } };
const enclave = await post(new URL(login.body.accessPoint), options, { username: "carol", nonce: second.toString("hex") });
assert.equal(enclave.status, 200, JSON.stringify(enclave.body));
// What is verified is what this very connection showed.
assert.deepEqual(check(enclave.body, second), enclave.shown);
console.log("verified: enclave");
"#;
