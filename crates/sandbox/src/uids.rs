//! User ids for enclaves, so that two of them are two users to the kernel, also when two controllers share a machine.
//!
//! An id is held by a socket with an abstract name (unix(7)): binding it is atomic, and the kernel gives the name back
//! when its holder ends, however it ends.

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// First id where the configuration says nothing: above what distributions, containers and `systemd-nspawn` hand out.
pub const DEFAULT_BASE: u32 = 2_000_000_000;
/// Ids of one pool: as many enclaves can run at a time. As many again, above them, are their apps'.
const SIZE: u32 = 65_536;

/// The user of an enclave's app, where the enclave has this one: another, so that to the kernel app and facade are two.
#[must_use]
pub const fn app_uid(enclave: u32) -> u32 {
    enclave.saturating_add(SIZE)
}

/// Ids that are free and taken. Only root can use them; see [`crate::Feature::OwnUid`].
#[derive(Debug)]
pub struct UidPool {
    base: u32,
    taken: BTreeMap<u32, UnixListener>,
}

impl UidPool {
    /// A pool from `base` on, in which nothing is taken.
    #[must_use]
    pub const fn new(base: u32) -> Self {
        Self { base, taken: BTreeMap::new() }
    }

    /// Takes the lowest id that is free on this machine; `None` when all are taken.
    pub fn take(&mut self) -> Option<u32> {
        let ids =
            (0..SIZE).filter_map(|n| self.base.checked_add(n)).filter(|uid| !self.taken.contains_key(uid));
        let (uid, hold) = ids.filter_map(|uid| Some((uid, hold(uid)?))).next()?;
        self.taken.insert(uid, hold);
        Some(uid)
    }

    /// Gives an id back.
    pub fn give_back(&mut self, uid: u32) {
        self.taken.remove(&uid);
    }
}

fn hold(uid: u32) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("sealwright/uid/{uid}")).ok()?;
    UnixListener::bind_addr(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far from where real enclaves are.
    const BASE: u32 = 3_000_000_000;

    #[test]
    fn an_id_is_taken_once_on_this_machine_until_it_is_given_back() {
        let (mut one, mut two) = (UidPool::new(BASE), UidPool::new(BASE));
        let (first, second, other) = (one.take(), one.take(), two.take());
        assert!(first < second && second < other, "{first:?} {second:?} {other:?}");
        one.give_back(first.unwrap_or_default());
        assert_eq!(two.take(), first);
    }

    #[test]
    fn what_a_pool_holds_is_free_when_it_is_gone() {
        let mut pool = UidPool::new(BASE + 2 * SIZE);
        let first = pool.take();
        drop(pool);
        assert_eq!(UidPool::new(BASE + 2 * SIZE).take(), first);
    }

    #[test]
    fn a_pool_at_the_end_of_the_range_runs_dry() {
        let mut pool = UidPool::new(u32::MAX);
        assert_eq!((pool.take(), pool.take()), (Some(u32::MAX), None));
    }
}
