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
use sandbox::Feature;
use testbed::{World, may_dump_core, secret_pages, until};

const SOON: Duration = Duration::from_secs(90);

pub(crate) struct Part {
    name: &'static str,
    child: Child,
}

impl Part {
    fn start(world: &World, name: &'static str, config: &str) -> Self {
        Self::start_as(world, name, name, config)
    }

    /// One of several of a kind, whose files have a name of their own.
    pub(crate) fn start_as(world: &World, name: &'static str, own: &str, config: &str) -> Self {
        let (file, log) = (world.path(&format!("{own}.yaml")), world.path(&format!("{own}.log")));
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

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn stop(mut self) -> (&'static str, Option<i32>) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        (self.name, self.child.wait().unwrap().code())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After `stop` and `kill9` it has ended; otherwise the test has failed.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// What a part's log says after this word.
pub(crate) fn logged(world: &World, name: &str, word: &str) -> String {
    until(SOON, &format!("{name} logs {word}"), || {
        let log = fs::read_to_string(world.path(&format!("{name}.log"))).ok()?;
        let (_, rest) = log.split_once(word)?;
        Some(rest.split_whitespace().next()?.to_owned())
    })
}

pub(crate) fn folder(path: &Path, mode: u32) -> String {
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

/// The folders of a deployment, one part's each or shared.
pub(crate) struct Folders {
    pub(crate) data: String,
    pub(crate) run: String,
    ca: String,
    pub(crate) blobs: String,
    introductions: String,
}

pub(crate) const DOMAIN: &str = "trust_domain: sealwright.internal";

/// Signer, agent and verifier, which know no database.
pub(crate) fn node(world: &World) -> (Folders, Vec<Part>) {
    let data = folder(&world.data(), 0o711);
    let at = |name: &str| folder(&world.data().join(name), 0o711);
    let (run, ca, verifier, agent, blobs) = (at("run"), at("ca"), at("verifier"), at("agent"), at("blobs"));
    let introductions = folder(&world.data().join("introductions"), 0o700);
    let facade = world.program("sealwright-facade");
    let facade = facade.to_string_lossy();
    let domain = DOMAIN;

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
    (Folders { data, run, ca, blobs, introductions }, parts)
}

/// A controller's configuration, with folders of its own; `more` is further settings.
pub(crate) fn controller_config(
    world: &World,
    folders: &Folders,
    database: &str,
    own: &str,
    more: &str,
) -> String {
    let at = |name: &str| folder(&world.data().join(format!("{name}{own}")), 0o711);
    let (apps, enclaves) = (at("apps"), at("enclaves"));
    let (run, blobs, domain) = (&folders.run, &folders.blobs, DOMAIN);
    let facade = world.program("sealwright-facade");
    let facade = facade.display();
    format!(
        "database: \"{database}\"\ncontroller: {{socket: {run}/controller{own}.sock, admin_socket: {run}/admin.sock, agent_socket: {run}/agent.sock, jwks_file: {run}/jwks.json, blobs: {blobs}, apps: {apps}, enclaves: {enclaves}, facade: {facade}, {domain}, issuer: \"spiffe://sealwright.internal/part/gateway\"{more}}}\n"
    )
}

/// A gateway's configuration; `controllers` is one path or a list, `more` further settings.
pub(crate) fn gateway_config(
    folders: &Folders,
    database: &str,
    edge: &str,
    controllers: &str,
    more: &str,
) -> String {
    let Folders { data, run, blobs, introductions, .. } = folders;
    let domain = DOMAIN;
    format!(
        "introductions: {introductions}\ndatabase: \"{database}\"\ngateway: {{listen: \"127.0.0.1:0\", edge: \"{edge}\", {domain}, controller: {controllers}, blobs: {blobs}, jwks: {run}/jwks.json, factors: {{key_file: {data}/factors.key}}, license_key: {data}/license.key{more}}}\n"
    )
}

/// What a user's client has to know.
pub(crate) fn write_context(world: &World, folders: &Folders, gateway: &str, edge: &str) {
    let root = fs::read(format!("{}/root.der", folders.ca)).unwrap();
    let anchor = Anchor { name: "CA".into(), certificate: root, level: Level::Simulated };
    let domain = "sealwright.internal".parse().unwrap();
    let context = Context::new(gateway.parse().unwrap(), edge.parse().unwrap(), domain, vec![anchor]);
    context.save(&world.context()).unwrap();
}

fn check(world: &World, database: &str) {
    let (folders, mut parts) = node(world);
    let config = controller_config(world, &folders, database, "", "");
    parts.push(Part::start(world, "controller", &config));
    let socket = format!("{}/controller.sock", folders.run);
    parts.push(Part::start(world, "edge", &format!("listen: 127.0.0.1:0\ncontroller: {socket}\n")));
    let edge = logged(world, "edge", "edge listens address=");
    parts.push(Part::start(world, "gateway", &gateway_config(&folders, database, &edge, &socket, "")));
    let gateway = logged(world, "gateway", "gateway listens address=");
    logged(world, "agent", "enrolled node=");
    write_context(world, &folders, &gateway, &edge);

    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    for part in &parts {
        let pid = part.child.id();
        assert!(!may_dump_core(pid), "{} may leave a core dump", part.name);
        // The CA's issuing key and the token key.
        if ["signer", "gateway"].contains(&part.name) && crate::there(&[Feature::SecretMemory]) {
            assert!(secret_pages(pid) > 0, "the key of {} is not in secret memory", part.name);
        }
    }
    // The other way round: who others depend on ends last.
    for part in parts.into_iter().rev() {
        let (name, code) = part.stop();
        assert_eq!(code, Some(0), "{name}");
    }
}
