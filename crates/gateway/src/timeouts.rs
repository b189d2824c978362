//! How long a peer may take: for the head of a request, for its body, and for the answer to be found.

use std::time::Duration;

use api::Code;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use std::sync::Arc;

use crate::refusal::Refusal;
use crate::shared::Shared;

/// How long things may take, in seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From the first byte of a request's head, or since the last answer, to the end of the head.
    #[serde(deserialize_with = "lifecycle::positive")]
    #[schemars(range(min = 1))]
    pub head: u64,
    /// A JSON body, whole; and the next piece of an upload.
    #[serde(deserialize_with = "lifecycle::positive")]
    #[schemars(range(min = 1))]
    pub body: u64,
    /// Any request but an upload, from its head to the head of its answer.
    #[serde(deserialize_with = "lifecycle::positive")]
    #[schemars(range(min = 1))]
    pub answer: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: 30, body: 30, answer: 150 }
    }
}

/// An upload may take this long, and longer for what it has delivered at this pace.
const UPLOAD: Duration = Duration::from_secs(60);
const UPLOAD_BYTES_PER_SECOND: u64 = 16 << 10;

impl Timeouts {
    pub(crate) const fn head(&self) -> Duration {
        Duration::from_secs(self.head)
    }

    pub(crate) const fn body(&self) -> Duration {
        Duration::from_secs(self.body)
    }

    /// A stream of events that has nothing to tell says after this time that it is still there.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_secs((self.head / 2).max(1))
    }

    const fn answer(&self) -> Duration {
        Duration::from_secs(self.answer)
    }
}

/// Since its start, how long an upload may have taken when it has delivered so much: a trickle ends.
pub(crate) fn upload_allowance(delivered: u64) -> Duration {
    UPLOAD.saturating_add(Duration::from_secs(delivered / UPLOAD_BYTES_PER_SECOND))
}

/// The layer around all routes. Uploads have their own clock.
pub(crate) async fn in_time(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if request.method() == Method::PUT && request.uri().path().starts_with("/v1/blobs/") {
        return Ok(next.run(request).await);
    }
    let answer = tokio::time::timeout(shared.timeouts.answer(), next.run(request)).await;
    answer.map_err(|_| Refusal::new(Code::ServerTimeout, "it may still be done; look before asking again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_earns_its_time() {
        assert_eq!(upload_allowance(0), UPLOAD);
        assert_eq!(upload_allowance(1 << 20), UPLOAD + Duration::from_secs(64));
        assert!(upload_allowance(u64::MAX) > UPLOAD);
    }
}
