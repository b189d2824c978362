//! Second factors: one-time codes (RFC 6238), recovery codes, passkeys (WebAuthn), and the codes that people type for a device (RFC 8628).
//!
//! What it is: the checks, and the key that seals secrets at rest. What it is not: a place that remembers anything (the store does: which step was
//! used, which code is left, which challenge is spent) nor anything that speaks HTTP. The caller passes the time. Called by the gateway.

pub mod challenge;
pub mod recovery;
mod seal;
mod spelling;
pub mod totp;
pub mod user_code;
pub mod webauthn;

pub use seal::{SealError, SealingKey};

/// The kernel gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes: {0}")]
pub struct NoRandom(#[from] getrandom::Error);

fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
