//! What a client accepts of an enclave, and on whose word: the values come from the user, never from the evidence.

use std::fs;
use std::path::Path;

use ::names::{Digest, Level};
use api::apps::{App, RECORD_TYP};
use api::enclaves::Enclave;
use appraisal::{Policy, Reference, Versions};
use pki::jws::Unverified;
use workload::{AppName, AppVersion, RecordError, VersionRecord};

use crate::context::Simulated;
use crate::error::{AnswerError, Error, InputError};
use crate::gateway::Gateway;
use crate::memory::{Memory, OlderVersion, Origin, OtherPublisher, Pin, Signed};
use crate::names::EnclaveName;
use crate::profile::Profile;
use crate::report::ReportGap;

/// Largest policy file.
const POLICY_BYTES: u64 = 1 << 20;

/// Why there is nothing to compare an enclave with.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The record's form or signature is wrong.
    #[error("the publisher's record of app {app} is not valid")]
    RecordInvalid {
        /// The app.
        app: AppName,
    },
    /// The record is about something else than what was asked for.
    #[error("the publisher's record is about another app, version or content than {app} {version}")]
    RecordOther {
        /// The app that was asked for.
        app: AppName,
        /// The version that was asked for.
        version: AppVersion,
    },
    /// Another publisher than before.
    #[error(transparent)]
    Publisher(#[from] OtherPublisher),
    /// As the newest version came one that is older than what was seen as the newest before.
    #[error(transparent)]
    Older(#[from] OlderVersion),
    /// The server made an enclave of another version than it was asked for.
    #[error("the server made an enclave of version {now}, not {wanted}")]
    CreatedOther {
        /// The digest that was asked for.
        wanted: Digest,
        /// The digest that the server names.
        now: Digest,
    },
}

impl ReferenceError {
    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RecordInvalid { .. } => "record_invalid",
            Self::RecordOther { .. } => "record_other",
            Self::Publisher(_) => "publisher_other",
            Self::Older(_) => "version_older",
            Self::CreatedOther { .. } => "created_other",
        }
    }
}

/// What the user accepts beyond the context, this time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trust {
    /// The flag `--allow-simulated`.
    pub simulated: Option<Simulated>,
    /// A policy of the user's own, in place of the one that is made from what is known.
    pub policy: Option<Policy>,
}

impl Trust {
    /// Reads a policy file: `appraisal::Policy` as JSON.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn read_policy(path: &Path) -> Result<Policy, Error> {
        let input = |source| Error::Input { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(|error| input(error.into()))?.len();
        if size > POLICY_BYTES {
            return Err(input(InputError::TooLarge(POLICY_BYTES)));
        }
        let bytes = fs::read(path).map_err(|error| input(error.into()))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            input(InputError::Malformed { expected: "a trust policy", problem: error.to_string() })
        })
    }

    /// The user's own policy or one that accepts these versions; the flag and the context decide on `simulated`.
    pub(crate) fn policy(&self, context: Simulated, versions: impl FnOnce() -> Versions) -> Policy {
        let accepted = match (&self.policy, self.simulated) {
            (_, Some(flag)) => flag,
            // Who writes a policy means its level.
            (Some(_), None) => Simulated::Refused,
            (None, None) => context,
        };
        let mut policy = self.policy.clone().unwrap_or_else(|| Policy::new(versions()));
        if accepted == Simulated::Allowed {
            policy.min_level = Level::Simulated;
        }
        policy
    }
}

/// A version, and on whose word it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The version's name.
    pub version: AppVersion,
    /// Its digest, with the source.
    pub reference: Reference,
    /// SHA-256 of the publisher's key (SPKI).
    pub publisher: Digest,
    /// When the publisher signed it, unix seconds.
    pub issued_at: u64,
}

/// What an app's record was asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The newest version: it must not be older than what was seen as such before.
    Newest,
    /// One version by its name, as old as it may be.
    Named,
}

