//! A client without scruples: any key, any token, any nonce, and no verification. What a thief would write.

use std::path::Path;

use anyhow::{Context, Result};
use attested_tls::{Application, AttestedConnector, LocalKey};
use names::{Digest, hex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most bytes of an answer.
const MAX_ANSWER: u64 = 32 << 20;

/// Somebody's key and certificate, taken from their profile.
pub(super) struct Thief {
    key: LocalKey,
    certificate: Vec<u8>,
}

/// An answer, as far as the demo reads HTTP.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The code of a problem document.
    pub(super) fn code(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Problem {
            code: String,
        }
        serde_json::from_slice::<Problem>(&self.body).ok().map(|problem| problem.code)
    }
}

impl Thief {
    /// Uses the key of a profile below the context's folder.
    pub(super) fn with_key_of(context: &Path, user: &str) -> Result<Self> {
        let profile = context.with_extension("users").join(user);
        let key = LocalKey::load(&profile.join("key.pk8")).context("load a key")?;
        let certificate = std::fs::read(profile.join("certificate.der")).context("read a certificate")?;
        Ok(Self { key, certificate })
    }

    /// The same key under a second certificate.
    pub(super) fn with_second_certificate(&self) -> Result<Self> {
        let (user, now) = (pki::profile::User { common_name: "second" }, client::time::now());
        let serial = pki::Serial::from_random([2; 16]);
        let certificate = user.issue(&self.key, pki::Validity::starting(now, 3600), serial)?;
        Ok(Self { key: self.key.clone(), certificate: certificate.der().to_vec() })
    }

    /// SHA-256 of the key.
    pub(super) fn key_hash(&self) -> Digest {
        Digest::of(pki::SigningKey::public_key_spki(&self.key))
    }

    /// Asks an enclave for evidence with a nonce of somebody's choice.
    pub(super) async fn evidence(&self, edge: &str, host: &str, nonce: &[u8; 32]) -> Result<Vec<u8>> {
        let path = format!("{}?nonce={}", client::attested::EVIDENCE_PATH, hex(nonce));
        Ok(self.get(edge, host, &path, None).await?.body)
    }

    /// Asks an enclave for anything, with any token.
    pub(super) async fn get(
        &self,
        edge: &str,
        host: &str,
        path: &str,
        token: Option<&str>,
    ) -> Result<Answer> {
        let certified = self.key.certified_key(&[&self.certificate])?;
        let connector = AttestedConnector::new(certified, Application::Http1)?;
        let stream = TcpStream::connect(edge).await.context("dial the edge")?;
        let (mut stream, _, _) = connector.connect(host, stream).await?.into_evidence_stream();
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{authorization}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.context("ask")?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut bytes).await.context("read the answer")?;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the head")?;
        let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
        let status = head.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
        let body = bytes.get(end + 4..).unwrap_or_default().to_vec();
        Ok(Answer { status: status.context("no status")?, body })
    }
}
