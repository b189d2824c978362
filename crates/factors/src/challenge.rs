//! Challenges for passkeys that take no memory until they are used (CVE-2026-34052: nonces that were stored for everybody who asked filled the memory).
//!
//! A challenge carries its own end and our authentication of both and of its purpose. What makes it work once is that the store keeps the hash of each
//! challenge that was answered with a good signature, until its end: only holders of passkeys take space.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use names::Digest;

use crate::{NoRandom, SealingKey, random};

/// Life of a challenge in seconds.
pub const LIFE: u64 = 300;
const NONCE: usize = 16;
const TAG: usize = 32;
/// Bytes of a challenge: WebAuthn L3, 13.4.3 wants at least 16 that nobody can guess.
pub const BYTES: usize = NONCE + 8 + TAG;

/// What a challenge is for. One that was given for one purpose or account is refused for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To sign in, or as the second factor.
    SignIn,
    /// To add a passkey to this account.
    Register(&'a str),
}

/// A challenge of ours that has not ended. Made only by [`check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// What is kept of it, once it was answered.
    pub hash: Digest,
    /// Until when, unix seconds.
    pub ends_at: u64,
}

/// A new challenge.
///
/// # Errors
/// [`NoRandom`].
pub fn make(key: &SealingKey, purpose: Purpose<'_>, now: u64) -> Result<[u8; BYTES], NoRandom> {
    let nonce = random::<NONCE>()?;
    let ends_at = now.saturating_add(LIFE).to_be_bytes();
    let mut challenge = [0; BYTES];
    challenge[..NONCE].copy_from_slice(&nonce);
    challenge[NONCE..NONCE + 8].copy_from_slice(&ends_at);
    let tag = key.authenticate(&message(purpose, &challenge[..NONCE + 8]));
    challenge[NONCE + 8..].copy_from_slice(tag.as_ref());
    Ok(challenge)
}

/// Whether it is one of ours, for this purpose, and not over.
#[must_use]
pub fn check(key: &SealingKey, purpose: Purpose<'_>, challenge: &[u8], now: u64) -> Option<Fresh> {
    let (said, tag) = challenge.split_at_checked(NONCE + 8)?;
    let ours = key.authenticate(&message(purpose, said));
    verify_slices_are_equal(ours.as_ref(), tag).ok()?;
    let ends_at = u64::from_be_bytes(*said.last_chunk()?);
    (now < ends_at).then(|| Fresh { hash: Digest::of(challenge), ends_at })
}

fn message(purpose: Purpose<'_>, said: &[u8]) -> Vec<u8> {
    let (kind, whose) = match purpose {
        Purpose::SignIn => (b'S', ""),
        Purpose::Register(user) => (b'R', user),
    };
    let mut message = b"sealwright passkey challenge, version 1\0".to_vec();
    message.push(kind);
    message.extend_from_slice(said);
    // The only part of changing length comes last.
    message.extend_from_slice(whose.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn a_challenge_is_good_for_its_purpose_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::open_or_make(&folder.path().join("key")).unwrap();
        let other = SealingKey::open_or_make(&folder.path().join("other")).unwrap();
        let challenge = make(&key, Purpose::SignIn, NOW).unwrap();
        assert!(check(&key, Purpose::SignIn, &challenge, NOW).is_some());
        assert!(check(&key, Purpose::SignIn, &challenge, NOW + LIFE - 1).is_some());
        assert!(check(&key, Purpose::SignIn, &challenge, NOW + LIFE).is_none());
        assert!(check(&other, Purpose::SignIn, &challenge, NOW).is_none());
        assert!(check(&key, Purpose::Register("alice"), &challenge, NOW).is_none());
        let registering = make(&key, Purpose::Register("alice"), NOW).unwrap();
        assert!(check(&key, Purpose::Register("alice"), &registering, NOW).is_some());
        assert!(check(&key, Purpose::Register("bob"), &registering, NOW).is_none());
        assert!(check(&key, Purpose::SignIn, &registering, NOW).is_none());
    }

    #[test]
    fn every_changed_or_cut_challenge_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::open_or_make(&folder.path().join("key")).unwrap();
        let challenge = make(&key, Purpose::SignIn, NOW).unwrap();
        for place in 0..BYTES {
            let mut changed = challenge;
            changed[place] ^= 1;
            assert!(check(&key, Purpose::SignIn, &changed, NOW).is_none(), "{place}");
            assert!(check(&key, Purpose::SignIn, &challenge[..place], NOW).is_none(), "{place}");
        }
    }
}
