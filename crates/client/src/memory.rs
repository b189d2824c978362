//! What a user's client has seen before: which version an enclave was made with, whose signature counts for an app.

use std::collections::BTreeMap;

use ::names::{Digest, EnclaveId};
use appraisal::{Reference, Source};
use serde::{Deserialize, Serialize};
use workload::{AppName, AppVersion};

use crate::names::EnclaveName;

/// Most enclaves, apps and versions that are remembered, each.
const REMEMBERED: usize = 10_000;

/// What is known of an enclave from before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Its id.
    pub id: EnclaveId,
    /// The version that it must run, and on whose word.
    pub version: Reference,
    /// The highest incarnation that was proved.
    pub incarnation: u64,
}

/// Whose signature counts for an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherPin {
    /// SHA-256 of the publisher's key (SPKI).
    pub key: Digest,
    /// Whether the user chose it or it was only the first that was seen.
    pub origin: Origin,
}

/// How something came to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The user did it.
    User,
    /// It was the first that was seen.
    FirstUse,
}

/// The app's record is signed with another key than before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("app {app} was signed with key {before}, and now with {now}")]
pub struct OtherPublisher {
    /// The app.
    pub app: AppName,
    /// Hash of the publisher's key as it is known.
    pub before: Digest,
    /// Hash of the key now.
    pub now: Digest,
}

/// A version that this user measured here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    app: AppName,
    version: AppVersion,
}

/// Everything that is remembered for one user at one context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    enclaves: BTreeMap<EnclaveName, Pin>,
    publishers: BTreeMap<AppName, PublisherPin>,
    measured: BTreeMap<Digest, Measured>,
}

impl Memory {
    /// What is known of an enclave from before.
    #[must_use]
    pub fn enclave(&self, name: &EnclaveName) -> Option<&Pin> {
        self.enclaves.get(name)
    }

    /// What is known of the enclave with this id.
    #[must_use]
    pub fn enclave_by_id(&self, id: &EnclaveId) -> Option<&Pin> {
        self.enclaves.values().find(|pin| pin.id == *id)
    }

    /// The versions that this user measured here.
    #[must_use]
    pub fn measured(&self) -> Vec<Reference> {
        self.measured.keys().map(|digest| Reference { digest: *digest, source: Source::UserFile }).collect()
    }

    /// Whose signature counts for an app.
    #[must_use]
    pub fn publisher(&self, app: &AppName) -> Option<&PublisherPin> {
        self.publishers.get(app)
    }

    /// The user has just created this enclave: whatever had that name before is gone.
    pub fn created(&mut self, name: EnclaveName, pin: Pin) {
        if self.enclaves.len() < REMEMBERED {
            self.enclaves.insert(name, pin);
        }
    }

    /// An enclave was proved: what was unknown is pinned, and the incarnation never goes back.
    pub fn proved(&mut self, name: EnclaveName, seen: Pin) {
        if let Some(pin) = self.enclaves.get_mut(&name) {
            pin.incarnation = pin.incarnation.max(seen.incarnation);
        } else if self.enclaves.len() < REMEMBERED {
            self.enclaves.insert(name, seen);
        }
    }

    /// The user deleted this enclave.
    pub fn deleted(&mut self, name: &EnclaveName) {
        self.enclaves.remove(name);
    }

    /// The user published this version: measured here, signed with the user's own key, which counts from now on.
    pub fn published(&mut self, app: AppName, version: AppVersion, digest: Digest, key: Digest) {
        self.publishers.insert(app.clone(), PublisherPin { key, origin: Origin::User });
        if self.measured.len() < REMEMBERED {
            self.measured.insert(digest, Measured { app, version });
        }
    }

    /// A record of this app was signed with this key: it must be the known one; the first is kept.
    ///
    /// # Errors
    /// [`OtherPublisher`].
    pub fn signed_by(&mut self, app: &AppName, key: Digest) -> Result<Origin, OtherPublisher> {
        match self.publishers.get(app) {
            Some(pin) if pin.key != key => {
                Err(OtherPublisher { app: app.clone(), before: pin.key, now: key })
            }
            Some(pin) => Ok(pin.origin),
            None => {
                let origin = Origin::FirstUse;
                if self.publishers.len() < REMEMBERED {
                    self.publishers.insert(app.clone(), PublisherPin { key, origin });
                }
                Ok(origin)
            }
        }
    }

    /// On whose word a signed digest counts: the user's own measurement before a signature.
    #[must_use]
    pub fn source(&self, digest: &Digest, origin: Origin) -> Source {
        match (self.measured.contains_key(digest), origin) {
            (true, _) => Source::UserFile,
            (false, Origin::User) => Source::PublisherSignature,
            (false, Origin::FirstUse) => Source::FirstUse,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn notes() -> EnclaveName {
        "notes".parse().unwrap()
    }

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn pin(id: u8, version: u8, incarnation: u64) -> Pin {
        let version = Reference { digest: digest(version), source: Source::FirstUse };
        Pin { id: EnclaveId::from_bytes([id; 16]), version, incarnation }
    }

    #[test]
    fn a_proof_never_changes_what_is_pinned_but_the_incarnation_forwards() {
        let mut memory = Memory::default();
        memory.proved(notes(), pin(1, 1, 3));
        memory.proved(notes(), pin(2, 2, 2));
        assert_eq!(memory.enclave(&notes()), Some(&pin(1, 1, 3)));
        memory.proved(notes(), pin(2, 2, 4));
        assert_eq!(memory.enclave(&notes()), Some(&pin(1, 1, 4)));
    }

    #[test]
    fn the_user_may_begin_anew_under_an_old_name() {
        let mut memory = Memory::default();
        memory.proved(notes(), pin(1, 1, 3));
        memory.created(notes(), pin(2, 2, 0));
        assert_eq!(memory.enclave(&notes()), Some(&pin(2, 2, 0)));
        memory.deleted(&notes());
        assert_eq!(memory.enclave(&notes()), None);
    }

    #[test]
    fn a_second_publisher_of_an_app_is_refused() {
        let (mut memory, app) = (Memory::default(), "hello".parse::<AppName>().unwrap());
        assert_eq!(memory.signed_by(&app, digest(1)), Ok(Origin::FirstUse));
        assert_eq!(memory.signed_by(&app, digest(1)), Ok(Origin::FirstUse));
        let refused = memory.signed_by(&app, digest(2)).unwrap_err();
        assert_eq!((refused.before, refused.now), (digest(1), digest(2)));
        memory.published(app.clone(), "1".parse().unwrap(), digest(7), digest(2));
        assert_eq!(memory.signed_by(&app, digest(2)), Ok(Origin::User));
    }

    #[test]
    fn a_version_measured_here_counts_as_the_users_own_word() {
        let mut memory = Memory::default();
        memory.published("hello".parse().unwrap(), "1".parse().unwrap(), digest(7), digest(2));
        assert_eq!(memory.source(&digest(7), Origin::User), Source::UserFile);
        assert_eq!(memory.source(&digest(8), Origin::User), Source::PublisherSignature);
        assert_eq!(memory.source(&digest(8), Origin::FirstUse), Source::FirstUse);
    }

    #[test]
    fn memory_is_the_same_when_read_back() {
        let mut memory = Memory::default();
        memory.created(notes(), pin(1, 1, 1));
        memory.published("hello".parse().unwrap(), "1".parse().unwrap(), digest(7), digest(2));
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }
}
