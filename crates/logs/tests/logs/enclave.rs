//! The enclave log: what is written is read back, what is hidden stays replayable, and who lives.

use logs::enclave::{
    Completeness, EnclaveLog, EnclaveLogError, Event, EventFault, MAX_LOG, MAX_REASON, MAX_RECORDS, NotLive,
    Reason, RecordFault, Start,
};
use names::{Digest, EnclaveId};

const PCR: u8 = 13;
const ALICE: EnclaveId = EnclaveId::from_bytes([0xa1; 16]);
const BOB: EnclaveId = EnclaveId::from_bytes([0xb0; 16]);

pub(crate) fn reason(text: &str) -> Reason {
    Reason::new(text).unwrap()
}

fn start(enclave: EnclaveId, incarnation: u64) -> Event {
    Event::Start(Start {
        enclave,
        incarnation,
        version: Digest::of(b"version"),
        instance: Digest::of(b"instance"),
        owner: Some(Digest::of(b"owner")),
        facade: Digest::of(b"facade"),
    })
}

fn key(enclave: EnclaveId, incarnation: u64) -> Event {
    Event::Key { enclave, incarnation, spki: Digest::of(b"key") }
}

fn rekey(enclave: EnclaveId, incarnation: u64) -> Event {
    Event::Rekey { enclave, incarnation, spki: Digest::of(b"new key") }
}

fn stop(enclave: EnclaveId, incarnation: u64) -> Event {
    Event::Stop { enclave, incarnation, reason: reason("exited with 0") }
}

fn gap() -> Event {
    Event::Gap { reason: reason("agent restarted") }
}

fn baseline() -> Event {
    Event::Baseline { found: Digest::of(b"found"), reason: reason("no saved log") }
}

pub(crate) fn log(events: impl IntoIterator<Item = Event>) -> EnclaveLog {
    let mut log = EnclaveLog::new(PCR);
    for (event, salt) in events.into_iter().zip(0u8..) {
        let record = log.next(event, [salt; 16]).unwrap();
        log.push(record).unwrap();
    }
    log
}

pub(crate) fn every_event() -> Vec<Event> {
    vec![
        baseline(),
        start(ALICE, 1),
        start(BOB, 7),
        key(ALICE, 1),
        key(BOB, 7),
        rekey(ALICE, 1),
        gap(),
        stop(BOB, 7),
    ]
}

fn record_error(record: u64, fault: RecordFault) -> EnclaveLogError {
    EnclaveLogError::Record { record, fault }
}

#[test]
fn what_is_written_is_read_back() {
    let written = log(every_event());
    let read = EnclaveLog::parse(&written.encode(), PCR).unwrap();
    assert_eq!(read, written);
    assert_eq!(read.count(), 8);
    let events: Vec<_> = read.records().iter().map(|record| record.event().unwrap().clone()).collect();
    assert_eq!(events, every_event());
    let one_by_one: Vec<u8> = written.records().iter().flat_map(logs::enclave::Record::encode).collect();
    assert_eq!(one_by_one, written.encode());
    let empty = EnclaveLog::parse(&[], PCR).unwrap();
    assert_eq!((empty.count(), empty.replay()), (0, Digest::from_bytes([0; 32])));
}

