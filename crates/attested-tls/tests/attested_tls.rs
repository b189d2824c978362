//! Both sides of an attested channel over an in-memory pipe.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use attested_tls::{
    Acceptor, AnchoredConnector, Application, AttestedConnector, CertificateSlot, ClientCertificates,
    Connection, KeyError, LocalKey, NoServerName, ServerIdentity, TlsError, pinned_authority,
};
use names::{EnclaveId, TrustDomain};
use pki::{Certificate, Issuer, Serial, SigningKey, Validity, profile};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const HOST: &str = "notes-alice.enclaves.localhost";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn serial(seed: u8) -> Serial {
    Serial::from_random([seed; 16])
}

fn domain() -> TrustDomain {
    "sealwright.internal".parse().unwrap()
}

struct World {
    root: Certificate,
    issuing: Certificate,
    issuing_key: LocalKey,
}

fn world() -> World {
    let (root_key, issuing_key) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
    let root = profile::Root { common_name: "root" }
        .issue(&root_key, Validity::starting(now(), profile::ROOT_LIFE), serial(1))
        .unwrap();
    let issuer = Issuer::new(&root, &root_key).unwrap();
    let issuing = profile::Issuing { common_name: "issuing" }
        .issue(
            &issuer,
            issuing_key.public_key_spki(),
            Validity::starting(now(), profile::ISSUING_LIFE),
            serial(2),
        )
        .unwrap();
    World { root, issuing, issuing_key }
}

impl World {
    fn facade_chain(&self, key: &LocalKey) -> Vec<Vec<u8>> {
        let issuer = Issuer::new(&self.issuing, &self.issuing_key).unwrap();
        let enclave = domain().enclave(&EnclaveId::from_bytes([7; 16]));
        let leaf = profile::Facade { dns_name: HOST, enclave: &enclave }
            .issue(&issuer, key.public_key_spki(), Validity::starting(now(), 3600), serial(3))
            .unwrap();
        vec![leaf.der().to_vec(), self.issuing.der().to_vec()]
    }

    fn slot(&self) -> Arc<CertificateSlot> {
        let key = LocalKey::generate().unwrap();
        let slot = CertificateSlot::new(NoServerName::Refuse);
        slot.install(&key, &self.facade_chain(&key)).unwrap();
        slot
    }

    fn anchored(&self, identity: ServerIdentity, client: Option<Arc<CertifiedKey>>) -> AnchoredConnector {
        AnchoredConnector::new(vec![self.root.clone()], identity, client, Application::Http1).unwrap()
    }
}

fn user() -> (Certificate, Arc<CertifiedKey>) {
    let key = LocalKey::generate().unwrap();
    let certificate = profile::User { common_name: "alice" }
        .issue(&key, Validity::starting(now(), 3600), serial(9))
        .unwrap();
    let certified = key.certified_key(&[certificate.der()]).unwrap();
    (certificate, certified)
}

fn acceptor(slot: &Arc<CertificateSlot>, certificates: ClientCertificates) -> Acceptor {
    Acceptor::new(slot.clone(), certificates).unwrap()
}

type Server = Result<Connection<DuplexStream>, TlsError>;

async fn meet<T>(
    acceptor: &Acceptor,
    connect: impl AsyncFnOnce(DuplexStream) -> Result<T, TlsError>,
) -> (Server, Result<T, TlsError>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    // TLS 1.3 clients finish first: the server's refusal of the client's certificate arrives with the next read.
    tokio::join!(acceptor.accept(far), connect(near))
}

#[tokio::test]
async fn both_sides_export_the_same_value_per_nonce() {
    let world = world();
    let slot = world.slot();
    let (certificate, client) = user();
    let connector = AttestedConnector::new(client, Application::Http2OrHttp1).unwrap();
    let (server, unproved) =
        meet(&acceptor(&slot, ClientCertificates::Required), async |io| connector.connect(HOST, io).await)
            .await;
    let (mut server, unproved) = (server.unwrap(), unproved.unwrap());
    assert_eq!(server.peer, Some(certificate));
    assert_eq!(server.server_name.as_deref(), Some(HOST));
    assert_eq!(server.application.as_deref(), Some(b"h2".as_slice()));
    assert_eq!(Some(unproved.certificate()), slot.leaf().as_ref());
    let ours = unproved.evidence_exporter(&[1; 32]).unwrap();
    assert_eq!(server.channel.evidence_exporter(&[1; 32]).unwrap(), ours);
    assert_ne!(server.channel.evidence_exporter(&[2; 32]).unwrap(), ours);
    let (mut stream, channel, _) = unproved.into_evidence_stream();
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
    let mut bytes = [0; 4];
    server.stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    assert_eq!(channel.evidence_exporter(&[1; 32]).unwrap(), ours);
}

