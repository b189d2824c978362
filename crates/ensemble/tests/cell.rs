//! A whole cell on a real software TPM: agent, verifier and signer over their sockets, this test being a facade.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use api::node::{BindProcess, CertifyRequest, EvidenceRequest, RegisterKey, StartEnclave, StopEnclave};
use attested_tls::LocalKey;
use base64ct::{Base64, Encoding};
use ensemble::{Cell, CellOptions, EndorsementAnchors, Layout, TpmChoice};
use evidence::{Anchor, Audience, Challenge, ChannelRule, Evidence, Expectation, Roots};
use names::{Digest, EnclaveId, Level};
use node_api::{Admin, CallError, Node};
use pki::SigningKey;
use server::Tasks;

const OWNER: Digest = Digest::from_bytes([0x0a; 32]);

struct World {
    layout: Layout,
    cell: Cell,
    tasks: Tasks,
}

impl World {
    /// A cell in this folder, with its first verdict.
    async fn build(folder: &Path) -> Self {
        attested_tls::install_provider();
        let layout = Layout::make(folder).unwrap();
        let tasks = Tasks::new();
        let own = std::env::current_exe().unwrap();
        let options = CellOptions {
            node: "test".into(),
            trust_domain: "sealwright.internal".parse().unwrap(),
            tpm: TpmChoice::Software,
            agent: own.clone(),
            facade: own,
            endorsement: EndorsementAnchors::default(),
        };
        let cell = Cell::start(&layout, options, &tasks).await.unwrap();
        let world = Self { layout, cell, tasks };
        world.wait_for_verdict().await;
        world
    }

    async fn wait_for_verdict(&self) {
        let wait = async {
            while !self.admin().node().await.is_ok_and(|node| node.verdict_expires.is_some()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), wait)
            .await
            .expect("the node gets a verdict");
    }

    fn admin(&self) -> Admin {
        Admin::new(&self.layout.admin_socket())
    }

    fn node(&self) -> Node {
        Node::new(&self.layout.agent_socket())
    }

    fn roots(&self) -> Roots {
        let certificate = self.cell.root().clone();
        Roots::new(vec![Anchor { name: "test CA".into(), certificate, level: Level::Simulated }])
    }

    async fn announce(&self, id: EnclaveId, facade: Digest) {
        let start = StartEnclave {
            enclave_id: id,
            incarnation: 1,
            version: Digest::from_bytes([1; 32]),
            instance: Digest::from_bytes([2; 32]),
            owner: OWNER,
            facade,
            dns_name: format!(
                "{}.enclaves.localhost",
                &id.to_string()[..8].replace(|c: char| c.is_ascii_digit(), "x")
            ),
        };
        self.admin().start_enclave(&start).await.unwrap();
    }

    async fn bind_self(&self, id: EnclaveId) -> Result<(), CallError> {
        let process = server::unix::process(std::process::id()).unwrap();
        let pid = std::process::id();
        let bind = BindProcess { incarnation: 1, pid, start_time: process.start_time };
        self.admin().bind_process(&id, &bind).await
    }

    /// Announces an enclave of which this process is the facade, with its key and certificate.
    async fn be(&self, id: EnclaveId) -> (LocalKey, Vec<u8>) {
        self.announce(id, self.cell.facade).await;
        self.bind_self(id).await.unwrap();
        let key = LocalKey::generate().unwrap();
        self.node().register_key(&register(&key)).await.unwrap();
        let csr = pki::csr::build(&key, "test").unwrap();
        let chain =
            self.node().certify(&CertifyRequest { csr: Base64::encode_string(&csr) }).await.unwrap().chain;
        (key, Base64::decode_vec(&chain[0]).unwrap())
    }

    async fn close(self) {
        assert!(self.tasks.drain().await);
        self.cell.close();
    }
}

fn register(key: &LocalKey) -> RegisterKey {
    RegisterKey { spki: Base64::encode_string(key.public_key_spki()) }
}

fn request(certificate: &[u8], nonce: u8) -> EvidenceRequest {
    EvidenceRequest {
        nonce: Base64::encode_string(&[nonce; 32]),
        audience: Some(OWNER),
        channel: Some(Base64::encode_string(&[0xcc; 32])),
        certificate: Digest::of(certificate),
    }
}

fn challenge(certificate: &[u8], nonce: u8) -> Challenge {
    let expectation = Expectation::Serve {
        certificate: Digest::of(certificate),
        channel: ChannelRule::Required([0xcc; 32]),
    };
    Challenge::new([nonce; 32], client::time::now(), 60, Audience::Key(OWNER), expectation)
}

