//! What an operator's machinery sees: the service manager, monitoring, a collector of traces.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::{World, repository};

use crate::SOON;

fn heard(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 64];
    manager.set_read_timeout(Some(SOON)).unwrap();
    let length = manager.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn the_service_manager_hears_when_all_is_ready_and_when_it_drains() {
    let (world, manager) = World::with_manager();
    let up = world.up();
    assert_eq!(heard(&manager), "READY=1");
    assert_eq!(up.interrupt().code, Some(0));
    assert_eq!(heard(&manager), "STOPPING=1");
}

fn get(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn monitoring_sees_readiness_and_what_users_did() {
    let world = World::new();
    let socket = world.path("observe.sock");
    let _up = world.begin(Some(&format!("observe: {{socket: {}}}", socket.display()))).ready();
    // The socket comes after the ready file at the latest when the first request is answered.
    let ready = get(&socket, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    assert_ne!(alice.run(&["enclave", "show", "nothing-of-this-name"]).code, 0);
    let metrics = get(&socket, "/metrics");
    for line in [
        "sealwright_gateway_sign_ups_total 1",
        "sealwright_enclave_starts_total 1",
        r#"sealwright_gateway_refusals_total{code="not_found"} 1"#,
        r#"sealwright_state{kind="enclaves",state="running"} 1"#,
        r#"sealwright_state{kind="users",state="all"} 1"#,
        "sealwright_certificates_total 1",
        "sealwright_node_enrolments_total 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no line {line} in\n{metrics}");
    }
    assert!(
        metrics.contains(r#"sealwright_gateway_request_seconds_bucket{le="0.1",status="201"}"#),
        "{metrics}"
    );
}

/// Takes exports until nobody listens to it any more.
fn collector() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if sender.send(export(&mut stream.unwrap())).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

fn export(stream: &mut TcpStream) -> Value {
    let mut seen = Vec::new();
    loop {
        let mut more = [0; 16 << 10];
        let length = stream.read(&mut more).unwrap();
        assert!(length > 0, "an export broke off");
        seen.extend_from_slice(&more[..length]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let declared = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == declared.parse::<usize>().unwrap() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
            return serde_json::from_str(body).unwrap();
        }
    }
}

/// The spans of an export: trace, and what was done.
fn spans(export: &Value) -> Vec<(String, String)> {
    let spans = export.pointer("/resourceSpans/0/scopeSpans/0/spans").and_then(Value::as_array).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let what = |span: &Value| {
        let attributes = span["attributes"].as_array().cloned().unwrap_or_default();
        let named = |key: &str| {
            let found = attributes.iter().find(|attribute| attribute["key"] == key);
            found.map(|attribute| text(&attribute["value"]["stringValue"]))
        };
        named("what").or_else(|| named("path")).unwrap_or_else(|| text(&span["name"]))
    };
    spans.iter().map(|span| (text(&span["traceId"]), what(span))).collect()
}

/// What the creation of an enclave is made of: gateway, controller, agent, signer, and the facade, which has no network.
const PARTS: [&str; 9] = [
    "/v1/enclaves",
    "follow the start",
    "/sealwright.v1.Controller/StartEnclave",
    "start enclave",
    "measured copy",
    "/v1/self/key",
    "/v1/self/certificate",
    "start facade",
    "certify",
];

#[test]
fn one_request_is_one_trace_through_all_parts() {
    let world = World::new();
    let (address, exports) = collector();
    let _up = world.begin(Some(&format!("observe: {{traces: {{collector: \"{address}\"}}}}"))).ready();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    let mut traces: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let began = Instant::now();
    let is_whole = |whats: &BTreeSet<String>| PARTS.iter().all(|part| whats.contains(*part));
    while !traces.values().any(is_whole) {
        assert!(began.elapsed() < SOON, "no trace has all parts: {traces:#?}");
        let Ok(export) = exports.recv_timeout(Duration::from_secs(5)) else { continue };
        for (trace, what) in spans(&export) {
            traces.entry(trace).or_default().insert(what);
        }
    }
}

/// systemd's own reading of the units, with a program that is there in place of ours.
#[test]
fn the_units_are_what_systemd_reads() {
    let world = World::new();
    let folder = repository().join("deploy/systemd");
    let copies: Vec<PathBuf> = ["sealwright.service", "sealwright@.service"]
        .map(|name| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let copy = world.path(&name.replace('@', "@gateway"));
            std::fs::write(&copy, text.replace("/usr/local/bin/sealwright", "/bin/true")).unwrap();
            copy
        })
        .into();
    let said = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(copies).output();
    let said = said.expect("systemd-analyze is installed: scripts/install.sh test");
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && text.is_empty(), "{text}");
}