#[tokio::test]
async fn two_connections_export_different_values() {
    let world = world();
    let slot = world.slot();
    let (_, client) = user();
    let connector = AttestedConnector::new(client, Application::Http1).unwrap();
    let acceptor = acceptor(&slot, ClientCertificates::Required);
    let mut values = Vec::new();
    for _ in 0..2 {
        let (_server, unproved) = meet(&acceptor, async |io| connector.connect(HOST, io).await).await;
        values.push(unproved.unwrap().evidence_exporter(&[1; 32]).unwrap());
    }
    assert_ne!(values[0], values[1]);
}

#[tokio::test]
async fn a_missing_client_certificate_is_refused_where_required() {
    let world = world();
    let connector = world.anchored(ServerIdentity::DialledName, None);
    let acceptor = acceptor(&world.slot(), ClientCertificates::Required);
    let (server, _) = meet(&acceptor, async |io| connector.connect(HOST, io).await).await;
    assert!(matches!(server, Err(TlsError::Handshake(_))));
}

#[tokio::test]
async fn an_optional_client_certificate_may_be_missing() {
    let world = world();
    let connector = world.anchored(ServerIdentity::DialledName, None);
    let acceptor = acceptor(&world.slot(), ClientCertificates::Optional);
    let (server, client) = meet(&acceptor, async |io| connector.connect(HOST, io).await).await;
    assert_eq!(server.unwrap().peer, None);
    client.unwrap();
}

#[tokio::test]
async fn unknown_and_missing_server_names_are_refused() {
    let world = world();
    let (_, client) = user();
    let connector = AttestedConnector::new(client, Application::Http1).unwrap();
    let acceptor = acceptor(&world.slot(), ClientCertificates::Required);
    for name in ["bob.enclaves.localhost", "alice.notes-alice.enclaves.localhost", "127.0.0.1"] {
        let (server, client) = meet(&acceptor, async |io| connector.connect(name, io).await).await;
        assert!(server.is_err() && client.is_err(), "{name}");
    }
}

#[tokio::test]
async fn an_empty_slot_refuses_everyone() {
    let (_, client) = user();
    let connector = AttestedConnector::new(client, Application::Http1).unwrap();
    let acceptor = acceptor(&CertificateSlot::new(NoServerName::Serve), ClientCertificates::Required);
    let (server, _) = meet(&acceptor, async |io| connector.connect(HOST, io).await).await;
    assert!(server.is_err());
}

#[tokio::test]
async fn an_anchored_client_refuses_other_roots_and_other_identities() {
    let (ours, foreign) = (world(), world());
    let acceptor = acceptor(&ours.slot(), ClientCertificates::Optional);
    let enclave = domain().enclave(&EnclaveId::from_bytes([7; 16]));
    let other = domain().enclave(&EnclaveId::from_bytes([8; 16]));
    for (connector, accepted) in [
        (ours.anchored(ServerIdentity::DialledName, None), true),
        (ours.anchored(ServerIdentity::Spiffe(enclave), None), true),
        (ours.anchored(ServerIdentity::Spiffe(other), None), false),
        (foreign.anchored(ServerIdentity::DialledName, None), false),
    ] {
        let (_server, client) = meet(&acceptor, async |io| connector.connect(HOST, io).await).await;
        assert_eq!(client.is_ok(), accepted);
    }
}

/// Known by its fingerprint alone, an authority has to be shown, and to vouch for the server by its identity.
#[tokio::test]
async fn an_authority_is_pinned_by_its_fingerprint_when_it_is_shown_and_vouches() {
    let world = world();
    let slot = CertificateSlot::new(NoServerName::Refuse);
    let key = LocalKey::generate().unwrap();
    let mut chain = world.facade_chain(&key);
    let acceptor = acceptor(&slot, ClientCertificates::Optional);
    let pin = async |fingerprint: [u8; 32], identity: ServerIdentity| {
        let (_, pinned) =
            meet(&acceptor, async |io| pinned_authority(fingerprint, identity, HOST, io).await).await;
        pinned
    };
    let right = world.root.sha256();
    slot.install(&key, &chain).unwrap();
    assert!(pin(right, ServerIdentity::DialledName).await.is_err(), "it is not shown");
    chain.push(world.root.der().to_vec());
    slot.install(&key, &chain).unwrap();
    assert_eq!(pin(right, ServerIdentity::DialledName).await.unwrap(), world.root);
    assert!(pin([7; 32], ServerIdentity::DialledName).await.is_err(), "another authority");
    let gateway = ServerIdentity::Spiffe(domain().part(names::Part::Gateway));
    assert!(pin(right, gateway).await.is_err(), "somebody else");
    // The root is public: showing it beside a chain of one's own is not being certified by it.
    let (stranger, own) = (self::world(), LocalKey::generate().unwrap());
    let mut forged = stranger.facade_chain(&own);
    forged.push(world.root.der().to_vec());
    slot.install(&own, &forged).unwrap();
    assert!(pin(right, ServerIdentity::DialledName).await.is_err(), "it does not vouch");
}

