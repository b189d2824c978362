//! Rounds: a nonce per round, for one node, good once and for a minute.

use std::collections::BTreeMap;

use names::SpiffeId;

use crate::refusal::Refusal;

/// Rounds that may be open at the same time.
pub(crate) const MAX_ROUNDS: usize = 4096;
/// Rounds that one node may have open at the same time.
pub(crate) const MAX_ROUNDS_PER_NODE: usize = 8;
/// A round that was not answered in this many seconds is void.
pub(crate) const ROUND_LIFE: u64 = 60;

/// An open round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) node: SpiffeId,
    pub(crate) made_at: u64,
}

/// Open rounds.
#[derive(Default)]
pub(crate) struct Rounds {
    open: BTreeMap<[u8; 32], Round>,
}

impl Rounds {
    /// Opens a round for a node.
    pub(crate) fn open(&mut self, nonce: [u8; 32], node: SpiffeId, now: u64) -> Result<(), Refusal> {
        self.open.retain(|_, round| now.saturating_sub(round.made_at) <= ROUND_LIFE);
        let of_node = self.open.values().filter(|round| round.node == node).count();
        if self.open.len() >= MAX_ROUNDS || of_node >= MAX_ROUNDS_PER_NODE {
            return Err(Refusal::TooManyRounds);
        }
        self.open.insert(nonce, Round { node, made_at: now });
        Ok(())
    }

    /// Takes the round of a nonce out; it can't be answered again.
    pub(crate) fn take(&mut self, nonce: &[u8; 32], now: u64) -> Result<Round, Refusal> {
        let round = self.open.remove(nonce).ok_or(Refusal::UnknownRound)?;
        if now.saturating_sub(round.made_at) > ROUND_LIFE { Err(Refusal::UnknownRound) } else { Ok(round) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn node(name: &str) -> SpiffeId {
        format!("spiffe://sealwright.internal/node/{name}").parse().unwrap()
    }

    fn nonce(number: u64) -> [u8; 32] {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        nonce
    }

    #[test]
    fn a_round_is_answered_once_and_in_time() {
        let mut rounds = Rounds::default();
        rounds.open(nonce(1), node("a"), 100).unwrap();
        assert_eq!(rounds.take(&nonce(1), 160).unwrap().node, node("a"));
        assert!(matches!(rounds.take(&nonce(1), 100), Err(Refusal::UnknownRound)));
        rounds.open(nonce(2), node("a"), 100).unwrap();
        assert!(matches!(rounds.take(&nonce(2), 161), Err(Refusal::UnknownRound)));
    }

    #[test]
    fn one_node_can_not_take_all_rounds() {
        let mut rounds = Rounds::default();
        for number in 0..MAX_ROUNDS_PER_NODE as u64 {
            rounds.open(nonce(number), node("a"), 100).unwrap();
        }
        assert!(matches!(rounds.open(nonce(99), node("a"), 100), Err(Refusal::TooManyRounds)));
        rounds.open(nonce(99), node("b"), 100).unwrap();
        rounds.open(nonce(100), node("a"), 161).unwrap();
    }
}
