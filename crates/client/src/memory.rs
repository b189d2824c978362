//! What a user's client has seen before: which version an enclave was made with, whose signature counts for an app.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether the user created it here, or took the server's word on which app it runs.
    #[serde(default = "first_use")]
    pub origin: Origin,
}

/// Pins of earlier versions of this program don't say.
const fn first_use() -> Origin {
    Origin::FirstUse
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

/// An older version was shown as the newest one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "app {app} is shown in version {version}, signed at {issued_at}; version {newest}, signed at {newest_at}, was seen before"
)]
pub struct OlderVersion {
    /// The app.
    pub app: AppName,
    /// What was shown.
    pub version: AppVersion,
    /// When that was signed, unix seconds.
    pub issued_at: u64,
    /// The newest that was seen.
    pub newest: AppVersion,
    /// When that was signed, unix seconds.
    pub newest_at: u64,
}

/// A version as its publisher signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The version's name.
    pub version: AppVersion,
    /// Its digest.
    pub digest: Digest,
    /// When it was signed, unix seconds.
    pub issued_at: u64,
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
    newest: BTreeMap<AppName, Signed>,
    /// Public keys that sign licence files, 32 bytes each.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    license_keys: BTreeSet<Digest>,
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

    /// Names of the enclaves that were created or proved here.
    pub fn enclave_names(&self) -> impl Iterator<Item = &EnclaveName> {
        self.enclaves.keys()
    }

    /// Names of the apps that were seen here.
    pub fn app_names(&self) -> impl Iterator<Item = &AppName> {
        self.publishers.keys()
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
    ///
    /// What the user makes counts always: where there is no room, a pin goes that can be had again, one by first use.
    pub fn created(&mut self, name: EnclaveName, pin: Pin) {
        if self.enclaves.len() >= REMEMBERED && !self.enclaves.contains_key(&name) {
            let by_first_use = self.enclaves.iter().find(|(_, pin)| pin.origin == Origin::FirstUse);
            let gone = by_first_use.or_else(|| self.enclaves.iter().next()).map(|(name, _)| name.clone());
            gone.map(|gone| self.enclaves.remove(&gone));
        }
        self.enclaves.insert(name, pin);
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
        let before = self.publishers.insert(app.clone(), PublisherPin { key, origin: Origin::User });
        if before.is_some_and(|before| before.key != key) {
            // What another publisher signed says nothing of what is newest now.
            self.newest.remove(&app);
        }
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

    /// A record was shown as that of the newest version: it must not be older than what was seen before.
    ///
    /// # Errors
    /// [`OlderVersion`].
    pub fn newest(&mut self, app: &AppName, shown: Signed) -> Result<(), OlderVersion> {
        match self.newest.get(app) {
            // The same content, signed again, is not older. Of two that were signed in one second either may be the newest.
            Some(known) if shown.issued_at < known.issued_at && shown.digest != known.digest => {
                Err(OlderVersion {
                    app: app.clone(),
                    version: shown.version,
                    issued_at: shown.issued_at,
                    newest: known.version.clone(),
                    newest_at: known.issued_at,
                })
            }
            Some(_) | None => {
                self.seen(app, shown);
                Ok(())
            }
        }
    }

    /// A signed version was seen; the one that was signed last is kept.
    pub fn seen(&mut self, app: &AppName, signed: Signed) {
        let room = self.newest.len() < REMEMBERED;
        match self.newest.get_mut(app) {
            Some(known) if known.issued_at < signed.issued_at => *known = signed,
            Some(_) => {}
            None if room => {
                self.newest.insert(app.clone(), signed);
            }
            None => {}
        }
    }

    /// The public keys whose licence files count.
    pub(crate) fn license_keys(&self) -> impl Iterator<Item = &Digest> {
        self.license_keys.iter()
    }

    /// The licence files of these keys count from now on, and of no others.
    pub(crate) fn accept_license_keys(&mut self, keys: impl Iterator<Item = Digest>) {
        self.license_keys = keys.take(licensing::MAX_KEYS).collect();
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
        Pin { id: EnclaveId::from_bytes([id; 16]), version, incarnation, origin: Origin::FirstUse }
    }

    fn signed(version: &str, byte: u8, issued_at: u64) -> Signed {
        Signed { version: version.parse().unwrap(), digest: digest(byte), issued_at }
    }

    #[test]
    fn an_older_version_is_not_the_newest() {
        let (mut memory, app) = (Memory::default(), "hello".parse::<AppName>().unwrap());
        memory.newest(&app, signed("1", 1, 10)).unwrap();
        memory.newest(&app, signed("2", 2, 20)).unwrap();
        let refused = memory.newest(&app, signed("1", 1, 10)).unwrap_err();
        assert_eq!((refused.version.as_str(), refused.newest.as_str()), ("1", "2"));
        // Asked for by its name, an old version may be old; the newest stays what it was.
        memory.seen(&app, signed("1", 1, 10));
        assert!(memory.newest(&app, signed("1", 1, 10)).is_err());
        // The same content, signed at another time, is the same version.
        memory.newest(&app, signed("2", 2, 19)).unwrap();
        memory.newest(&app, signed("3", 3, 20)).unwrap();
    }

    #[test]
    fn another_publisher_of_the_users_own_begins_anew() {
        let (mut memory, app) = (Memory::default(), "hello".parse::<AppName>().unwrap());
        memory.signed_by(&app, digest(1)).unwrap();
        memory.newest(&app, signed("2", 2, 20)).unwrap();
        memory.published(app.clone(), "1".parse().unwrap(), digest(7), digest(9));
        memory.newest(&app, signed("1", 7, 10)).unwrap();
    }

    #[test]
    fn what_the_user_creates_is_remembered_however_much_there_is() {
        let mut memory = Memory::default();
        for number in 0..REMEMBERED {
            memory.proved(format!("n{number}").parse().unwrap(), pin(1, 1, 1));
        }
        memory.proved(notes(), pin(2, 2, 1));
        assert_eq!(memory.enclave(&notes()), None, "what is only seen is not remembered without end");
        let own = Pin { origin: Origin::User, ..pin(3, 3, 0) };
        memory.created(notes(), own.clone());
        assert_eq!((memory.enclave(&notes()), memory.enclaves.len()), (Some(&own), REMEMBERED));
        memory.created("n5".parse().unwrap(), own.clone());
        assert_eq!(memory.enclave(&notes()), Some(&own), "an old name needs no room");
    }

    #[test]
    fn a_pin_of_an_earlier_version_of_this_program_is_by_first_use() {
        let mut old = serde_json::to_value(pin(1, 1, 1)).unwrap();
        old.as_object_mut().unwrap().remove("origin");
        assert_eq!(serde_json::from_value::<Pin>(old).unwrap(), pin(1, 1, 1));
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
