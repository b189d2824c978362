//! The attested connection: only the truth opens it, and nothing but the question is sent before.

use api::Secret;
use api::enclaves::EnclaveToken;
use appraisal::{Policy, Reference, Source, Versions};
use attested_tls::{ClientCertificates, LocalKey};
use client::attested::{AppRequest, Connection, Proved, Unproved};
use client::{Error, Fault, Profile, Report};
use evidence::{Audience, Channel, Evidence};
use forge::{Draft, NOW, World};
use http::Method;
use names::{Digest, Level};

use crate::stage::{Machine, Seen, TlsServer, answer, facade_key, read_request};

/// What the enclave does differently from an honest one: before signing and after.
struct Lie {
    draft: fn(&mut Draft<'_>),
    evidence: fn(&mut Evidence),
}

const TRUTH: Lie = Lie { draft: |_| {}, evidence: |_| {} };

/// What the test sees: the outcome, and the requests that came after the question.
struct Outcome {
    proved: Result<Report, Error>,
    later: Vec<Seen>,
}

fn policy(world: &World, profile: &Profile) -> Policy {
    let reference = Reference { digest: world.enclave.version, source: Source::UserFile };
    let mut policy = Policy::new(Versions::OneOf(vec![reference]));
    policy.enclave = Some(world.enclave.id);
    policy.owner = Some(profile.key_hash());
    policy.dns_name = Some(world.dns_name.clone());
    policy
}

fn token() -> EnclaveToken {
    EnclaveToken { token: Secret::new("token-for-notes".into()), expires_in: 300 }
}

/// An enclave of the profile's owner.
fn world_of(key_hash: Digest) -> World {
    let mut world = World::new();
    world.enclave.owner = key_hash;
    world
}

/// Runs one conversation; `shown` is the key and chain of whoever answers, the enclave's own if `None`.
async fn converse(lie: Lie, shown: Option<(LocalKey, Vec<Vec<u8>>)>, change: fn(&mut Policy)) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let plain = World::new();
    let own = || (facade_key(&folder, &plain), vec![plain.facade_certificate.der().to_vec()]);
    let (key, chain) = shown.unwrap_or_else(own);
    let server = TlsServer::new(&key, &chain, ClientCertificates::Required).await;
    let machine = Machine::new(&plain, server.address());
    let profile = machine.profile("alice");
    let world = world_of(profile.key_hash());
    let mut policy = policy(&world, &profile);
    change(&mut policy);

    let serve = async {
        let mut connection = server.accept().await;
        let Some(question) = read_request(&mut connection.stream).await else { return Vec::new() };
        let nonce = nonce_of(&question);
        assert!(question.header("authorization").is_none(), "no token before the proof");
        let mut draft = world.draft();
        draft.statement.nonce = nonce;
        draft.statement.audience = Audience::Key(Digest::from_bytes(connection.peer.unwrap().spki_sha256()));
        draft.statement.channel = Channel::Exporter(connection.channel.evidence_exporter(&nonce).unwrap());
        (lie.draft)(&mut draft);
        let mut evidence = draft.seal();
        (lie.evidence)(&mut evidence);
        answer(&mut connection.stream, "200 OK", "application/json", &evidence.to_json()).await;
        let mut later = Vec::new();
        while let Some(request) = read_request(&mut connection.stream).await {
            answer(&mut connection.stream, "418 I'm a teapot", "text/plain", b"from the app").await;
            later.push(request);
        }
        later
    };
    let ask = async {
        let connection =
            Connection::<Unproved>::dial(&machine.context.edge, &world.dns_name, &profile).await?;
        let answered = connection.ask(NOW).await?;
        let roots = machine.context.roots()?;
        let mut proved = answered.judge(&roots, &policy, NOW).map_err(Error::Refused)?;
        let request = AppRequest { method: Method::POST, path: "/a?b".into(), body: None };
        let answer = proved.request(&token(), request).await?;
        assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (418, &b"from the app"[..]));
        Ok(proved)
    };
    // The outcome keeps no connection: the server sees the client hang up.
    let ask = async { ask.await.map(|proved: Connection<Proved>| proved.report().clone()) };
    let (proved, later) = tokio::join!(ask, serve);
    Outcome { proved, later }
}