#[tokio::test]
async fn a_renewed_certificate_reaches_new_connections_and_leaves_old_ones_alone() {
    let world = world();
    let slot = world.slot();
    let (_, client) = user();
    let connector = AttestedConnector::new(client, Application::Http1).unwrap();
    let acceptor = acceptor(&slot, ClientCertificates::Required);
    let (server, old) = meet(&acceptor, async |io| connector.connect(HOST, io).await).await;
    let (mut server, old) = (server.unwrap(), old.unwrap());
    let before = old.certificate().clone();
    let key = LocalKey::generate().unwrap();
    slot.install(&key, &world.facade_chain(&key)).unwrap();
    let (_server, new) = meet(&acceptor, async |io| connector.connect(HOST, io).await).await;
    assert_ne!(new.unwrap().certificate(), &before);
    let (mut stream, _, _) = old.into_evidence_stream();
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(server.stream.read_u8().await.unwrap(), b'x');
}

#[test]
fn a_certificate_of_another_key_is_not_installed() {
    let world = world();
    let chain = world.facade_chain(&LocalKey::generate().unwrap());
    let slot = CertificateSlot::new(NoServerName::Refuse);
    assert!(slot.install(&LocalKey::generate().unwrap(), &chain).is_err());
    assert_eq!(slot.leaf(), None);
}

#[test]
fn a_saved_key_is_private_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.key");
    let key = LocalKey::generate().unwrap();
    key.save(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(LocalKey::load(&path).unwrap().public_key_spki(), key.public_key_spki());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(LocalKey::load(&path), Err(KeyError::Permissions)));
}

#[test]
fn a_signature_verifies_under_the_pure_floor() {
    let key = LocalKey::generate().unwrap();
    let signature = key.sign_sha256(b"message").unwrap();
    let public = pki::PublicKey::from_spki(key.public_key_spki()).unwrap();
    public.verify(pki::SignatureAlgorithm::EcdsaSha256, b"message", &signature).unwrap();
}

/// What [`a_key_is_in_no_memory_that_another_process_can_read`] starts: makes a key, saves it, signs, waits.
#[test]
fn holder_of_the_key() {
    let Ok(path) = std::env::var("ATTESTED_TLS_KEY") else { return };
    let key = attested_tls::LocalKey::generate().unwrap();
    key.save(std::path::Path::new(&path)).unwrap();
    for number in 0..100u32 {
        pki::SigningKey::sign_sha256(&key, &number.to_be_bytes()).unwrap();
    }
    println!("custody={} signed", key.custody().code());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(key);
}

/// Another process of the same user reads all memory of the holder and knows the key from its file: it finds the public
/// half, so it looks in the right place, and not the scalar, neither in memory nor in what signing left behind.
#[test]
fn a_key_is_in_no_memory_that_another_process_can_read() {
    use std::io::{BufRead, Write};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pk8");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "holder_of_the_key", "--nocapture"]).env("ATTESTED_TLS_KEY", &path);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut output = std::io::BufReader::new(holder.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("custody=") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the holder ended");
    }
    let pkcs8 = std::fs::read(&path).unwrap();
    // RFC 5915: ECPrivateKey, version 1, then the scalar as an octet string of 32 bytes.
    let start = pkcs8.windows(5).position(|bytes| bytes == [2, 1, 1, 4, 32]).unwrap() + 5;
    let scalar = &pkcs8[start..start + 32];
    let reversed: Vec<u8> = scalar.iter().rev().copied().collect();
    let public = &pkcs8[pkcs8.len() - 64..];
    let memory = memory_of(holder.id());
    let has =
        |wanted: &[u8]| memory.iter().any(|piece| piece.windows(wanted.len()).any(|bytes| bytes == wanted));
    let found = (has(&public[..32]), has(scalar), has(&reversed));
    holder.stdin.take().unwrap().write_all(b"\n").unwrap();
    holder.wait().unwrap();
    if line.contains("memfd_secret") {
        assert_eq!(found, (true, false, false));
    } else {
        assert!(std::env::var_os("CI").is_none(), "this kernel has no memfd_secret ({line})");
        eprintln!("NOT CHECKED: this kernel has no memfd_secret ({line})");
    }
}

/// All that can be read of a process's writable memory, by `/proc/PID/mem`.
fn memory_of(pid: u32) -> Vec<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let read = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut piece = vec![0; usize::try_from(to - from).ok()?];
        (rest.starts_with("rw") && memory.read_exact_at(&mut piece, from).is_ok()).then_some(piece)
    };
    maps.lines().filter_map(read).collect()
}