fn code(result: Result<impl Sized, CallError>) -> String {
    match result.map(drop) {
        Err(CallError::Refused { code, .. }) => code,
        Err(other) => panic!("{other}"),
        Ok(()) => panic!("it was not refused"),
    }
}

fn id(byte: u8) -> EnclaveId {
    EnclaveId::from_bytes([byte; 16])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_lives_from_announcement_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::build(folder.path()).await;
    assert_eq!(code(world.node().myself().await), "caller_refused", "before it is announced");
    let (key, certificate) = world.be(id(1)).await;

    let json = world.node().evidence(&request(&certificate, 1)).await.unwrap();
    let evidence = Evidence::from_json(&json).unwrap();
    let verified =
        evidence::verify(challenge(&certificate, 1), &evidence, &world.roots(), client::time::now());
    let verified = verified.unwrap();
    assert_eq!(verified.facts().statement.enclave.as_ref().unwrap().spki, Digest::of(key.public_key_spki()));
    assert!(verified.facts().verdict.is_some());

    assert_eq!(
        code(world.bind_self(id(1)).await),
        "not_announced",
        "the first word about its process stands"
    );
    let other = LocalKey::generate().unwrap();
    assert_eq!(code(world.node().register_key(&register(&other)).await), "key_pinned");
    world.node().register_key(&register(&key)).await.unwrap();
    let csr = pki::csr::build(&other, "test").unwrap();
    let csr = CertifyRequest { csr: Base64::encode_string(&csr) };
    assert_eq!(code(world.node().certify(&csr).await), "key_pinned");
    assert_eq!(code(world.node().evidence(&request(b"another certificate", 2)).await), "certificate_unknown");

    let stop = StopEnclave { incarnation: 1, reason: "test".into() };
    world.admin().stop_enclave(&id(1), &stop).await.unwrap();
    assert_eq!(code(world.node().evidence(&request(&certificate, 3)).await), "caller_refused");
    world.close().await;
}

/// A process that is some enclave's facade, but runs another binary than was announced, or is no facade at all.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_announced_binary_in_the_announced_process_is_a_facade() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::build(folder.path()).await;
    world.announce(id(2), Digest::from_bytes([0xbb; 32])).await;
    world.bind_self(id(2)).await.unwrap();
    assert_eq!(code(world.node().myself().await), "caller_refused", "another binary than announced");

    let mut other = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let start_time = server::unix::process(other.id()).unwrap().start_time;
    world.announce(id(3), world.cell.facade).await;
    let bind = BindProcess { incarnation: 1, pid: other.id(), start_time };
    world.admin().bind_process(&id(3), &bind).await.unwrap();
    let stop = StopEnclave { incarnation: 1, reason: "test".into() };
    world.admin().stop_enclave(&id(2), &stop).await.unwrap();
    assert_eq!(code(world.node().myself().await), "caller_refused", "the process of another enclave");
    other.kill().unwrap();
    other.wait().unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_share_quotes_and_each_answer_holds() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::build(folder.path()).await;
    let (_, certificate) = world.be(id(4)).await;
    let asked = (0..200u8).map(|nonce| {
        let (node, request) = (world.node(), request(&certificate, nonce));
        tokio::spawn(async move { node.evidence(&request).await })
    });
    let mut quotes = std::collections::BTreeSet::new();
    for (nonce, task) in asked.collect::<Vec<_>>().into_iter().enumerate() {
        let evidence = Evidence::from_json(&task.await.unwrap().unwrap()).unwrap();
        let challenge = challenge(&certificate, u8::try_from(nonce).unwrap());
        evidence::verify(challenge, &evidence, &world.roots(), client::time::now()).unwrap();
        quotes.insert(evidence.quote.0);
    }
    assert!(quotes.len() < 200, "{} quotes for 200 questions", quotes.len());
    world.close().await;
}

/// The agent's and the CA's words about the same node, after everything but the data folder is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_the_same_ca_and_node() {
    let folder = tempfile::tempdir().unwrap();
    let first = root_and_node(folder.path()).await;
    let second = root_and_node(folder.path()).await;
    assert_eq!(first, second);
}

async fn root_and_node(folder: &Path) -> (Vec<u8>, String) {
    let world = World::build(folder).await;
    let node = world.admin().node().await.unwrap().node.to_string();
    let root = world.cell.root().der().to_vec();
    world.close().await;
    (root, node)
}
