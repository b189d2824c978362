//! Certification paths (RFC 5280, 6, reduced to what we use): a chain leads to an anchor, or there is a reason
//! why not. No name constraints and no policies: a chain that needs them is refused.

use alloc::vec::Vec;

use crate::{
    certificate::{Certificate, CertificateError},
    extensions::KeyUsage,
    oid::Oid,
};

/// Longest chain, the anchor included if it was sent.
pub const MAX_CHAIN: usize = 4;

/// Why a chain leads to no anchor. `at` counts from the leaf, which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No certificate at all, or nothing but an anchor.
    #[error("chain is empty")]
    Empty,
    /// More than [`MAX_CHAIN`] certificates.
    #[error("chain is too long")]
    TooLong,
    /// One of the certificates is not readable.
    #[error("certificate {at} of the chain is not readable")]
    Certificate {
        /// Position in the chain.
        at: usize,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// A certificate's issuer is not the subject of the next one.
    #[error("certificate {at} was not issued by the next one")]
    NameChain {
        /// Position in the chain.
        at: usize,
    },
    /// The last certificate names no anchor that we trust.
    #[error("chain ends at no trusted anchor")]
    UnknownAnchor,
    /// A signature does not verify under the next certificate's key.
    #[error("signature of certificate {at} does not verify")]
    Signature {
        /// Position in the chain.
        at: usize,
    },
    /// A certificate is not valid yet.
    #[error("certificate {at} is not valid yet")]
    NotYetValid {
        /// Position in the chain.
        at: usize,
    },
    /// A certificate is not valid any more.
    #[error("certificate {at} has expired")]
    Expired {
        /// Position in the chain.
        at: usize,
    },
    /// A certificate other than the leaf is not one of an authority.
    #[error("certificate {at} is not an authority's")]
    NotAnAuthority {
        /// Position in the chain.
        at: usize,
    },
    /// The leaf is one of an authority.
    #[error("leaf is an authority's certificate")]
    LeafIsAuthority,
    /// More authorities stand below this one than its path length allows.
    #[error("certificate {at} does not allow so long a path")]
    PathLength {
        /// Position in the chain.
        at: usize,
    },
    /// The key usage of a certificate does not allow what it is used for.
    #[error("key usage of certificate {at} does not fit")]
    KeyUsage {
        /// Position in the chain.
        at: usize,
    },
    /// The leaf does not name the purpose that was asked for.
    #[error("leaf is not for this purpose")]
    Purpose,
    /// A critical extension that we don't process.
    #[error("certificate {at} has an unknown critical extension")]
    UnknownCritical {
        /// Position in the chain.
        at: usize,
    },
}

/// A chain that leads to an anchor. Made only by [`verify`] (and, for endorsement keys, by `ek::verify`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChain {
    leaf: Certificate,
    intermediates: Vec<Certificate>,
    anchor: Certificate,
}

impl VerifiedChain {
    /// The certificate that the path was checked for.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The authorities between leaf and anchor, from the leaf's issuer upwards.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The trusted certificate at the end.
    pub fn anchor(&self) -> &Certificate {
        &self.anchor
    }
}

/// What the leaf must be.
#[derive(Clone, Copy)]
pub(crate) enum LeafRule {
    /// A key that signs, for this purpose.
    Signing(Oid),
    /// An endorsement key: it decrypts or agrees on keys (TCG EK Credential Profile 2.x, 3.2.9).
    Endorsement,
}

/// Verifies a chain in DER, leaf first, against `anchors` at `now` (unix seconds). The leaf must be a signing
/// key with `purpose` in its extended key usage. The anchor itself may be the chain's last certificate.
pub fn verify<B: AsRef<[u8]>>(
    chain: &[B],
    anchors: &[Certificate],
    now: u64,
    purpose: Oid,
) -> Result<VerifiedChain, PathError> {
    let anchors: Vec<&Certificate> = anchors.iter().collect();
    verify_leaf(chain, &anchors, now, LeafRule::Signing(purpose)).map(|(verified, _)| verified)
}

