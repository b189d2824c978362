//! Trust anchors with the level that the truster gave them.

use alloc::string::String;
use alloc::vec::Vec;

use names::Level;
use pki::path::{self, PathError, VerifiedChain};
use pki::{Certificate, Oid};

/// A certificate that somebody decided to trust, and how much that is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What it is called on the screen.
    pub name: String,
    /// The anchor's certificate.
    pub certificate: Certificate,
    /// What a chain that ends here is worth at most.
    pub level: Level,
}

/// A trust store. Who made it says who is trusted; evidence never adds to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roots {
    anchors: Vec<Anchor>,
    certificates: Vec<Certificate>,
}

impl Roots {
    /// A store of these anchors.
    #[must_use]
    pub fn new(anchors: Vec<Anchor>) -> Self {
        let certificates = anchors.iter().map(|anchor| anchor.certificate.clone()).collect();
        Self { anchors, certificates }
    }

    /// The anchors' certificates.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The anchor whose certificate this is.
    #[must_use]
    pub fn anchor(&self, certificate: &Certificate) -> Option<&Anchor> {
        self.anchors.iter().find(|anchor| anchor.certificate == *certificate)
    }

    pub(crate) fn chain<B: AsRef<[u8]>>(
        &self,
        chain: &[B],
        now: u64,
        purpose: Oid,
    ) -> Result<(VerifiedChain, &Anchor), PathError> {
        let verified = path::verify(chain, &self.certificates, now, purpose)?;
        let anchor = self.anchor(verified.anchor()).ok_or(PathError::UnknownAnchor)?;
        Ok((verified, anchor))
    }
}
