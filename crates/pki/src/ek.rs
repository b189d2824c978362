//! Endorsement key certificates (TCG EK Credential Profile for TPM 2.0, 2.x): the chain leads to an anchor that
//! carries a level. What real ones look like and other verifiers refuse: a critical alternative name that is a
//! directoryName, a last second in the year 9999, RSA keys and signatures.

use alloc::{string::String, vec::Vec};

use names::Level;

use crate::{
    certificate::Certificate,
    path::{self, LeafRule, PathError, VerifiedChain},
};

/// A trusted authority for endorsement keys, and how much its word is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EkAnchor {
    /// The authority's certificate.
    pub certificate: Certificate,
    /// What a key below it proves; never read from a certificate.
    pub level: Level,
    /// The operator's name for it.
    pub name: String,
}

/// An endorsement key whose chain leads to an anchor. Made only by [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEk {
    chain: VerifiedChain,
    level: Level,
    anchor_name: String,
}

impl VerifiedEk {
    /// The endorsement key's certificate.
    pub fn certificate(&self) -> &Certificate {
        self.chain.leaf()
    }

    /// The whole chain.
    pub fn chain(&self) -> &VerifiedChain {
        &self.chain
    }

    /// The anchor's level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The anchor's name in the trust store.
    pub fn anchor_name(&self) -> &str {
        &self.anchor_name
    }
}

/// Verifies an endorsement key's chain in DER, leaf first.
pub fn verify<B: AsRef<[u8]>>(chain: &[B], anchors: &[EkAnchor], now: u64) -> Result<VerifiedEk, PathError> {
    let certificates: Vec<&Certificate> = anchors.iter().map(|anchor| &anchor.certificate).collect();
    let (verified, index) = path::verify_leaf(chain, &certificates, now, LeafRule::Endorsement)?;
    let anchor = anchors.get(index).ok_or(PathError::UnknownAnchor)?;
    Ok(VerifiedEk { chain: verified, level: anchor.level, anchor_name: anchor.name.clone() })
}
