//! What the tests share: a user's folder, a TLS server with a forged certificate, HTTP by hand.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use attested_tls::{Acceptor, CertificateSlot, ClientCertificates, Connection, LocalKey, NoServerName};
use client::{Anchor, Context, Endpoint, Profile};
use forge::World;
use names::Level;
use pki::SigningKey;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A machine of a user: a context that points to a server, and a profile.
pub struct Machine {
    pub folder: TempDir,
    pub context: Context,
}

impl Machine {
    /// With anchors that vouch for whatever certificate the world's root vouches for.
    pub fn new(world: &World, server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let anchor =
            Anchor { name: "test".into(), certificate: world.root.der().to_vec(), level: Level::Tpm };
        let endpoint: Endpoint = server.to_string().parse().unwrap();
        let context =
            Context::new(endpoint.clone(), endpoint, "sealwright.internal".parse().unwrap(), vec![anchor]);
        context.save(&folder.path().join("context.json")).unwrap();
        Self { folder, context }
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("context.json")
    }

    pub fn profile(&self, user: &str) -> Profile {
        Profile::open_or_create(&self.path(), &user.parse().unwrap()).unwrap()
    }
}

/// The forged facade's key as one that TLS can use. Its secret is the seed's, as `forge` says.
pub fn facade_key(folder: &TempDir, world: &World) -> LocalKey {
    use p256::pkcs8::EncodePrivateKey;

    let secret = p256::SecretKey::from_slice(&[4; 32]).unwrap().to_pkcs8_der().unwrap();
    let path = folder.path().join("facade.pk8");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, secret.as_bytes()).unwrap();
    let key = LocalKey::load(&path).unwrap();
    assert_eq!(key.public_key_spki(), world.facade_key.public_key_spki());
    key
}

/// A listener with this key and chain.
pub struct TlsServer {
    listener: TcpListener,
    acceptor: Acceptor,
}

impl TlsServer {
    pub async fn new(key: &LocalKey, chain: &[Vec<u8>], certificates: ClientCertificates) -> Self {
        let slot: Arc<CertificateSlot> = CertificateSlot::new(NoServerName::Serve);
        slot.install(key, chain).unwrap();
        let acceptor = Acceptor::new(slot, certificates).unwrap();
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), acceptor }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub async fn accept(&self) -> Connection<TcpStream> {
        self.try_accept().await.unwrap()
    }

    /// `None` where the client gives up the handshake.
    pub async fn try_accept(&self) -> Option<Connection<TcpStream>> {
        let (stream, _) = self.listener.accept().await.unwrap();
        self.acceptor.accept(stream).await.ok()
    }
}

/// One request as it came.
#[derive(Debug)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.headers.iter().find_map(|line| line.strip_prefix(&prefix))
    }
}

/// Reads one request; `None` when the client has hung up.
pub async fn read_request<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let line = lines.next().unwrap();
    let mut seen = Seen { line, headers: lines.collect(), body: Vec::new() };
    let length: usize = seen.header("content-length").map_or(0, |text| text.parse().unwrap());
    seen.body.resize(length, 0);
    stream.read_exact(&mut seen.body).await.ok()?;
    Some(seen)
}

pub async fn answer<S: tokio::io::AsyncWrite + Unpin>(
    stream: &mut S,
    status: &str,
    media_type: &str,
    body: &[u8],
) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n");
    // A client that has seen enough may have hung up.
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    let _ = stream.flush().await;
}