async fn refusal(lie: Lie) -> (Report, usize) {
    let outcome = converse(lie, None, |_| {}).await;
    match outcome.proved.expect_err("it is refused") {
        Error::Refused(report) => (*report, outcome.later.len()),
        error => panic!("{error}"),
    }
}

async fn check_refused(lie: Lie, code: &str) {
    let (report, later) = refusal(lie).await;
    assert_eq!(report.reason(), Some(code));
    assert_eq!(later, 0, "{code}: something was sent to an unproved enclave");
    assert!(!report.trusted);
}

#[tokio::test]
async fn the_truth_opens_the_connection_and_the_token_goes_with_the_request() {
    let outcome = converse(TRUTH, None, |_| {}).await;
    let report = outcome.proved.unwrap();
    assert!(report.trusted);
    assert_eq!(report.level, Some(Level::Tpm));
    let [request] = outcome.later.as_slice() else { panic!("{:?}", outcome.later) };
    assert_eq!(request.line, "POST /a?b HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer token-for-notes"));
    assert_eq!(request.header("host"), Some("notes-alice.enclaves.localhost"));
}

#[tokio::test]
async fn an_old_answer_to_a_new_nonce_is_refused() {
    check_refused(Lie { draft: |draft| draft.statement.nonce = [7; 32], ..TRUTH }, "nonce_mismatch").await;
}

#[tokio::test]
async fn evidence_for_another_audience_is_refused() {
    let draft = |draft: &mut Draft<'_>| draft.statement.audience = Audience::Key(Digest::from_bytes([8; 32]));
    check_refused(Lie { draft, ..TRUTH }, "audience_mismatch").await;
}

#[tokio::test]
async fn evidence_of_another_connection_is_refused() {
    let draft = |draft: &mut Draft<'_>| draft.statement.channel = Channel::Exporter([9; 32]);
    check_refused(Lie { draft, ..TRUTH }, "channel_mismatch").await;
}

#[tokio::test]
async fn evidence_without_a_channel_is_refused() {
    let draft =
        |draft: &mut Draft<'_>| draft.statement.channel = Channel::None(evidence::NoChannel::Recorded);
    check_refused(Lie { draft, ..TRUTH }, "channel_missing").await;
}

#[tokio::test]
async fn a_flipped_byte_in_the_quotes_signature_is_refused() {
    let evidence = |evidence: &mut Evidence| *evidence.signature.0.last_mut().unwrap() ^= 1;
    check_refused(Lie { evidence, ..TRUTH }, "quote_signature").await;
}

#[tokio::test]
async fn a_stopped_enclave_is_refused() {
    check_refused(Lie { draft: |draft| stop(draft), ..TRUTH }, "enclave_stopped").await;
}

#[tokio::test]
async fn a_relay_with_a_certificate_of_its_own_is_refused() {
    let world = World::new();
    let (authority, key) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
    let validity = || pki::Validity::starting(NOW, 3600);
    let serial = |byte| pki::Serial::from_random([byte; 16]);
    let root =
        pki::profile::Root { common_name: "mallory" }.issue(&authority, validity(), serial(1)).unwrap();
    let issuer = pki::Issuer::new(&root, &authority).unwrap();
    let domain: names::TrustDomain = "sealwright.internal".parse().unwrap();
    let id = domain.enclave(&world.enclave.id);
    let profile = pki::profile::Facade { dns_name: &world.dns_name, enclave: &id };
    let spki = pki::SigningKey::public_key_spki(&key);
    let certificate = profile.issue(&issuer, spki, validity(), serial(2)).unwrap();
    let outcome = converse(TRUTH, Some((key, vec![certificate.der().to_vec()])), |_| {}).await;
    let Err(Error::Refused(report)) = outcome.proved else { panic!("it is refused") };
    assert_eq!(report.reason(), Some("certificate_mismatch"));
    assert!(outcome.later.is_empty());
}