/// The whole way: another folder with the same accounts, keys, CA and enclaves, on which everything still verifies.
#[test]
fn a_restored_folder_is_the_same_deployment() {
    let world = World::new();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let enclave = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    let (data, file) = (world.data(), world.path("monday.tar"));
    let (data, file) = (data.to_str().unwrap(), file.to_str().unwrap());
    // A TPM that runs changes under the reader.
    let refused = alice.run(&["backup", "create", file, "--data", data, "--with-tpm"]);
    assert!(refused.code == 1 && refused.stderr.contains("in use"), "{refused:#?}");
    // Accounts and apps can be saved while all of it runs.
    let running = alice.json(&["backup", "create", &format!("{file}.running"), "--data", data]);
    assert_eq!(
        (&running["contents"]["database"], &running["contents"]["tpm"]),
        (&true.into(), &false.into())
    );
    assert_eq!(up.interrupt().code, Some(0));

    let saved = alice.json(&["backup", "create", file, "--data", data, "--with-tpm"]);
    assert_eq!(saved["contents"]["tpm"], true);
    std::fs::rename(data, world.path("lost")).unwrap();
    alice.ok(&["backup", "restore", file, "--data", data]);
    // What is the user's own, her keys among it, is no part of the deployment; in this world it lies beside it.
    std::fs::rename(world.path("lost/client"), world.data().join("client")).unwrap();
    let up = world.up();
    let again = alice.enclave_in("notes", &["running"], SOON);
    assert_eq!((&again["id"], &again["incarnation"]), (&enclave["id"], &2.into()));
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    assert_eq!(up.interrupt().code, Some(0));
}

/// A person who was told a fingerprint and two addresses needs no file.
#[test]
fn a_context_is_made_by_the_fingerprint_of_the_ca_and_by_no_other() {
    let world = World::new();
    let up = world.up();
    let alice = world.user("alice");
    let root = std::fs::read(world.data().join("ca/root.der")).unwrap();
    let fingerprint = names::Digest::of(&root).to_string();
    let place = up.place();
    let create = |name: &str, gateway: &str, fingerprint: &str| {
        let known = ["--gateway", gateway, "--edge", &place.edge, "--fingerprint", fingerprint];
        alice.run(&[&["context", "create", name][..], &known].concat())
    };
    let made = create("work", &place.url, &fingerprint);
    assert_eq!(made.code, 0, "{made:#?}");
    let shown = alice.ok(&["context", "show", "work"]);
    assert!(shown.stdout.contains(&fingerprint), "{shown:#?}");

    let other = create("other", &place.url, &"ab".repeat(32));
    assert_eq!(other.code, 3, "{other:#?}");
    assert!(other.stderr.contains("does not show the CA that you expect"), "{other:#?}");
    // The edge ends no TLS and is no gateway.
    let elsewhere = create("elsewhere", &format!("https://{}", place.edge), &fingerprint);
    assert_ne!(elsewhere.code, 0, "{elsewhere:#?}");
    for name in ["other", "elsewhere"] {
        alice.ends_with(5, &["context", "show", name]);
    }
    assert_eq!(up.interrupt().code, Some(0));
}
