//! `GET /.well-known/sealwright/evidence?nonce=`: fresh evidence for whoever asks, bound to this client's key and to
//! this connection.
//!
//! Invariant: audience, channel and certificate come from the connection, never from the request.

use std::time::Duration;

use api::node::EvidenceRequest;
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use node_api::{CallError, Node};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::session::{Session, Standing};

/// The endpoint's path.
pub const PATH: &str = "/.well-known/sealwright/evidence";

/// Where evidence is asked for.
#[derive(Debug)]
pub struct Desk {
    node: Node,
    owners: Semaphore,
    strangers: Semaphore,
    deadline: Duration,
}

impl Desk {
    /// Asks this agent.
    #[must_use]
    pub fn new(node: Node, limits: &Limits) -> Self {
        let places = || Semaphore::new(limits.evidence_waiting);
        Self { node, owners: places(), strangers: places(), deadline: limits.evidence }
    }

    /// Answers one question.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn answer(&self, session: &Session, query: Option<&str>) -> Result<Response<Bytes>, Refusal> {
        let evidence = self.evidence(session, &nonce(query)?).await?;
        let mut response = Response::new(evidence);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// A bundle for this client, this connection and this nonce.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn evidence(&self, session: &Session, nonce: &[u8; 32]) -> Result<Bytes, Refusal> {
        if !session.may_ask_for_evidence() {
            return Err(Refusal::EvidenceRate);
        }
        let waiting = match session.standing() {
            Standing::Owner => &self.owners,
            Standing::Stranger => &self.strangers,
        };
        let _place = waiting.try_acquire().map_err(|_| Refusal::Busy)?;
        let channel = session.exporter(nonce).map_err(|error| {
            warn!(%error, "no exporter value");
            Refusal::NoEvidence
        })?;
        let request = EvidenceRequest {
            nonce: Base64::encode_string(nonce),
            audience: Some(session.client().key),
            channel: Some(Base64::encode_string(&channel)),
            certificate: session.served(),
        };
        let evidence = tokio::time::timeout(self.deadline, self.node.evidence(&request))
            .await
            .unwrap_or(Err(CallError::Deadline))
            .map_err(|error| refusal_of(&error))?;
        Ok(Bytes::from(evidence))
    }
}

fn refusal_of(error: &CallError) -> Refusal {
    warn!(error = %server::telemetry::chain(error), "no evidence");
    match error {
        CallError::Deadline => Refusal::EvidenceTimeout,
        _ => Refusal::NoEvidence,
    }
}

/// Exactly one parameter, `nonce`: 64 lower-case hex digits, or 43 characters of base64url without padding.
fn nonce(query: Option<&str>) -> Result<[u8; 32], Refusal> {
    let text = query.and_then(|query| query.strip_prefix("nonce=")).ok_or(Refusal::Nonce)?;
    api::original::nonce(text).ok_or(Refusal::Nonce)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64ct::Base64UrlUnpadded;

    use super::*;

    #[test]
    fn a_nonce_is_32_bytes_in_hex_or_base64url() {
        let check = |query: &str, expected| assert_eq!(nonce(Some(query)), expected, "{query}");
        check(&format!("nonce={}", "ab".repeat(32)), Ok([0xab; 32]));
        check(&format!("nonce={}", Base64UrlUnpadded::encode_string(&[0xfb; 32])), Ok([0xfb; 32]));
        for wrong in [
            "",
            "nonce=",
            "nonce=00",
            "Nonce=AA",
            &format!("nonce={}", "AB".repeat(32)),
            &format!("nonce={}", "ab".repeat(31)),
            &format!("nonce={}", "ab".repeat(33)),
            &format!("nonce={}=", Base64UrlUnpadded::encode_string(&[1; 32])),
            &format!("nonce={}", Base64UrlUnpadded::encode_string(&[1; 31])),
            &format!("nonce={}&nonce=x", "ab".repeat(32)),
            &format!("a=b&nonce={}", "ab".repeat(32)),
            &format!("nonce={}", Base64::encode_string(&[0xff; 32])),
        ] {
            check(wrong, Err(Refusal::Nonce));
        }
        assert_eq!(nonce(None), Err(Refusal::Nonce));
    }
}