/// Checks the publisher's record of an app that the gateway showed; the gateway itself is not believed.
///
/// # Errors
/// [`ReferenceError`].
pub fn vouch(
    memory: &mut Memory,
    name: &AppName,
    app: &App,
    wanted: Wanted,
) -> Result<Vouched, ReferenceError> {
    let invalid = || ReferenceError::RecordInvalid { app: name.clone() };
    let token = Unverified::parse(&app.record)
        .and_then(|token| token.expect_type(RECORD_TYP))
        .map_err(|_| invalid())?;
    let certificate = match token.chain() {
        Some([certificate]) => pki::Certificate::from_der(certificate).map_err(|_| invalid())?,
        Some(_) | None => return Err(invalid()),
    };
    let key = certificate.public_key().map_err(|_| invalid())?;
    let record: VersionRecord = token.verify(&key).and_then(|token| token.claims()).map_err(|_| invalid())?;
    // What the record says must be what the gateway says, and what the manifest is.
    let same = record.name == *name && record.version == app.version && record.digest == app.digest;
    if !same || app.manifest.digest() != record.digest {
        return Err(ReferenceError::RecordOther { app: name.clone(), version: app.version.clone() });
    }
    let publisher = Digest::from_bytes(certificate.spki_sha256());
    let origin = memory.signed_by(name, publisher)?;
    let signed =
        Signed { version: record.version.clone(), digest: record.digest, issued_at: record.issued_at };
    match wanted {
        Wanted::Newest => memory.newest(name, signed)?,
        Wanted::Named => memory.seen(name, signed),
    }
    let source = memory.source(&record.digest, origin);
    let reference = Reference { digest: record.digest, source };
    Ok(Vouched { version: record.version, reference, publisher, issued_at: record.issued_at })
}

/// What is accepted of one enclave of this user.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The enclave's name.
    pub name: EnclaveName,
    /// The TLS server name.
    pub host: String,
    /// The policy that the evidence has to meet.
    pub policy: Policy,
    /// What is kept when it does.
    pub pin: Pin,
}

impl Expected {
    /// What a reader of the report might believe and should not: where the user did not create the enclave here, which
    /// app it runs was the server's word.
    pub(crate) fn gap(&self) -> Option<ReportGap> {
        (self.pin.origin == Origin::FirstUse).then(|| ReportGap {
            name: "app_by_operator".into(),
            text: format!(
                "that {} runs the app that you meant: it was not created on this machine, and which app it runs was \
                 the server's word when it was first seen here",
                self.name
            ),
        })
    }
}

impl Gateway {
    /// The newest version of an app, vouched for by its publisher.
    ///
    /// # Errors
    /// [`Error::Reference`], and what the gateway says.
    pub async fn vouched(&mut self, app: &AppName, version: Option<&AppVersion>) -> Result<Vouched, Error> {
        let shown = match version {
            Some(version) => self.app_version(app, version).await?,
            None => self.app(app).await?,
        };
        if version.is_some_and(|version| shown.version != *version) {
            return Err(ReferenceError::RecordOther { app: app.clone(), version: shown.version }.into());
        }
        let wanted = if version.is_some() { Wanted::Named } else { Wanted::Newest };
        self.profile().remember(|memory| vouch(memory, app, &shown, wanted).map_err(Error::from))
    }

    /// What is accepted of an enclave: from what is known of it, or else from its publisher's record.
    ///
    /// # Errors
    /// [`Error::Reference`], and what the gateway says.
    pub async fn expected(&mut self, name: &EnclaveName, trust: &Trust) -> Result<Expected, Error> {
        let known = self.profile().memory()?.enclave(name).cloned();
        let pin = match known {
            Some(pin) => pin,
            None => {
                let enclave = self.enclave(name).await?;
                let (app, version) = app_of(&enclave)?;
                let vouched = self.vouched(&app, Some(&version)).await?;
                Pin { id: enclave.id, version: vouched.reference, incarnation: 0, origin: Origin::FirstUse }
            }
        };
        Ok(expected(self.profile(), self.context().simulated, name, trust, pin))
    }
}

/// What the gateway says that an enclave runs.
fn app_of(enclave: &Enclave) -> Result<(AppName, AppVersion), Error> {
    let unreadable = |error: RecordError| {
        let request = format!("GET {}/{}", api::paths::ENCLAVES, enclave.name);
        Error::Answer { request, source: AnswerError::Json(error.to_string()) }
    };
    Ok((enclave.app.parse().map_err(unreadable)?, enclave.version.parse().map_err(unreadable)?))
}

fn expected(
    profile: &Profile,
    simulated: Simulated,
    name: &EnclaveName,
    trust: &Trust,
    pin: Pin,
) -> Expected {
    let host = ::names::enclave_host(name.as_str(), profile.user().as_str());
    let mut policy = trust.policy(simulated, || Versions::OneOf(vec![pin.version.clone()]));
    policy.enclave.get_or_insert(pin.id);
    policy.owner.get_or_insert(profile.key_hash());
    policy.dns_name.get_or_insert_with(|| host.clone());
    policy.min_incarnation = policy.min_incarnation.max(pin.incarnation);
    Expected { name: name.clone(), host, policy, pin }
}