#[tokio::test]
async fn another_version_is_refused() {
    let outcome = converse(TRUTH, None, |policy| policy.versions = Versions::OneOf(Vec::new())).await;
    let Err(Error::Refused(report)) = outcome.proved else { panic!("it is refused") };
    assert_eq!(report.reason(), Some("version_unknown"));
    assert!(outcome.later.is_empty());
}

#[tokio::test]
async fn an_error_instead_of_evidence_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let key = facade_key(&folder, &world);
    let chain = [world.facade_certificate.der().to_vec()];
    let server = TlsServer::new(&key, &chain, ClientCertificates::Required).await;
    let machine = Machine::new(&world, server.address());
    let profile = machine.profile("alice");
    let serve = async {
        let mut connection = server.accept().await;
        read_request(&mut connection.stream).await.unwrap();
        let problem = br#"{"type":"t","title":"t","status":503,"code":"busy","detail":"d","request_id":"r"}"#;
        answer(&mut connection.stream, "503 Service Unavailable", "application/problem+json", problem).await;
    };
    let ask = async {
        let connection =
            Connection::<Unproved>::dial(&machine.context.edge, &world.dns_name, &profile).await?;
        connection.ask(NOW).await
    };
    let (asked, ()) = tokio::join!(ask, serve);
    let error = asked.err().unwrap();
    assert_eq!((error.fault(), error.code()), (Fault::Refused, Some("no_evidence")));
}

#[tokio::test]
async fn nobody_at_the_edge_is_told_as_unreachable() {
    let world = World::new();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let machine = Machine::new(&world, address);
    let profile = machine.profile("alice");
    let dialled = Connection::<Unproved>::dial(&machine.context.edge, &world.dns_name, &profile).await;
    assert_eq!(dialled.err().unwrap().fault(), Fault::Unreachable);
}

#[tokio::test]
async fn an_open_connection_is_proved_again_and_lost_when_the_enclave_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let plain = World::new();
    let key = facade_key(&folder, &plain);
    let chain = [plain.facade_certificate.der().to_vec()];
    let server = TlsServer::new(&key, &chain, ClientCertificates::Required).await;
    let machine = Machine::new(&plain, server.address());
    let profile = machine.profile("alice");
    let world = world_of(profile.key_hash());
    let policy = policy(&world, &profile);
    let serve = async {
        let mut connection = server.accept().await;
        let audience = Audience::Key(Digest::from_bytes(connection.peer.take().unwrap().spki_sha256()));
        for stopped in [false, false, true] {
            let question = read_request(&mut connection.stream).await.unwrap();
            let nonce = nonce_of(&question);
            let mut draft = world.draft();
            draft.statement.nonce = nonce;
            draft.statement.audience = audience.clone();
            draft.statement.channel =
                Channel::Exporter(connection.channel.evidence_exporter(&nonce).unwrap());
            if stopped {
                stop(&mut draft);
            }
            answer(&mut connection.stream, "200 OK", "application/json", &draft.seal().to_json()).await;
        }
    };
    let ask = async {
        let roots = machine.context.roots().unwrap();
        let unproved =
            Connection::<Unproved>::dial(&machine.context.edge, &world.dns_name, &profile).await.unwrap();
        let first = unproved.ask(NOW).await.unwrap().judge(&roots, &policy, NOW).unwrap();
        let second = first.doubt().ask(NOW).await.unwrap().judge(&roots, &policy, NOW).unwrap();
        second.doubt().ask(NOW).await.unwrap().judge(&roots, &policy, NOW).err().unwrap()
    };
    let (report, ()) = tokio::join!(ask, serve);
    assert_eq!(report.reason(), Some("enclave_stopped"));
}

fn nonce_of(question: &Seen) -> [u8; 32] {
    let nonce = question.line.strip_prefix("GET /.well-known/sealwright/evidence?nonce=").unwrap();
    names::unhex(nonce.strip_suffix(" HTTP/1.1").unwrap()).unwrap()
}

fn stop(draft: &mut Draft<'_>) {
    let claim = draft.statement.enclave.clone().unwrap();
    let reason = logs::enclave::Reason::new("asked").unwrap();
    draft.events.push(logs::enclave::Event::Stop {
        enclave: claim.id,
        incarnation: claim.incarnation,
        reason,
    });
}
