//! How much a chain of trust anchors is worth.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// The level of a trust anchor; of a chain, the minimum. Never read from evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A software TPM's own CA: proves that the protocol works, and nothing about hardware.
    Simulated,
    /// A cloud provider's virtual TPM without a hardware report.
    Virtual,
    /// A hardware TPM with a vendor's EK certificate.
    Tpm,
    /// A memory-isolating processor feature below the TPM.
    Tee,
}

impl Level {
    /// The word in files and on the screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Virtual => "virtual",
            Self::Tpm => "tpm",
            Self::Tee => "tee",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "simulated" => Ok(Self::Simulated),
            "virtual" => Ok(Self::Virtual),
            "tpm" => Ok(Self::Tpm),
            "tee" => Ok(Self::Tee),
            _ => Err(NameError::NotLevel),
        }
    }
}
