//! The quote string of Keylime's agents, and the one way from it to a [`VerifiedQuote`].
//!
//! `"r" base64(TPMS_ATTEST) ":" base64(TPMT_SIGNATURE) ":" base64(PCR values)`. What a PCR is worth comes from the signed structure alone: the
//! selection that the TPM signed has to be the one that was asked for, and the values have to be the ones whose digest it signed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tpm2::{
    Attest, AttestError, AttestationKeyError, ClockInfo, HashAlgorithm, PublicArea, Signature,
    SignatureError, WireError, composite, verify_signature,
};

use crate::base64;
use crate::pcr_values::{PcrValues, PcrValuesError};

/// The PCR that an agent binds its public key to: always quoted, whatever was asked for.
pub const BINDING_PCR: u8 = 16;
/// The longest string that can be a quote: of an RSA-4096 key, with every PCR of a SHA-512 bank.
pub const MAX_QUOTE: usize = 16 * 1024;
/// The fewest bytes of a nonce: 128 bits where each byte is one of 62 letters and digits, or eight random ones.
const MIN_NONCE: usize = 16;
/// The most bytes of a nonce that an agent takes.
pub const MAX_NONCE: usize = 64;

/// Why a text is not a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// It is longer than any quote.
    #[error("the quote is too long")]
    TooLong,
    /// It is not "r" and three parts.
    #[error("the quote has not three parts after its r")]
    Shape,
    /// A part is not canonical base64.
    #[error("a part of the quote is not base64")]
    Base64,
    /// The first part is no quote of a TPM.
    #[error("the quoted structure")]
    Attest(#[from] AttestError),
    /// The second part is no signature.
    #[error("the signature of the quote")]
    Signature(#[from] SignatureError),
    /// The third part is not PCR values.
    #[error("the PCR values of the quote")]
    PcrValues(#[from] PcrValuesError),
}

/// Why a quote proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteRefused {
    /// The caller's nonce is too short to be fresh, or longer than an agent takes.
    #[error("a nonce of this length proves nothing")]
    Nonce,
    /// The key is not one that signs only what its TPM made.
    #[error("the attestation key")]
    Key(#[from] AttestationKeyError),
    /// The signature is not the key's.
    #[error("the signature")]
    Signature(#[from] SignatureError),
    /// It answers another challenge.
    #[error("the quote is over another nonce")]
    AnotherNonce,
    /// The TPM signed another selection than the one that was asked for, or another bank than SHA-256.
    #[error("the TPM quoted other PCRs than were asked for")]
    AnotherSelection,
    /// The values are not of the PCRs that were signed.
    #[error("the values are of other PCRs than the quote")]
    OtherValues,
    /// The values are not the ones whose digest was signed.
    #[error("the PCR values do not have the digest that the TPM signed")]
    PcrDigest,
}

/// What an agent sent, before anybody has checked anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    attest: Attest,
    signature: Signature,
    pcrs: PcrValues,
}

/// What the quote had to answer.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The attestation key that is on record.
    pub key: &'a PublicArea,
    /// The nonce as the TPM signs it: its text in the pull model, its bytes in the push model.
    pub nonce: &'a [u8],
    /// PCRs by bit; [`BINDING_PCR`] is always added.
    pub mask: u32,
}

/// PCR values that the TPM with this key signed over this nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedQuote {
    clock: ClockInfo,
    pcrs: PcrValues,
}

impl Quote {
    /// Puts together what an agent sends.
    #[must_use]
    pub fn new(attest: Attest, signature: Signature, pcrs: PcrValues) -> Self {
        Self { attest, signature, pcrs }
    }

