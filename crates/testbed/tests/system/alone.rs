//! Every part in a process of its own, from its own configuration file: the same whole as `up`.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use client::{Anchor, Context};
use fixtures::{Access, Server};
use names::Level;
use rustix::process::{Pid, Signal, kill_process};
use testbed::{World, until};

const SOON: Duration = Duration::from_secs(90);

struct Part {
    name: &'static str,
    child: Child,
}

impl Part {
    fn start(world: &World, name: &'static str, config: &str) -> Self {
        let (file, log) = (world.path(&format!("{name}.yaml")), world.path(&format!("{name}.log")));
        fs::write(&file, config).unwrap();
        let program = world.program("sealwright");
        let checked =
            Command::new(&program).args([name, "--check-config", "--config"]).arg(&file).output().unwrap();
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        assert!(serde_json::from_slice::<serde_json::Value>(&checked.stdout).is_ok(), "{name} prints JSON");
        let child = Command::new(program)
            .args([name, "--config"])
            .arg(&file)
            .env("SEALWRIGHT_LOG", "info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        Self { name, child }
    }

    /// SIGTERM, and the exit code.
    fn stop(mut self) -> (&'static str, Option<i32>) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        (self.name, self.child.wait().unwrap().code())
    }
}

/// What a part's log says after this word.
fn logged(world: &World, name: &str, word: &str) -> String {
    until(SOON, &format!("{name} logs {word}"), || {
        let log = fs::read_to_string(world.path(&format!("{name}.log"))).ok()?;
        let (_, rest) = log.split_once(word)?;
        Some(rest.split_whitespace().next()?.to_owned())
    })
}

fn folder(path: &Path, mode: u32) -> String {
    DirBuilder::new().recursive(true).mode(mode).create(path).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn seven_processes_with_seven_files_are_the_same_whole() {
    let world = World::new();
    let database = world.data().join("db.sqlite");
    check(&world, &database.to_string_lossy());
}

#[test]
fn gateway_and_controller_alone_share_a_postgresql_database() {
    let server = Server::start(Access::Socket);
    check(&World::new(), &server.new_database());
}

fn check(world: &World, database: &str) {
    let data = folder(&world.data(), 0o711);
    let at = |name: &str| folder(&world.data().join(name), 0o711);
    let (run, ca, verifier, agent) = (at("run"), at("ca"), at("verifier"), at("agent"));
    let (blobs, apps, enclaves) = (at("blobs"), at("apps"), at("enclaves"));
    let introductions = folder(&world.data().join("introductions"), 0o700);
    let facade = world.program("sealwright-facade");
    let facade = facade.to_string_lossy();
    let domain = "trust_domain: sealwright.internal";

    let mut parts = vec![
        Part::start(
            world,
            "signer",
            &format!(
                "tpm: swtpm:{data}/tpm-signer\nintroductions: {introductions}\nsigner: {{socket: {run}/signer.sock, directory: {ca}, {domain}, min_level: simulated, root_level: simulated}}\n"
            ),
        ),
        Part::start(
            world,
            "agent",
            &format!(
                "tpm: swtpm:{data}/tpm-node\nsimulated: {{facade: {facade}, node_policy: {verifier}/node-policy.json, endorsement_anchor: {verifier}/anchor.der, endorsement_issuer: {verifier}/issuer.der}}\nagent: {{node: one, {domain}, folder: {agent}, agent_socket: {run}/agent.sock, admin_socket: {run}/admin.sock, verifier_socket: {run}/verifier.sock, signer_socket: {run}/signer.sock, boot_log: {agent}/boot.bin, ima_log: {agent}/ima.txt}}\n"
            ),
        ),
    ];
    until(SOON, "the signer's root and the node's logs", || {
        let there = |path: String| Path::new(&path).exists();
        (there(format!("{ca}/root.der")) && there(format!("{run}/admin.sock"))).then_some(())
    });
    parts.push(Part::start(world, "verifier", &format!(
        "introductions: {introductions}\nroot: {ca}/root.der\nverifier: {{socket: {run}/verifier.sock, signer_socket: {run}/signer.sock, directory: {verifier}, {domain}, endorsement_anchors: [{{certificate: {verifier}/anchor.der, level: simulated, name: swtpm}}], endorsement_intermediates: [{verifier}/issuer.der], node_policy: {verifier}/node-policy.json, root_level: simulated}}\n"
    )));
    parts.push(Part::start(world, "controller", &format!(
        "database: \"{database}\"\ncontroller: {{socket: {run}/controller.sock, admin_socket: {run}/admin.sock, agent_socket: {run}/agent.sock, jwks_file: {run}/jwks.json, blobs: {blobs}, apps: {apps}, enclaves: {enclaves}, facade: {facade}, {domain}, issuer: \"spiffe://sealwright.internal/part/gateway\"}}\n"
    )));
    parts.push(Part::start(
        world,
        "edge",
        &format!("listen: 127.0.0.1:0\ncontroller: {run}/controller.sock\n"),
    ));
    let edge = logged(world, "edge", "edge listens address=");
    parts.push(Part::start(world, "gateway", &format!(
        "introductions: {introductions}\ndatabase: \"{database}\"\ngateway: {{listen: \"127.0.0.1:0\", edge: \"{edge}\", {domain}, controller: {run}/controller.sock, blobs: {blobs}, jwks: {run}/jwks.json, factors: {{key_file: {data}/factors.key}}, license_key: {data}/license.key}}\n"
    )));
    let gateway = logged(world, "gateway", "gateway listens address=");
    logged(world, "agent", "enrolled node=");

    let root = fs::read(format!("{ca}/root.der")).unwrap();
    let anchor = Anchor { name: "CA".into(), certificate: root, level: Level::Simulated };
    let domain = "sealwright.internal".parse().unwrap();
    let context = Context::new(gateway.parse().unwrap(), edge.parse().unwrap(), domain, vec![anchor]);
    context.save(&world.context()).unwrap();

    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    // The other way round: who others depend on ends last.
    for part in parts.into_iter().rev() {
        let (name, code) = part.stop();
        assert_eq!(code, Some(0), "{name}");
    }
}
