//! What is known of a request besides who sends it: for the audit log, the limits and the list of sessions.

use std::sync::Arc;

use ::audit::Event;
use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;
use store::UserId;

use crate::extract::Address;
use crate::refusal::{Refusal, RequestId};
use crate::shared::{Shared, now};

/// Characters of what a client says it is.
const CLIENT: usize = 64;

/// What is known of a request besides who sends it.
pub(crate) struct Seen {
    /// Where it comes from.
    pub(crate) address: Address,
    /// The day's mark of that.
    pub(crate) mark: String,
    /// What the client says it is, in plain characters.
    pub(crate) client: String,
    request: String,
}

impl Seen {
    /// Somebody did something, or was refused: `result` is `ok` or a code.
    pub(crate) fn event(&self, actor: Option<&UserId>, action: &str, subject: &str, result: &str) -> Event {
        Event {
            at: now(),
            actor: actor.map(ToString::to_string).unwrap_or_default(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            result: result.to_owned(),
            request: self.request.clone(),
            address: self.mark.clone(),
        }
    }

    /// The same, when it worked.
    pub(crate) fn done(&self, actor: &UserId, action: &str, subject: &str) -> Event {
        self.event(Some(actor), action, subject, "ok")
    }
}

impl FromRequestParts<Arc<Shared>> for Seen {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let address = Address::from_request_parts(parts, shared).await?;
        let mark = shared.marks.of(&shared.store, "address", &[&address.network()]).await?;
        let said = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let plain = |character: &char| character.is_ascii_graphic() || *character == ' ';
        let client = said.chars().filter(plain).take(CLIENT).collect();
        let request = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        Ok(Self { address, mark, client, request })
    }
}
