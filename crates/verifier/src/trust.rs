//! The trust store for endorsement keys.

use std::{fs, io, path::Path, path::PathBuf};

use names::Level;
use pki::{
    Certificate, CertificateError,
    ek::{self, EkAnchor, VerifiedEk},
    path::{MAX_CHAIN, PathError},
};

use crate::config::Config;

/// Largest certificate file: a vendor's bundle of intermediates.
const MAX_FILE: u64 = 1 << 20;

/// Why the trust store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file can't be read.
    #[error("read certificate {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file holds no certificate.
    #[error("certificate {path}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// There is no anchor: nobody could enrol.
    #[error("no endorsement anchors")]
    Empty,
}

/// Authorities for endorsement keys, each with its level, and the certificates between them and the keys.
#[derive(Debug, Clone)]
pub struct EkTrust {
    anchors: Vec<EkAnchor>,
    intermediates: Vec<Certificate>,
}

impl EkTrust {
    /// A trust store of these. Intermediates are not trusted; they only complete chains.
    pub fn new(anchors: Vec<EkAnchor>, intermediates: Vec<Certificate>) -> Self {
        Self { anchors, intermediates }
    }

    /// An anchor from DER.
    pub fn anchor(name: &str, level: Level, der: &[u8]) -> Result<EkAnchor, CertificateError> {
        Ok(EkAnchor { certificate: Certificate::from_der(der)?, level, name: name.to_owned() })
    }

    /// Reads the files that the configuration names.
    pub fn load(config: &Config) -> Result<Self, TrustError> {
        let mut anchors = Vec::new();
        for file in &config.endorsement_anchors {
            for certificate in read(&file.certificate)? {
                anchors.push(EkAnchor { certificate, level: file.level, name: file.name.clone() });
            }
        }
        if anchors.is_empty() {
            return Err(TrustError::Empty);
        }
        let mut intermediates = Vec::new();
        for path in &config.endorsement_intermediates {
            intermediates.extend(read(path)?);
        }
        Ok(Self { anchors, intermediates })
    }

    pub(crate) fn verify(&self, chain: &[Vec<u8>], now: u64) -> Result<VerifiedEk, PathError> {
        if chain.len() > MAX_CHAIN {
            return Err(PathError::TooLong);
        }
        ek::verify(&self.completed(chain), &self.anchors, now)
    }

    /// Nodes often have only the leaf: the rest of the way is looked up by issuer.
    fn completed(&self, chain: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut chain = chain.to_vec();
        while chain.len() < MAX_CHAIN {
            let Some(last) = chain.last().and_then(|der| Certificate::from_der(der).ok()) else { break };
            let anchored = self.anchors.iter().any(|anchor| last.names_issuer(&anchor.certificate));
            let issuer = self.intermediates.iter().find(|issuer| last.names_issuer(issuer));
            match issuer {
                Some(issuer) if !anchored => chain.push(issuer.der().to_vec()),
                Some(_) | None => break,
            }
        }
        chain
    }
}

fn read(path: &Path) -> Result<Vec<Certificate>, TrustError> {
    let read_error = |source| TrustError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(read_error)?.len() > MAX_FILE {
        return Err(read_error(io::Error::new(io::ErrorKind::InvalidData, "file is too large")));
    }
    let bytes = fs::read(path).map_err(read_error)?;
    let parsed = match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => Certificate::all_from_pem(text),
        Ok(_) | Err(_) => Certificate::from_der(&bytes).map(|certificate| vec![certificate]),
    };
    parsed.map_err(|source| TrustError::Certificate { path: path.to_owned(), source })
}
