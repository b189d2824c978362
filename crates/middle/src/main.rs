//! The demo's man in the middle: a process that ends TLS under a certificate of its own for the enclave's very name, and
//! relays everything, genuine evidence included, to the real enclave. It shows that this does not help it.
//!
//! Usage: `sealwright-middle HOST EDGE`; prints its own address in a line, and works until its standard input ends.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use attested_tls::{
    Acceptor, Application, AttestedConnector, CertificateSlot, ClientCertificates, LocalKey, NoServerName,
};
use names::{EnclaveId, TrustDomain};
use pki::{Issuer, Serial, SigningKey, Validity, profile};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<()> {
    attested_tls::install_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, edge] = arguments.as_slice() else { anyhow::bail!("usage: sealwright-middle HOST EDGE") };
    let middle = Arc::new(Middle::new(host, edge)?);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listen on loopback")?;
    println!("{}", listener.local_addr()?);
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("accept a victim")?;
                let middle = Arc::clone(&middle);
                // A victim that hangs up is the expected end.
                tokio::spawn(async move { middle.relay(stream).await.ok() });
            }
            read = stdin.read(&mut ignored) => if matches!(read, Ok(0) | Err(_)) { return Ok(()) },
        }
    }
}

struct Middle {
    host: String,
    edge: String,
    acceptor: Acceptor,
    connector: AttestedConnector,
}

impl Middle {
    fn new(host: &str, edge: &str) -> Result<Self> {
        let slot = CertificateSlot::new(NoServerName::Refuse);
        let key = LocalKey::generate()?;
        slot.install(&key, &forged_chain(host, &key)?)?;
        let own = LocalKey::generate()?;
        let user = profile::User { common_name: "middle" };
        let certificate = user.issue(&own, validity(), serial()?)?;
        Ok(Self {
            host: host.to_owned(),
            edge: edge.to_owned(),
            acceptor: Acceptor::new(slot, ClientCertificates::Required)?,
            connector: AttestedConnector::new(own.certified_key(&[certificate.der()])?, Application::Http1)?,
        })
    }

    async fn relay(&self, victim: TcpStream) -> Result<()> {
        let mut victim = self.acceptor.accept(victim).await?.stream;
        let enclave = TcpStream::connect(&self.edge).await?;
        let (mut enclave, _, _) = self.connector.connect(&self.host, enclave).await?.into_evidence_stream();
        tokio::io::copy_bidirectional(&mut victim, &mut enclave).await?;
        Ok(())
    }
}

/// A chain in the form of the real one, from a CA of our own.
fn forged_chain(host: &str, key: &LocalKey) -> Result<Vec<Vec<u8>>> {
    let domain: TrustDomain = "sealwright.internal".parse()?;
    let root_key = LocalKey::generate()?;
    let root = profile::Root { common_name: "Sealwright CA" }.issue(&root_key, validity(), serial()?)?;
    let issuer = Issuer::new(&root, &root_key)?;
    let id = domain.enclave(&EnclaveId::from_bytes([0; 16]));
    let facade = profile::Facade { dns_name: host, enclave: &id };
    let leaf = facade.issue(&issuer, key.public_key_spki(), validity(), serial()?)?;
    Ok(vec![leaf.der().to_vec(), root.der().to_vec()])
}

fn validity() -> Validity {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Validity::starting(now, 3600)
}

fn serial() -> Result<Serial> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("random bytes: {error}"))?;
    Ok(Serial::from_random(random))
}
