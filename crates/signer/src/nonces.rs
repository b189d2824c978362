//! Values that are good once: challenges that we gave out, ids that we have seen. Bounded, and forgotten in time.

use std::collections::BTreeMap;

/// Challenges that may be open at the same time, and ids that are remembered.
pub(crate) const CAPACITY: usize = 4096;
/// A challenge that was not answered in this many seconds is void.
pub(crate) const CHALLENGE_LIFE: u64 = 60;

/// There is no room before some value expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Challenges given out: each is taken once, whatever happens then.
#[derive(Default)]
pub(crate) struct Challenges {
    open: BTreeMap<[u8; 32], u64>,
}

impl Challenges {
    /// Remembers a nonce that was made at `now`.
    pub(crate) fn add(&mut self, nonce: [u8; 32], now: u64) -> Result<(), Full> {
        self.open.retain(|_, made_at| now.saturating_sub(*made_at) <= CHALLENGE_LIFE);
        if self.open.len() >= CAPACITY {
            return Err(Full);
        }
        self.open.insert(nonce, now);
        Ok(())
    }

    /// Takes the nonce out; `None` when it is not ours, was used, or is too old. Answers when it was made.
    pub(crate) fn take(&mut self, nonce: &[u8; 32], now: u64) -> Option<u64> {
        let made_at = self.open.remove(nonce)?;
        (now.saturating_sub(made_at) <= CHALLENGE_LIFE).then_some(made_at)
    }
}

/// Ids seen, each with the time until which it would be accepted again.
#[derive(Default)]
pub(crate) struct Seen {
    ids: BTreeMap<String, u64>,
}

/// What [`Seen::first`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    First,
    Again,
    Full,
}

impl Seen {
    /// Whether `id`, which is valid until `expires`, is seen for the first time.
    pub(crate) fn first(&mut self, id: &str, expires: u64, now: u64) -> Sight {
        self.ids.retain(|_, expires| *expires > now);
        if self.ids.contains_key(id) {
            return Sight::Again;
        }
        if self.ids.len() >= CAPACITY {
            return Sight::Full;
        }
        self.ids.insert(id.to_owned(), expires);
        Sight::First
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_challenge_is_taken_once() {
        let mut challenges = Challenges::default();
        challenges.add([1; 32], 100).unwrap();
        assert_eq!(challenges.take(&[2; 32], 100), None);
        assert_eq!(challenges.take(&[1; 32], 100), Some(100));
        assert_eq!(challenges.take(&[1; 32], 100), None);
    }

    #[test]
    fn an_old_challenge_is_void_and_gone() {
        let mut challenges = Challenges::default();
        challenges.add([1; 32], 100).unwrap();
        assert_eq!(challenges.take(&[1; 32], 101 + CHALLENGE_LIFE), None);
        assert_eq!(challenges.take(&[1; 32], 100), None);
    }

    #[test]
    fn open_challenges_are_bounded_until_they_expire() {
        let mut challenges = Challenges::default();
        for index in 0..CAPACITY as u64 {
            let mut nonce = [0; 32];
            nonce[..8].copy_from_slice(&index.to_be_bytes());
            challenges.add(nonce, 100).unwrap();
        }
        assert_eq!(challenges.add([9; 32], 100), Err(Full));
        challenges.add([9; 32], 101 + CHALLENGE_LIFE).unwrap();
    }

    #[test]
    fn an_id_is_first_once_until_it_expires() {
        let mut seen = Seen::default();
        assert_eq!(seen.first("a", 160, 100), Sight::First);
        assert_eq!(seen.first("a", 160, 100), Sight::Again);
        assert_eq!(seen.first("b", 160, 100), Sight::First);
        assert_eq!(seen.first("a", 260, 160), Sight::First);
    }
}