/// The layout of evidence-format.md section 2, byte by byte, so that a second reader can be written from it.
#[test]
fn a_record_has_the_published_bytes() {
    let written = log([gap()]);
    let body = [&[6][..], &[0; 16], &[0, 15], b"agent restarted"].concat();
    let tag = [0; 16];
    let digest = Digest::of_parts(&[b"sealwright/log/v1", &tag, Digest::of(&body).as_bytes()]);
    let expected = [
        &[0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[1, 0, 0, 0, 1, 13],
        &[3, 0, 0, 0, 37, 0x0b, 0, 0, 0, 32],
        digest.as_bytes(),
        &[90, 0, 0, 0, 51],
        &tag,
        &[1],
        &body,
    ]
    .concat();
    assert_eq!(written.encode(), expected);
    assert_eq!(written.replay(), Digest::of_parts(&[&[0; 32], digest.as_bytes()]));
    let of_alice = log([start(ALICE, 1)]);
    let tag = Digest::of_parts(&[b"sealwright/log-tag/v1", ALICE.as_bytes()]);
    assert_eq!(of_alice.encode()[66..82], tag.as_bytes()[..16]);
    assert!(of_alice.records()[0].is_of(&ALICE) && !of_alice.records()[0].is_node_wide());
}

#[test]
fn a_baseline_is_what_the_replay_starts_from() {
    let with = log([baseline(), gap()]);
    let [first, second] = with.records() else { panic!("two records") };
    let after_first = Digest::of_parts(&[Digest::of(b"found").as_bytes(), first.digest().as_bytes()]);
    assert_eq!(with.replay_without_last(), after_first);
    assert_eq!(with.replay(), Digest::of_parts(&[after_first.as_bytes(), second.digest().as_bytes()]));
    let late = record_error(1, RecordFault::LateBaseline);
    assert_eq!(log([gap()]).next(baseline(), [0; 16]), Err(late));
}

#[test]
fn foreign_entries_are_hidden_and_still_replay() {
    let whole = log(every_event());
    let bytes = whole.hide_foreign(&ALICE);
    let alices = EnclaveLog::parse(&bytes, PCR).unwrap();
    assert_eq!((alices.count(), alices.replay()), (whole.count(), whole.replay()));
    assert_eq!(alices.live(&ALICE), whole.live(&ALICE));
    let hidden: Vec<_> = alices.records().iter().map(|record| record.event().is_none()).collect();
    assert_eq!(hidden, [false, false, true, false, true, false, false, true]);
    assert!(!bytes.windows(16).any(|window| window == BOB.as_bytes()));
    assert_eq!(alices.hide_foreign(&ALICE), bytes);
    assert_eq!(alices.live(&BOB), Err(NotLive::HiddenEntry { record: 2 }));
}

#[test]
fn the_live_entry_is_the_last_started_and_keyed_one() {
    let live = log([start(ALICE, 1), key(ALICE, 1)]).live(&ALICE).unwrap();
    assert_eq!((live.incarnation, live.spki), (1, Digest::of(b"key")));
    assert_eq!((live.version, live.instance), (Digest::of(b"version"), Digest::of(b"instance")));
    assert_eq!((live.owner, live.facade), (Some(Digest::of(b"owner")), Digest::of(b"facade")));
    let replaced =
        log([start(ALICE, 1), key(ALICE, 1), rekey(ALICE, 1), rekey(ALICE, 1)]).live(&ALICE).unwrap();
    assert_eq!(replaced.spki, Digest::of(b"new key"));
    let restarted = log([start(ALICE, 1), key(ALICE, 1), start(ALICE, 3), key(ALICE, 3)]);
    assert_eq!(restarted.live(&ALICE).unwrap().incarnation, 3);
    assert_eq!(restarted.live_incarnation(&ALICE, 1), Err(NotLive::Restarted { asked: 1, live: 3 }));
    assert_eq!(restarted.live_incarnation(&ALICE, 3), restarted.live(&ALICE));
    let stopped_and_started = log([start(ALICE, 1), stop(ALICE, 1), start(ALICE, 2), key(ALICE, 2)]);
    assert_eq!(stopped_and_started.live(&ALICE).unwrap().incarnation, 2);
    let late_stop = log([start(ALICE, 1), start(ALICE, 2), key(ALICE, 2), stop(ALICE, 1)]);
    assert_eq!(late_stop.live(&ALICE).unwrap().incarnation, 2);
}

#[test]
fn an_enclave_that_is_not_live_is_refused_with_the_reason() {
    let check = |events: Vec<Event>, why| assert_eq!(log(events).live(&ALICE), Err(why));
    let stopped = |incarnation| NotLive::Stopped { incarnation, reason: reason("exited with 0") };
    check(vec![], NotLive::NeverStarted);
    check(vec![gap(), start(BOB, 1), key(BOB, 1)], NotLive::NeverStarted);
    check(vec![start(ALICE, 1)], NotLive::NotKeyed { incarnation: 1 });
    check(vec![start(ALICE, 1), key(ALICE, 1), start(ALICE, 2)], NotLive::NotKeyed { incarnation: 2 });
    check(vec![start(ALICE, 1), key(ALICE, 1), stop(ALICE, 1)], stopped(1));
    check(vec![start(ALICE, 1), stop(ALICE, 1)], stopped(1));
    check(vec![start(ALICE, 1), key(ALICE, 1), stop(ALICE, 1), stop(ALICE, 1)], stopped(1));
    check(vec![start(ALICE, 1), key(ALICE, 1), start(ALICE, 1)], NotLive::IncarnationReused { record: 2 });
    check(vec![start(ALICE, 2), stop(ALICE, 2), start(ALICE, 1)], NotLive::IncarnationReused { record: 2 });
    check(vec![start(ALICE, 1), key(ALICE, 1), key(ALICE, 1)], NotLive::SecondKey { record: 2 });
    check(vec![start(ALICE, 1), rekey(ALICE, 1)], NotLive::NoKeyToReplace { record: 1 });
    let outside = |record| NotLive::OutsideLife { record };
    check(vec![key(ALICE, 1)], outside(0));
    check(vec![rekey(ALICE, 1)], outside(0));
    check(vec![stop(ALICE, 1)], outside(0));
    check(vec![start(ALICE, 1), key(ALICE, 2)], outside(1));
    check(vec![start(ALICE, 1), key(ALICE, 1), rekey(ALICE, 2)], outside(2));
    check(vec![start(ALICE, 1), start(ALICE, 2), key(ALICE, 1)], outside(2));
    check(vec![start(ALICE, 1), stop(ALICE, 1), key(ALICE, 1)], outside(2));
    check(vec![start(ALICE, 1), stop(ALICE, 2)], outside(1));
}

#[test]
fn a_hidden_entry_of_the_enclave_itself_is_refused() {
    let whole = log([start(ALICE, 1), key(ALICE, 1), stop(ALICE, 1)]);
    let for_bob = EnclaveLog::parse(&whole.hide_foreign(&BOB), PCR).unwrap();
    let open = whole.records()[..2].iter().flat_map(logs::enclave::Record::encode);
    let hidden = for_bob.records()[2].encode();
    let mixed = EnclaveLog::parse(&open.chain(hidden).collect::<Vec<u8>>(), PCR).unwrap();
    assert_eq!(mixed.replay(), whole.replay());
    assert_eq!(mixed.live(&ALICE), Err(NotLive::HiddenEntry { record: 2 }));
}

#[test]
fn an_incomplete_log_says_why() {
    assert_eq!(log([start(ALICE, 1)]).completeness(), Completeness::Complete);
    assert_eq!(log([baseline(), gap()]).completeness(), Completeness::Baseline(&reason("no saved log")));
    assert_eq!(log([start(ALICE, 1), gap()]).completeness(), Completeness::Gap(&reason("agent restarted")));
}

#[test]
fn records_out_of_place_are_refused() {
    let whole = log(every_event());
    let encoded: Vec<Vec<u8>> = whole.records().iter().map(logs::enclave::Record::encode).collect();
    let check = |order: &[usize], record, fault| {
        let bytes: Vec<u8> = order.iter().flat_map(|index| encoded[*index].clone()).collect();
        assert_eq!(EnclaveLog::parse(&bytes, PCR), Err(record_error(record, fault)));
    };
    check(&[1], 0, RecordFault::Number);
    check(&[0, 2], 1, RecordFault::Number);
    check(&[0, 0], 1, RecordFault::Number);
    assert_eq!(EnclaveLog::parse(&encoded[0], 14), Err(record_error(0, RecordFault::Pcr)));
    assert_eq!(EnclaveLog::new(14).push(whole.records()[0].clone()), Err(record_error(0, RecordFault::Pcr)));
    let huge = vec![0; MAX_LOG + 1];
    assert_eq!(EnclaveLog::parse(&huge, PCR), Err(EnclaveLogError::TooLarge { size: MAX_LOG + 1 }));
}

#[test]
fn edited_records_are_refused() {
    let bytes = log([start(ALICE, 1)]).encode();
    let check = |edit: &dyn Fn(&mut Vec<u8>), fault| {
        let mut edited = bytes.clone();
        edit(&mut edited);
        assert_eq!(EnclaveLog::parse(&edited, PCR), Err(record_error(0, fault)));
    };
    const KIND: usize = 82;
    const BODY: usize = 83;
    check(&|bytes| bytes[30] ^= 1, RecordFault::Digest);
    check(&|bytes| bytes[70] ^= 1, RecordFault::Tag);
    check(&|bytes| bytes[BODY + 1] ^= 1, RecordFault::Digest);
    check(&|bytes| bytes[BODY + 60] ^= 1, RecordFault::Digest);
    check(&|bytes| bytes[KIND] = 0, RecordFault::Layout);
    check(&|bytes| bytes[KIND] = 2, RecordFault::Layout);
    check(&|bytes| bytes[BODY] = 9, RecordFault::Event(EventFault::Type));
    check(&|bytes| bytes[BODY] = 3, RecordFault::Event(EventFault::Fields));
    check(&|bytes| bytes[BODY] = 6, RecordFault::Event(EventFault::Field("reason")));
    check(&|bytes| bytes[0] = 1, RecordFault::Layout);
    check(&|bytes| bytes.truncate(80), RecordFault::Truncated);
    let mut trailing = bytes.clone();
    trailing.push(0);
    assert_eq!(EnclaveLog::parse(&trailing, PCR), Err(record_error(1, RecordFault::Truncated)));
}

#[test]
fn events_of_the_whole_node_cannot_be_hidden() {
    let gap_record = log([gap()]).encode();
    let body = Digest::of(&gap_record[83..]);
    let mut hidden = gap_record[..61].to_vec();
    hidden.extend([&[90, 0, 0, 0, 49][..], &[0; 16], &[0], body.as_bytes()].concat());
    assert_eq!(EnclaveLog::parse(&hidden, PCR), Err(record_error(0, RecordFault::Tag)));
}

#[test]
fn reasons_are_short_plain_text() {
    for text in ["", "two\nlines", "bell\u{7}", &"a".repeat(MAX_REASON + 1)] {
        assert_eq!(Reason::new(text), Err(EventFault::Field("reason")));
    }
    assert_eq!(reason(&"a".repeat(MAX_REASON)).as_str().len(), MAX_REASON);
}

#[test]
fn a_full_log_takes_no_more() {
    let mut full = EnclaveLog::new(PCR);
    let short = || Event::Gap { reason: reason("a") };
    while let Ok(record) = full.next(short(), [0; 16]) {
        full.push(record).unwrap();
    }
    assert_eq!(full.count(), u64::try_from(MAX_RECORDS).unwrap());
    assert!(full.is_nearly_full() && !log(every_event()).is_nearly_full());
    assert_eq!(full.next(short(), [0; 16]), Err(EnclaveLogError::TooManyRecords));
    let mut long = EnclaveLog::new(PCR);
    let refused = loop {
        match long.next(Event::Gap { reason: reason(&"a".repeat(MAX_REASON)) }, [0; 16]) {
            Ok(record) => long.push(record).unwrap(),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, EnclaveLogError::TooLarge { .. }));
    assert_eq!(EnclaveLog::parse(&long.encode(), PCR).unwrap(), long);
}
