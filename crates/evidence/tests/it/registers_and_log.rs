//! Are the shown registers the quoted ones, and is the enclave that is asked about alive in the log?

use evidence::{Bytes, EnclaveClaim, Rejected};
use forge::{Draft, World};
use logs::enclave::{Event, Reason, Start};
use names::EnclaveId;

use crate::case::{Attempt, Case, check, defect, digest, drafted, sealed};

const SHA1: u16 = 0x0004;

pub const REGISTERS: &[Case] = &[
    defect(Rejected::Selection, "a register less than quoted", |world| {
        sealed(world, |evidence| {
            evidence.pcrs.0.remove(&14);
        })
    }),
    defect(Rejected::Selection, "a register more than quoted", |world| {
        sealed(world, |evidence| {
            evidence.pcrs.0.insert(15, digest(0));
        })
    }),
    defect(Rejected::Selection, "a bank of another hash", |world| drafted(world, |draft| draft.bank = SHA1)),
    defect(Rejected::PcrValues, "another value than quoted", |world| {
        sealed(world, |evidence| {
            evidence.pcrs.0.insert(4, digest(9));
        })
    }),
    defect(Rejected::PcrValues, "two values exchanged", |world| {
        sealed(world, |evidence| {
            let (version, boot) = (evidence.pcrs.0[&0], evidence.pcrs.0[&4]);
            evidence.pcrs.0.insert(0, boot);
            evidence.pcrs.0.insert(4, version);
        })
    }),
];

fn reason() -> Reason {
    Reason::new("for a test").unwrap()
}

fn start(world: &World, incarnation: u64) -> Start {
    let EnclaveClaim { id, version, instance, facade, owner, .. } = world.enclave;
    Start { enclave: id, incarnation, version, instance, owner: Some(owner), facade }
}

/// The same announcements after a change of the asked enclave's start.
fn started(world: &World, change: fn(&mut Start)) -> Attempt {
    let mut start = start(world, world.enclave.incarnation);
    change(&mut start);
    let id = world.enclave.id;
    drafted(world, |draft| {
        draft.events[1] = Event::Start(start);
        draft.events[2] =
            Event::Key { enclave: id, incarnation: start.incarnation, spki: world.enclave.spki };
    })
}

/// One more announcement at the end.
fn then(world: &World, event: Event) -> Attempt {
    drafted(world, |draft| draft.events.push(event))
}

/// Ships another log than the one that was replayed.
fn shipped(world: &World, change: impl FnOnce(&mut Draft<'_>)) -> Attempt {
    let mut other = world.draft();
    change(&mut other);
    let log = other.log().hide_foreign(&world.enclave.id);
    sealed(world, |evidence| evidence.enclave_log = Bytes(log))
}

pub const LOG: &[Case] = &[
    defect(Rejected::LogMalformed, "half a record", |world| {
        sealed(world, |evidence| {
            evidence.enclave_log.0.pop();
        })
    }),
    defect(Rejected::LogMalformed, "a second key without a rekey", |world| {
        let spki = world.enclave.spki;
        then(world, Event::Key { enclave: world.enclave.id, incarnation: 3, spki })
    }),
    defect(Rejected::LogMalformed, "a start that does not count up", |world| {
        then(world, Event::Start(start(world, 3)))
    }),
    defect(Rejected::LogMalformed, "a stop of a start that never was", |world| {
        then(world, Event::Stop { enclave: world.enclave.id, incarnation: 4, reason: reason() })
    }),
    defect(Rejected::LogMalformed, "a rekey before the key", |world| {
        let (enclave, spki) = (world.enclave.id, world.enclave.spki);
        drafted(world, |draft| draft.events[2] = Event::Rekey { enclave, incarnation: 3, spki })
    }),
    defect(Rejected::LogCount, "a record less than the statement speaks for", |world| {
        shipped(world, |draft| drop(draft.events.pop()))
    }),
    defect(Rejected::LogCount, "a record more than the statement speaks for", |world| {
        shipped(world, |draft| draft.events.push(Event::Gap { reason: reason() }))
    }),
    defect(Rejected::LogReplay, "another record than was extended", |world| {
        shipped(world, |draft| draft.events[3] = Event::Gap { reason: reason() })
    }),
    defect(Rejected::LogReplay, "a log whose register is not quoted", |world| {
        drafted(world, |draft| draft.pcrs.retain(|pcr| *pcr != 13))
    }),
    defect(Rejected::LogHidden, "the enclave's own entries hidden", |world| {
        let log = world.draft().log().hide_foreign(&EnclaveId::from_bytes([0xe2; 16]));
        sealed(world, |evidence| evidence.enclave_log = Bytes(log))
    }),
    defect(Rejected::NeverStarted, "an enclave that the log does not mention", |world| {
        drafted(world, |draft| draft.events.drain(1..=2).for_each(drop))
    }),
    defect(Rejected::NotKeyed, "an enclave whose key is not known yet", |world| {
        drafted(world, |draft| drop(draft.events.remove(2)))
    }),
    defect(Rejected::Stopped, "an enclave that was stopped", |world| {
        then(world, Event::Stop { enclave: world.enclave.id, incarnation: 3, reason: reason() })
    }),
    defect(Rejected::LogMismatch, "another incarnation than was started", |world| {
        started(world, |start| start.incarnation = 4)
    }),
    defect(Rejected::LogMismatch, "another version than was started", |world| {
        started(world, |start| start.version = digest(9))
    }),
    defect(Rejected::LogMismatch, "another instance than was started", |world| {
        started(world, |start| start.instance = digest(9))
    }),
    defect(Rejected::LogMismatch, "another owner than was told at the start", |world| {
        started(world, |start| start.owner = Some(digest(9)))
    }),
    defect(Rejected::LogMismatch, "an owner where none was told at the start", |world| {
        started(world, |start| start.owner = None)
    }),
    defect(Rejected::LogMismatch, "another facade than was started", |world| {
        started(world, |start| start.facade = digest(9))
    }),
    defect(Rejected::LogMismatch, "a key that was replaced", |world| {
        then(world, Event::Rekey { enclave: world.enclave.id, incarnation: 3, spki: digest(9) })
    }),
];

#[test]
fn registers_that_were_not_quoted_are_rejected() {
    check(REGISTERS);
}

#[test]
fn an_enclave_that_does_not_live_as_stated_is_rejected() {
    check(LOG);
}
