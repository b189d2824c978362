//! Versions of Keylime's API, and what differs between them: as data, so that one handler serves all.

use core::fmt;
use core::str::FromStr;

/// A version that is served. 1.0 and 2.0 are named by Keylime's servers and have no routes of their own any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The enrolment carries the attestation key and the agent's certificate (CVE-2022-1053).
    V2_1,
    /// `GET /agent/info`, `GET /verify/identity`.
    V2_2,
    /// `/mbpolicies`, the registrar's `/version`.
    V2_3,
    /// `POST /verify/evidence`.
    V2_4,
    /// `rsa2048` instead of `rsa`; the agent lists its versions.
    V2_5,
    /// The identity key certifies over the digest of the agent's id.
    V2_6,
    /// The push model.
    V3_0,
}

/// The version is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this API version is not served")]
pub struct Unsupported;

/// What the identity key signs about the attestation key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QualifyingData {
    /// The agent's id.
    Id,
    /// Its SHA-256.
    IdDigest,
}

impl Version {
    /// All, ascending.
    pub const ALL: [Self; 7] =
        [Self::V2_1, Self::V2_2, Self::V2_3, Self::V2_4, Self::V2_5, Self::V2_6, Self::V3_0];
    /// What a server calls its current version.
    pub const CURRENT: Self = Self::V2_6;

    /// `2.5`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2_1 => "2.1",
            Self::V2_2 => "2.2",
            Self::V2_3 => "2.3",
            Self::V2_4 => "2.4",
            Self::V2_5 => "2.5",
            Self::V2_6 => "2.6",
            Self::V3_0 => "3.0",
        }
    }

    /// The version that a path begins with: `v2.5`, or `v2` and `v3` for the newest of either.
    ///
    /// # Errors
    /// [`Unsupported`] for everything else.
    pub fn from_path(segment: &str) -> Result<Self, Unsupported> {
        match segment.strip_prefix('v').ok_or(Unsupported)? {
            "2" => Ok(Self::V2_6),
            "3" => Ok(Self::V3_0),
            version => version.parse(),
        }
    }

    /// The newest version that both sides have.
    #[must_use]
    pub fn newest_common(ours: &[Self], theirs: &[Self]) -> Option<Self> {
        ours.iter().copied().filter(|version| theirs.contains(version)).max()
    }

    /// How an RSA key of 2048 bits is named in `enc_alg`.
    #[must_use]
    pub fn rsa_2048(self) -> &'static str {
        if self >= Self::V2_5 { "rsa2048" } else { "rsa" }
    }

    /// What the identity key's statement about the attestation key carries.
    #[must_use]
    pub fn qualifying_data(self) -> QualifyingData {
        if self >= Self::V2_6 { QualifyingData::IdDigest } else { QualifyingData::Id }
    }

    /// Whether the agent tells all its versions, not only the newest.
    #[must_use]
    pub fn agent_lists_versions(self) -> bool {
        self >= Self::V2_5
    }

    /// Whether an answer of `/verify/evidence` says `valid` as a boolean, with claims.
    #[must_use]
    pub fn evidence_has_claims(self) -> bool {
        self >= Self::V2_5
    }

    /// Whether an agent's record says how its last rounds went.
    #[must_use]
    pub fn record_has_rounds(self) -> bool {
        self >= Self::V2_5
    }

    /// Whether policies have the names and verbs of 3.0 (`/policies/ima`, `/refstates/uefi`, PATCH).
    #[must_use]
    pub fn has_new_names(self) -> bool {
        self >= Self::V3_0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = Unsupported;

    fn from_str(text: &str) -> Result<Self, Unsupported> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_version_or_the_newest_of_a_major_one() {
        assert_eq!(Version::from_path("v2.1"), Ok(Version::V2_1));
        assert_eq!(Version::from_path("v2"), Ok(Version::V2_6));
        assert_eq!(Version::from_path("v3"), Ok(Version::V3_0));
        for other in ["v1.0", "v2.0", "v2.7", "v2.06", "2.5", "V2.5", "v", "v3.1", "v2.5 ", ""] {
            assert_eq!(Version::from_path(other), Err(Unsupported), "{other:?}");
        }
    }

    #[test]
    fn the_newest_common_version_is_taken() {
        let agent = [Version::V2_1, Version::V2_5];
        assert_eq!(Version::newest_common(&Version::ALL, &agent), Some(Version::V2_5));
        assert_eq!(Version::newest_common(&[Version::V2_6], &agent), None);
    }

    #[test]
    fn versions_are_ordered_and_each_is_read_as_it_is_written() {
        assert!(Version::ALL.is_sorted());
        for version in Version::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
        }
    }
}
