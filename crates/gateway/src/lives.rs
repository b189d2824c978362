//! How long enclaves live: bounds at their creation, extensions, and what has happened to them.

use std::sync::Arc;

use api::Code;
use api::bounds::{EVENTS, LIFETIME_SECONDS};
use api::enclaves::{Enclave, EnclaveEvent, EnclaveEvents, ExtendEnclave};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use lifecycle::{Deadlines, Rate, positive};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::enclaves::{find, view};
use crate::extract::{Caller, Json};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::{Shared, now};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/enclaves/{name}/events", get(events))
        .route("/v1/enclaves/{name}/extend", post(extend))
}

/// The operator's bounds on the lives of enclaves.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lives {
    /// Seconds without activity after which an enclave is stopped.
    #[serde(deserialize_with = "sound")]
    pub idle_timeout: Lifetime,
    /// Seconds after its start at which an enclave is stopped.
    #[serde(deserialize_with = "sound")]
    pub max_age: Lifetime,
    /// Most seconds of one extension.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub extension: u64,
    /// How often one user may start enclaves.
    pub starts_of_user: Rate,
    /// How often one enclave may be started.
    pub starts_of_enclave: Rate,
    /// Bytes of files that one user may store.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub stored_bytes: u64,
    /// Seconds after which a file is removed that no published version has.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub unused_files: u64,
    /// Seconds after which an enclave fails that is on its way while no controller works on it.
    pub deadlines: Deadlines,
}

/// One bound.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lifetime {
    /// Where nothing is asked for; none: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LIFETIME_SECONDS))]
    pub default: Option<u64>,
    /// Most that may be asked for; where there is one, nothing lives for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LIFETIME_SECONDS))]
    pub most: Option<u64>,
}

fn sound<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Lifetime, D::Error> {
    let lifetime = Lifetime::deserialize(deserializer)?;
    let most = lifetime.most.unwrap_or(LIFETIME_SECONDS);
    if !(1..=LIFETIME_SECONDS).contains(&most) {
        return Err(D::Error::custom(format!("the most is 1 to {LIFETIME_SECONDS} seconds")));
    }
    if lifetime.default.is_some_and(|default| !(1..=most).contains(&default)) {
        return Err(D::Error::custom(format!("the default is 1 to {most} seconds")));
    }
    Ok(lifetime)
}

impl Default for Lives {
    fn default() -> Self {
        let rates = store::StartRates::default();
        Self {
            idle_timeout: Lifetime::default(),
            max_age: Lifetime::default(),
            extension: 86_400,
            starts_of_user: rates.user,
            starts_of_enclave: rates.enclave,
            stored_bytes: 20 << 30,
            unused_files: 86_400,
            deadlines: Deadlines::default(),
        }
    }
}

impl Lives {
    pub(crate) fn rates(&self) -> store::StartRates {
        store::StartRates { user: self.starts_of_user, enclave: self.starts_of_enclave }
    }
}

impl Lifetime {
    /// What was asked for, within the bound.
    pub(crate) fn choose(&self, asked: Option<u64>, what: &'static str) -> Result<Option<u64>, Refusal> {
        let most = self.most.unwrap_or(LIFETIME_SECONDS).min(LIFETIME_SECONDS);
        match asked {
            Some(seconds) if (1..=most).contains(&seconds) => Ok(Some(seconds)),
            Some(_) => {
                Err(Refusal::new(Code::InvalidLifetime, format!("{what} is 1 to {most} seconds here")))
            }
            None => Ok(self.default.or(self.most)),
        }
    }
}

/// `?after=&limit=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    after: Option<u64>,
    limit: Option<u32>,
}

/// `GET /v1/enclaves/{name}/events`
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<axum::Json<EnclaveEvents>, Refusal> {
    let Query(which) = query.map_err(|error| Refusal::new(Code::Malformed, error.body_text()))?;
    let most = u32::try_from(EVENTS).unwrap_or(u32::MAX);
    let limit = which.limit.unwrap_or(most);
    if !(1..=most).contains(&limit) {
        return Err(Refusal::new(Code::Malformed, format!("limit is 1 to {most}")));
    }
    let enclave = find(&shared, &caller, path).await?;
    let events = shared.store.enclave_events(&enclave.id, which.after.unwrap_or(0), limit).await?;
    let event = |event: store::EnclaveEvent| EnclaveEvent {
        seq: event.seq,
        at: event.at,
        state: event.state,
        stage: event.stage,
        message: event.message,
        reason: event.reason,
        cause: event.cause,
        progress: u32::try_from(event.progress).unwrap_or(100),
    };
    Ok(axum::Json(EnclaveEvents { events: events.into_iter().map(event).collect() }))
}

/// `POST /v1/enclaves/{name}/extend`: the controller that has the enclave takes it within a second.
pub(crate) async fn extend(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    Json(request): Json<ExtendEnclave>,
) -> Result<axum::Json<Enclave>, Refusal> {
    let most = shared.lives.extension;
    if !(1..=most).contains(&request.seconds) {
        return Err(Refusal::new(Code::InvalidLifetime, format!("an extension is 1 to {most} seconds here")));
    }
    let enclave = find(&shared, &caller, path).await?;
    let extended = shared.store.extend(&enclave.id, now().saturating_add(request.seconds), now()).await?;
    tracing::info!(enclave = %enclave.id, seconds = request.seconds, "extended");
    Ok(axum::Json(view(&shared, extended, None)))
}
