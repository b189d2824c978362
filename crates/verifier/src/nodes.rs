//! Enrolled nodes. A name belongs to one endorsement key and a key to one name, for good: the pins outlive a restart,
//! the enrolments do not (a node enrols again).

use std::collections::BTreeMap;

use names::{Digest, SpiffeId};

use crate::{enrolment::Enrolled, refusal::Refusal};

/// More nodes are refused.
pub(crate) const MAX_NODES: usize = 10_000;
/// A node enrols again after this many seconds: half the life of its keys' certificates.
pub(crate) const ENROLMENT_LIFE: u64 = pki::profile::ATTESTATION_KEY_LIFE / 2;

/// Which endorsement key belongs to which node name.
pub(crate) type Pins = BTreeMap<String, Digest>;

/// What is known of nodes.
#[derive(Default)]
pub(crate) struct Nodes {
    pins: Pins,
    enrolled: BTreeMap<SpiffeId, (Enrolled, u64)>,
}

impl Nodes {
    pub(crate) fn new(pins: Pins) -> Self {
        Self { pins, enrolled: BTreeMap::new() }
    }

    /// Refuses a name that belongs to another key, and a key that has another name.
    pub(crate) fn check(&self, subject: &Enrolled) -> Result<(), Refusal> {
        match self.pins.get(&subject.node_name) {
            Some(ek) if *ek == subject.ek => return Ok(()),
            Some(_) => return Err(Refusal::NodeNameTaken),
            None => {}
        }
        if self.pins.values().any(|ek| *ek == subject.ek) {
            return Err(Refusal::EkOfOtherNode);
        }
        if self.pins.len() >= MAX_NODES { Err(Refusal::TooManyNodes) } else { Ok(()) }
    }

    /// Pins a name to its key. Answers the pins to be written down, if they have changed.
    pub(crate) fn pin(&mut self, subject: &Enrolled) -> Result<Option<Pins>, Refusal> {
        self.check(subject)?;
        let changed = self.pins.insert(subject.node_name.clone(), subject.ek).is_none();
        Ok(changed.then(|| self.pins.clone()))
    }

    /// Takes back a new pin that could not be written down.
    pub(crate) fn unpin(&mut self, subject: &Enrolled) {
        self.pins.remove(&subject.node_name);
    }

    /// The node is enrolled from now on.
    pub(crate) fn enrol(&mut self, subject: Enrolled, now: u64) {
        self.enrolled.insert(subject.node.clone(), (subject, now));
    }

    /// An enrolled node, whose enrolment has not aged out.
    pub(crate) fn enrolled(&self, node: &SpiffeId, now: u64) -> Result<&Enrolled, Refusal> {
        match self.enrolled.get(node) {
            Some((subject, since)) if now.saturating_sub(*since) <= ENROLMENT_LIFE => Ok(subject),
            Some(_) | None => Err(Refusal::NotEnrolled),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use names::Level;
    use pki::profile::KeyPurpose;
    use tpm2::{PublicArea, template};

    use super::*;
    use crate::enrolment::Candidate;

    fn subject(name: &str, ek: u64) -> Enrolled {
        let public: PublicArea = template::attestation_key(&[1; 32]).unwrap();
        let key = |purpose| Candidate { purpose, public: public.clone() };
        Enrolled {
            node_name: name.into(),
            node: format!("spiffe://sealwright.internal/node/{name}").parse().unwrap(),
            level: Level::Simulated,
            anchor: "test".into(),
            ek: Digest::of(&ek.to_be_bytes()),
            keys: [key(KeyPurpose::Enclave), key(KeyPurpose::Keylime)],
        }
    }

    #[test]
    fn nodes_are_bounded_and_known_ones_stay_welcome() {
        let pins =
            (0..MAX_NODES as u64).map(|number| (format!("n{number}"), Digest::of(&number.to_be_bytes())));
        let mut nodes = Nodes::new(pins.collect());
        assert!(matches!(nodes.pin(&subject("new", u64::MAX)), Err(Refusal::TooManyNodes)));
        assert!(matches!(nodes.pin(&subject("n7", 7)), Ok(None)));
    }

    #[test]
    fn a_pin_that_was_not_written_down_is_taken_back() {
        let mut nodes = Nodes::default();
        let node = subject("a", 1);
        assert!(nodes.pin(&node).unwrap().is_some());
        nodes.unpin(&node);
        assert!(nodes.pin(&node).unwrap().is_some());
        assert!(nodes.pin(&node).unwrap().is_none());
    }
}
