//! The verifier against real software TPMs: who is enrolled and gets verdicts, and by which name all others are refused.
#![allow(clippy::unwrap_used)]

mod enrolment;
mod node;
mod rounds;
mod signer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use appraisal::node::NodePolicy;
use names::{Level, TrustDomain};
use pki::Certificate;
use proto::v1 as wire;
use proto::v1::verifier_server::Verifier as Rpc;
use server::Tasks;
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use verifier::{Clock, EkTrust, Identity, Setup, Verifier};

use node::Node;
use signer::Authority;

fn domain() -> TrustDomain {
    "sealwright.internal".parse().unwrap()
}

/// Starts at the machine's time, because real tools date the endorsement certificates, and is moved by the test.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn clock(&self) -> Clock {
        let time = self.0.clone();
        Arc::new(move || time.load(Ordering::SeqCst))
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

struct World {
    verifier: Verifier,
    authority: Arc<Authority>,
    time: Time,
    folder: tempfile::TempDir,
    tasks: Tasks,
    _identity: watch::Sender<Identity>,
}

/// A verifier that trusts these nodes' makers, allows `policy`, and has a signer at hand.
fn world(policy: NodePolicy, nodes: &[&Node]) -> World {
    let time = Time(Arc::new(AtomicU64::new(verifier::system_clock()())));
    let authority = Arc::new(Authority::new(time.now()));
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    signer::serve(authority.clone(), time.clock(), &folder.path().join("signer"), &tasks);
    let (sender, identity) = watch::channel(authority.identity(time.now()));
    let setup = setup(nodes, policy, &authority, &time, folder.path(), identity);
    let verifier = Verifier::new(setup).unwrap();
    World { verifier, authority, time, folder, tasks, _identity: sender }
}

fn setup(
    nodes: &[&Node],
    policy: NodePolicy,
    authority: &Authority,
    time: &Time,
    folder: &Path,
    identity: watch::Receiver<Identity>,
) -> Setup {
    let anchor = |node: &&Node| EkTrust::anchor("software", Level::Simulated, &node.anchors.root).unwrap();
    let issuer = |node: &&Node| Certificate::from_der(&node.anchors.issuer).unwrap();
    Setup {
        trust_domain: domain(),
        ek_trust: EkTrust::new(nodes.iter().map(anchor).collect(), nodes.iter().map(issuer).collect()),
        policy,
        root: authority.root.clone(),
        root_level: Level::Tpm,
        directory: folder.join("verifier"),
        signer_socket: folder.join("signer"),
        identity,
        clock: time.clock(),
    }
}

impl World {
    async fn begin(
        &self,
        request: wire::BeginEnrolmentRequest,
    ) -> Result<wire::BeginEnrolmentResponse, Status> {
        self.verifier.begin_enrolment(Request::new(request)).await.map(Response::into_inner)
    }

    async fn finish(
        &self,
        request: wire::FinishEnrolmentRequest,
    ) -> Result<wire::FinishEnrolmentResponse, Status> {
        self.verifier.finish_enrolment(Request::new(request)).await.map(Response::into_inner)
    }

    async fn enrol(&self, node: &mut Node, name: &str) -> wire::FinishEnrolmentResponse {
        let begun = self.begin(node.begin(name)).await.unwrap();
        let finished = self.finish(node.answer(&begun)).await.unwrap();
        node.chain = finished.keys[0].certificates.clone();
        finished
    }

    async fn new_round(&self, name: &str) -> Result<wire::NewRoundResponse, Status> {
        let node = domain().node(name).unwrap().to_string();
        let request = Request::new(wire::NewRoundRequest { node });
        Rpc::new_round(&self.verifier, request).await.map(Response::into_inner)
    }

    async fn attest(&self, evidence: &evidence::Evidence) -> Result<String, Status> {
        let request = Request::new(wire::AttestRequest { evidence: evidence.to_json() });
        Rpc::attest(&self.verifier, request).await.map(|answer| answer.into_inner().verdict)
    }

    /// A whole round with honest evidence.
    async fn round(&self, node: &mut Node, name: &str) -> Result<String, Status> {
        let round = self.new_round(name).await.unwrap();
        let statement = node.statement(name, &round.audience, &round.nonce);
        let evidence = node.evidence(&statement);
        self.attest(&evidence).await
    }
}

fn code<T>(result: Result<T, Status>) -> String {
    match result {
        Ok(_) => "accepted".into(),
        Err(status) => status.message().into(),
    }
}
