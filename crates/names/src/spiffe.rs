//! SPIFFE ids of the three kinds that we name: nodes, enclaves, parts of the control plane.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{EnclaveId, NameError};

const MAX_DOMAIN: usize = 255;
const MAX_LABEL: usize = 63;

/// A trust domain: lower-case DNS labels. SPIFFE-ID 2.1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a node of this domain.
    ///
    /// # Errors
    /// [`NameError::NotDns`] where the name is not one DNS label.
    pub fn node(&self, name: &str) -> Result<SpiffeId, NameError> {
        is_label(name).then(|| SpiffeId(format!("spiffe://{}/node/{name}", self.0))).ok_or(NameError::NotDns)
    }

    /// The id of an enclave of this domain.
    #[must_use]
    pub fn enclave(&self, id: &EnclaveId) -> SpiffeId {
        SpiffeId(format!("spiffe://{}/enclave/{id}", self.0))
    }

    /// The id of a part of the control plane.
    #[must_use]
    pub fn part(&self, part: Part) -> SpiffeId {
        SpiffeId(format!("spiffe://{}/part/{}", self.0, part.as_str()))
    }
}

impl FromStr for TrustDomain {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let good = text.len() <= MAX_DOMAIN && text.split('.').all(is_label);
        good.then(|| Self(text.into())).ok_or(NameError::NotDns)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part of the control plane that has an identity of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Client operations.
    Gateway,
    /// Server operations.
    Controller,
    /// The CA.
    Signer,
    /// The verifier.
    Verifier,
    /// The public port.
    Edge,
}

impl Part {
    /// The word in ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Controller => "controller",
            Self::Signer => "signer",
            Self::Verifier => "verifier",
            Self::Edge => "edge",
        }
    }
}

/// A SPIFFE id `spiffe://DOMAIN/{node|enclave|part}/NAME`, always in its one canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId(String);

impl SpiffeId {
    /// The id as a URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SpiffeId {
    /// The domain that the id belongs to.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        let rest = self.0.strip_prefix("spiffe://").unwrap_or_default();
        // Every id begins with a domain and a slash: it was parsed, or made from one.
        TrustDomain(rest.split('/').next().unwrap_or_default().into())
    }
}

impl FromStr for SpiffeId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let path = text.strip_prefix("spiffe://").ok_or(NameError::NotSpiffe)?;
        let (domain, rest) = path.split_once('/').ok_or(NameError::NotSpiffe)?;
        let domain: TrustDomain = domain.parse().map_err(|_| NameError::NotSpiffe)?;
        let (kind, name) = rest.split_once('/').ok_or(NameError::NotSpiffe)?;
        match kind {
            "node" | "part" if is_label(name) => Ok(Self(text.into())),
            "enclave" => {
                let id: EnclaveId = name.parse().map_err(|_| NameError::NotSpiffe)?;
                Ok(domain.enclave(&id))
            }
            _ => Err(NameError::NotSpiffe),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! serde_by_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.to_string())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}
serde_by_text!(TrustDomain);
serde_by_text!(SpiffeId);

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= MAX_LABEL
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_canonical_ids_are_read() {
        let domain: TrustDomain = "sealwright.internal".parse().unwrap();
        let id = EnclaveId::from_bytes([7; 16]);
        for good in [domain.enclave(&id), domain.node("node-1").unwrap(), domain.part(Part::Signer)] {
            assert_eq!(good.as_str().parse::<SpiffeId>().unwrap(), good);
            assert_eq!(good.trust_domain(), domain);
        }
        for bad in [
            "",
            "spiffe://",
            "spiffe://d",
            "spiffe://d/node",
            "spiffe://d/node/",
            "spiffe://D/node/a",
            "spiffe://d/node/a/b",
            "spiffe://d/node/../a",
            "spiffe://d/enclave/0",
            "http://d/node/a",
            "spiffe://d:1/node/a",
            "spiffe://d/user/a",
            "spiffe://d/node/a?x=1",
        ] {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
        }
    }
}