    /// Reads the string of the pull model.
    ///
    /// # Errors
    /// [`QuoteError`]: anything but the one form that [`Quote::to_text`] writes.
    pub fn parse(text: &str) -> Result<Self, QuoteError> {
        if text.len() > MAX_QUOTE {
            return Err(QuoteError::TooLong);
        }
        let mut parts = text.strip_prefix('r').ok_or(QuoteError::Shape)?.split(':');
        let (Some(attest), Some(signature), Some(pcrs), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(QuoteError::Shape);
        };
        let decode = |part| base64::decode(part).ok_or(QuoteError::Base64);
        Self::from_parts(&decode(attest)?, &decode(signature)?, &decode(pcrs)?)
    }

    /// Reads the three structures, as the push model has them.
    ///
    /// # Errors
    /// [`QuoteError`].
    pub fn from_parts(attest: &[u8], signature: &[u8], pcrs: &[u8]) -> Result<Self, QuoteError> {
        Ok(Self {
            attest: Attest::parse(attest)?,
            signature: Signature::parse(signature)?,
            pcrs: PcrValues::parse(pcrs)?,
        })
    }

    /// The string of the pull model.
    ///
    /// # Errors
    /// [`WireError`] when a part of the signature is longer than any signature.
    pub fn to_text(&self) -> Result<String, WireError> {
        let signature: Vec<u8> = self.signature.to_bytes()?;
        let [attest, signature, pcrs] =
            [self.attest.as_bytes(), &signature, &self.pcrs.to_bytes()].map(base64::encode);
        Ok(format!("r{attest}:{signature}:{pcrs}"))
    }

    /// The only way to a [`VerifiedQuote`].
    ///
    /// # Errors
    /// [`QuoteRefused`], the first reason found.
    pub fn verify(&self, asked: &Asked<'_>) -> Result<VerifiedQuote, QuoteRefused> {
        if !(MIN_NONCE..=MAX_NONCE).contains(&asked.nonce.len()) {
            return Err(QuoteRefused::Nonce);
        }
        asked.key.check_restricted_signing_key()?;
        verify_signature(asked.key, self.attest.as_bytes(), &self.signature)?;
        if !bool::from(self.attest.extra_data().ct_eq(asked.nonce)) {
            return Err(QuoteRefused::AnotherNonce);
        }
        let quoted = self.attest.selection().sha256_pcrs().ok_or(QuoteRefused::AnotherSelection)?;
        if mask(quoted) != asked.mask | 1 << BINDING_PCR {
            return Err(QuoteRefused::AnotherSelection);
        }
        let ours = self.pcrs.bank() == HashAlgorithm::Sha256;
        if !ours || mask(self.pcrs.iter().map(|(index, _)| index)) != asked.mask | 1 << BINDING_PCR {
            return Err(QuoteRefused::OtherValues);
        }
        if composite(self.pcrs.iter().map(|(_, value)| value)) != *self.attest.pcr_digest() {
            return Err(QuoteRefused::PcrDigest);
        }
        Ok(VerifiedQuote { clock: self.attest.clock(), pcrs: self.pcrs.clone() })
    }
}

impl VerifiedQuote {
    /// The TPM's clock and counters at the quote.
    #[must_use]
    pub fn clock(&self) -> ClockInfo {
        self.clock
    }

    /// The values that were signed.
    #[must_use]
    pub fn pcrs(&self) -> &PcrValues {
        &self.pcrs
    }

    /// Whether the quote is bound to this public key, by its PEM text as the agent sends it (with its last line end).
    #[must_use]
    pub fn binds(&self, public_key_pem: &str) -> bool {
        self.pcrs.get(BINDING_PCR) == Some(&binding(public_key_pem))
    }
}

/// What [`BINDING_PCR`] holds after it was reset and extended with the digest of the key's PEM text.
#[must_use]
pub fn binding(public_key_pem: &str) -> [u8; 32] {
    let extended = Sha256::digest(public_key_pem.as_bytes());
    Sha256::new().chain_update([0; 32]).chain_update(extended).finalize().into()
}

fn mask(pcrs: impl IntoIterator<Item = u8>) -> u32 {
    pcrs.into_iter().fold(0, |mask, index| mask | 1u32.checked_shl(index.into()).unwrap_or(0))
}
