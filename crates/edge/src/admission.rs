//! How many connections are held, in all and per source address.
//!
//! Invariant: what was counted is given back exactly once, when its [`Admission`] is dropped.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one source: an IPv4 address or an IPv6 /64.
    pub per_source: usize,
    /// Connections whose ClientHello is being read; the others wait for their turn within the same deadline.
    pub half_open: usize,
}

/// Why a connection is closed before a byte of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bound on all connections.
    #[error("too many connections")]
    Full,
    /// The bound on this source's connections.
    #[error("too many connections of one source")]
    SourceFull,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// The door.
#[derive(Debug, Clone)]
pub struct Door {
    bounds: Bounds,
    counts: Arc<Mutex<Counts>>,
}

/// The right to hold one connection.
#[derive(Debug)]
pub struct Admission {
    source: IpAddr,
    counts: Arc<Mutex<Counts>>,
}

impl Door {
    /// A door with nobody inside.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, counts: Arc::default() }
    }

    /// Lets a connection in or says why not.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(&self, address: IpAddr) -> Result<Admission, Refusal> {
        let source = source_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= self.bounds.connections {
            return Err(Refusal::Full);
        }
        let of_source = counts.by_source.entry(source).or_default();
        if *of_source >= self.bounds.per_source {
            return Err(Refusal::SourceFull);
        }
        *of_source += 1;
        counts.all += 1;
        drop(counts);
        Ok(Admission { source, counts: Arc::clone(&self.counts) })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(of_source) = counts.by_source.get_mut(&self.source) {
            *of_source = of_source.saturating_sub(1);
            if *of_source == 0 {
                counts.by_source.remove(&self.source);
            }
        }
    }
}

/// An IPv6 customer has a whole /64, so that is what is counted.
fn source_of(address: IpAddr) -> IpAddr {
    const SUBNET: u128 = !(u64::MAX as u128);
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SUBNET)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_bounds_hold_and_places_come_back() {
        let door = Door::new(Bounds { connections: 3, per_source: 2, half_open: 1 });
        let first = door.admit(address("192.0.2.1")).unwrap();
        let _second = door.admit(address("::ffff:192.0.2.1")).unwrap();
        assert_eq!(door.admit(address("192.0.2.1")).unwrap_err(), Refusal::SourceFull);
        let _third = door.admit(address("2001:db8::1")).unwrap();
        assert_eq!(door.admit(address("192.0.2.9")).unwrap_err(), Refusal::Full);
        drop(first);
        assert!(door.admit(address("192.0.2.1")).is_ok());
    }

    #[test]
    fn an_ipv6_subnet_is_one_source() {
        let door = Door::new(Bounds { connections: 9, per_source: 1, half_open: 1 });
        let _one = door.admit(address("2001:db8::1")).unwrap();
        assert_eq!(door.admit(address("2001:db8::ffff:2")).unwrap_err(), Refusal::SourceFull);
        assert!(door.admit(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn a_source_that_left_is_forgotten() {
        let door = Door::new(Bounds { connections: 9, per_source: 9, half_open: 1 });
        drop(door.admit(address("192.0.2.1")).unwrap());
        assert!(door.counts.lock().unwrap().by_source.is_empty());
    }
}
