//! An edge with one enclave behind it, which is asked for evidence and says what a test wants.

use attested_tls::{Acceptor, CertificateSlot, ClientCertificates, Connection, LocalKey, NoServerName};
use names::{Digest, enclave_host};
use pki::{Certificate, SigningKey, Validity, profile};
use server::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{now, serial};

/// What it says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Evidence over the nonce and the certificate that it shows.
    Truth,
    /// Evidence over another nonce.
    OtherNonce,
    /// Evidence about another enclave's certificate.
    OtherCertificate,
    /// What is no evidence.
    Nonsense,
    /// An error.
    Refusal,
    /// It closes.
    Nothing,
}

pub struct FakeEnclave {
    pub address: String,
    pub certificate: Certificate,
    tasks: Tasks,
}

impl FakeEnclave {
    /// Serves the enclave `hello` of this user.
    pub async fn serve(user: &str, says: Says) -> Self {
        let (world, key) = (forge::World::new(), LocalKey::generate().unwrap());
        let enclave =
            "spiffe://sealwright.internal/enclave/000102030405060708090a0b0c0d0e0f".parse().unwrap();
        let profile = profile::Facade { enclave: &enclave, dns_name: &enclave_host("hello", user) };
        let issuer = world.issuer();
        let validity = Validity::starting(now(), 3600);
        let certificate = profile.issue(&issuer, key.public_key_spki(), validity, serial()).unwrap();
        let slot = CertificateSlot::new(NoServerName::Refuse);
        slot.install(&key, &[certificate.der()]).unwrap();
        let acceptor = Acceptor::new(slot, ClientCertificates::Required).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tasks, shown) = (Tasks::new(), certificate.clone());
        tasks.spawn_cancellable(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(connection) = acceptor.accept(stream).await {
                    answer(connection, &shown, says).await;
                }
            }
        });
        Self { address, certificate, tasks }
    }
}

impl Drop for FakeEnclave {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn answer(mut connection: Connection<TcpStream>, certificate: &Certificate, says: Says) {
    assert!(connection.peer.is_some(), "an enclave wants to know whom it talks to");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let nonce = head.strip_prefix("GET /.well-known/sealwright/evidence?nonce=").unwrap();
    let nonce = names::unhex(nonce.get(..64).unwrap()).unwrap();
    let (status, body) = match says {
        Says::Nothing => return,
        Says::Refusal => ("503 Service Unavailable", b"{}".to_vec()),
        Says::Nonsense => ("200 OK", b"{}".to_vec()),
        Says::Truth | Says::OtherNonce | Says::OtherCertificate => {
            ("200 OK", bundle(nonce, certificate, says))
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.stream.write_all(head.as_bytes()).await.unwrap();
    connection.stream.write_all(&body).await.unwrap();
    connection.stream.flush().await.unwrap();
}

fn bundle(nonce: [u8; 32], certificate: &Certificate, says: Says) -> Vec<u8> {
    let world = forge::World::new();
    let mut draft = world.draft();
    if says != Says::OtherCertificate {
        draft.statement.certificate = Some(Digest::from_bytes(certificate.sha256()));
        draft.certificate = Some(certificate.clone());
    }
    draft.statement.nonce = if says == Says::OtherNonce { [7; 32] } else { nonce };
    draft.seal().to_json()
}
