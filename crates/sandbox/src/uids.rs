//! User ids for enclaves, so that two of them are two users to the kernel.

use std::collections::BTreeSet;

/// First id where the configuration says nothing: above what distributions, containers and `systemd-nspawn` hand out.
pub const DEFAULT_BASE: u32 = 2_000_000_000;
/// Ids of one pool: as many enclaves can run at a time.
const SIZE: u32 = 65_536;

/// Ids that are free and taken. Only root can use them; see [`crate::Feature::OwnUid`].
#[derive(Debug)]
pub struct UidPool {
    base: u32,
    taken: BTreeSet<u32>,
}

impl UidPool {
    /// A pool from `base` on, in which nothing is taken.
    #[must_use]
    pub const fn new(base: u32) -> Self {
        Self { base, taken: BTreeSet::new() }
    }

    /// Takes the lowest free id; `None` when all are taken.
    pub fn take(&mut self) -> Option<u32> {
        let free =
            (0..SIZE).filter_map(|n| self.base.checked_add(n)).find(|uid| !self.taken.contains(uid))?;
        self.taken.insert(free);
        Some(free)
    }

    /// Gives an id back.
    pub fn give_back(&mut self, uid: u32) {
        self.taken.remove(&uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_while_they_are_taken() {
        let mut pool = UidPool::new(DEFAULT_BASE);
        assert_eq!((pool.take(), pool.take()), (Some(2_000_000_000), Some(2_000_000_001)));
        pool.give_back(2_000_000_000);
        assert_eq!(pool.take(), Some(2_000_000_000));
    }

    #[test]
    fn a_pool_at_the_end_of_the_range_runs_dry() {
        let mut pool = UidPool::new(u32::MAX);
        assert_eq!((pool.take(), pool.take()), (Some(u32::MAX), None));
    }
}
