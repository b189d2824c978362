//! The evidence bundle as it travels and is saved: JSON with base64 byte strings, bounded before it is looked at.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use names::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Proof, Rejected, unique};

/// Value of the bundle's `format` field.
pub const FORMAT: &str = "sealwright/evidence/v1";
/// Largest bundle in bytes of JSON: boot log and IMA list included.
pub const MAX_BUNDLE: usize = 24 << 20;
/// Largest message between parts that carries a bundle: whoever sends, receives or passes one on has this bound, so that
/// no part refuses what another still made.
pub const MAX_MESSAGE: usize = MAX_BUNDLE + (1 << 20);
const MAX_SMALL: usize = 16 << 10;
const MAX_CHAIN: usize = 4;
const MAX_LOG: usize = 16 << 20;

/// Bytes that travel as base64 with padding.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Decodes the text where it stands: a log's is megabytes long, and none of it is secret.
struct Text;

impl de::Visitor<'_> for Text {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64 with padding")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        STANDARD.decode(text).map(Bytes).map_err(|_| E::custom("not base64"))
    }
}

/// PCR values of the SHA-256 bank. Hints until their composite equals the quoted one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PcrValues(pub BTreeMap<u8, Digest>);

impl Serialize for PcrValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(pcr, value)| (pcr.to_string(), value)))
    }
}

impl<'de> Deserialize<'de> for PcrValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts: BTreeMap<String, Digest> = unique::map(deserializer)?;
        let mut values = BTreeMap::new();
        for (text, value) in texts {
            let pcr: u8 = text.parse().map_err(|_| de::Error::custom("not a PCR index"))?;
            // One value has one form: no sign, no leading zero, and there are 24 PCRs.
            if pcr > 23 || pcr.to_string() != text {
                return Err(de::Error::custom("not a PCR index"));
            }
            values.insert(pcr, value);
        }
        Ok(Self(values))
    }
}

/// Everything that a verifier needs beside its own challenge, roots and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`FORMAT`].
    pub format: String,
    /// The statement's bytes as hashed.
    pub statement: Bytes,
    /// Where the statement stands in the quoted tree.
    pub proof: Proof,
    /// TPMS_ATTEST.
    pub quote: Bytes,
    /// TPMT_SIGNATURE over the quote.
    pub signature: Bytes,
    /// TPMT_PUBLIC of the quoting key.
    pub ak_public: Bytes,
    /// Certificate chain of the quoting key, DER, leaf first.
    pub ak_chain: Vec<Bytes>,
    /// Values of the quoted PCRs.
    pub pcrs: PcrValues,
    /// The enclave log, CEL-TLV; entries of other enclaves as salted digests.
    pub enclave_log: Bytes,
    /// The enclave's certificate, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Bytes>,
    /// The verifier's word on the node, a compact JWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The firmware's log, `binary_bios_measurements`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_log: Option<Bytes>,
    /// The kernel's list, `ascii_runtime_measurements`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ima_log: Option<Bytes>,
}

impl Evidence {
    /// Reads a bundle, bounded.
    ///
    /// # Errors
    /// [`Rejected::TooLarge`], [`Rejected::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, Rejected> {
        if json.len() > MAX_BUNDLE {
            return Err(Rejected::TooLarge);
        }
        let evidence: Self = serde_json::from_slice(json).map_err(|_| Rejected::Malformed)?;
        evidence.check_form()?;
        Ok(evidence)
    }

    /// Writes the bundle.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // A bundle of byte strings, numbers and texts always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn check_form(&self) -> Result<(), Rejected> {
        if self.format != FORMAT {
            return Err(Rejected::Malformed);
        }
        let small = [&self.statement, &self.quote, &self.signature, &self.ak_public];
        let small = small.into_iter().chain(&self.ak_chain).chain(&self.certificate);
        let logs = [Some(&self.enclave_log), self.boot_log.as_ref(), self.ima_log.as_ref()];
        let fits = small.into_iter().all(|bytes| bytes.0.len() <= MAX_SMALL)
            && logs.into_iter().flatten().all(|bytes| bytes.0.len() <= MAX_LOG)
            && self.ak_chain.len() <= MAX_CHAIN
            && self.verdict.as_ref().is_none_or(|verdict| verdict.len() <= MAX_SMALL)
            && self.proof.path.len() <= 10;
        if fits { Ok(()) } else { Err(Rejected::TooLarge) }
    }
}