/// As [`verify`], for either kind of leaf; also tells which anchor it was.
pub(crate) fn verify_leaf<B: AsRef<[u8]>>(
    chain: &[B],
    anchors: &[&Certificate],
    now: u64,
    rule: LeafRule,
) -> Result<(VerifiedChain, usize), PathError> {
    let mut certificates = parse(chain)?;
    if certificates.last().is_some_and(|last| anchors.iter().any(|anchor| anchor.der() == last.der())) {
        certificates.pop();
    }
    let (leaf, intermediates) = certificates.split_first().ok_or(PathError::Empty)?;
    check_leaf(leaf, now, rule)?;
    check_link_names(&certificates)?;
    let top = certificates.last().unwrap_or(leaf);
    let anchor = find_anchor(top, anchors, certificates.len().saturating_sub(1))?;
    let anchor_certificate = anchors.get(anchor).copied().ok_or(PathError::UnknownAnchor)?;
    let authorities: Vec<&Certificate> =
        intermediates.iter().chain(core::iter::once(anchor_certificate)).collect();
    for (below, authority) in authorities.iter().enumerate() {
        check_authority(authority, below, now)?;
    }
    // The top one's signature was checked when its anchor was found.
    for (at, (subject, issuer)) in certificates.iter().zip(intermediates).enumerate() {
        let key = issuer.public_key().map_err(|_| PathError::Signature { at })?;
        subject.verify_signature(&key).map_err(|_| PathError::Signature { at })?;
    }
    let verified = VerifiedChain {
        leaf: leaf.clone(),
        intermediates: intermediates.to_vec(),
        anchor: anchor_certificate.clone(),
    };
    Ok((verified, anchor))
}

fn parse<B: AsRef<[u8]>>(chain: &[B]) -> Result<Vec<Certificate>, PathError> {
    if chain.len() > MAX_CHAIN {
        return Err(PathError::TooLong);
    }
    chain
        .iter()
        .enumerate()
        .map(|(at, der)| {
            Certificate::from_der(der.as_ref()).map_err(|source| PathError::Certificate { at, source })
        })
        .collect()
}

fn check_common(certificate: &Certificate, at: usize, now: u64) -> Result<(), PathError> {
    if now < certificate.not_before() {
        return Err(PathError::NotYetValid { at });
    }
    if now > certificate.not_after() {
        return Err(PathError::Expired { at });
    }
    if !certificate.unknown_critical().is_empty() {
        return Err(PathError::UnknownCritical { at });
    }
    Ok(())
}

fn check_leaf(leaf: &Certificate, now: u64, rule: LeafRule) -> Result<(), PathError> {
    check_common(leaf, 0, now)?;
    if leaf.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Err(PathError::LeafIsAuthority);
    }
    let allowed: &[KeyUsage] = match rule {
        LeafRule::Signing(_) => &[KeyUsage::DIGITAL_SIGNATURE],
        LeafRule::Endorsement => &[KeyUsage::KEY_ENCIPHERMENT, KeyUsage::KEY_AGREEMENT],
    };
    if !leaf.key_usage().is_some_and(|usage| allowed.iter().any(|bit| usage.contains(*bit))) {
        return Err(PathError::KeyUsage { at: 0 });
    }
    let purpose = match rule {
        LeafRule::Signing(purpose) => purpose,
        LeafRule::Endorsement => Oid::TCG_EK_CERTIFICATE,
    };
    if leaf.has_purpose(purpose) { Ok(()) } else { Err(PathError::Purpose) }
}

/// `below` is the number of authorities between this one and the leaf.
fn check_authority(authority: &Certificate, below: usize, now: u64) -> Result<(), PathError> {
    let at = below.saturating_add(1);
    check_common(authority, at, now)?;
    let constraints = authority.basic_constraints().filter(|constraints| constraints.ca);
    let constraints = constraints.ok_or(PathError::NotAnAuthority { at })?;
    if constraints.path_length.is_some_and(|allowed| below > usize::from(allowed)) {
        return Err(PathError::PathLength { at });
    }
    // A root without key usage may sign certificates (RFC 5280, 4.2.1.3); with it, it must say so.
    if authority.key_usage().is_some_and(|usage| !usage.contains(KeyUsage::KEY_CERT_SIGN)) {
        return Err(PathError::KeyUsage { at });
    }
    Ok(())
}

fn check_link_names(certificates: &[Certificate]) -> Result<(), PathError> {
    let links = certificates.iter().zip(certificates.iter().skip(1));
    for (at, (subject, issuer)) in links.enumerate() {
        if !subject.names_issuer(issuer) {
            return Err(PathError::NameChain { at });
        }
    }
    Ok(())
}

/// Among anchors of the right name the one whose key signed `top`.
fn find_anchor(top: &Certificate, anchors: &[&Certificate], at: usize) -> Result<usize, PathError> {
    let mut named = false;
    for (index, anchor) in anchors.iter().enumerate().filter(|(_, anchor)| top.names_issuer(anchor)) {
        named = true;
        let signed = anchor.public_key().is_ok_and(|key| top.verify_signature(&key).is_ok());
        if signed {
            return Ok(index);
        }
    }
    Err(if named { PathError::Signature { at } } else { PathError::UnknownAnchor })
}
