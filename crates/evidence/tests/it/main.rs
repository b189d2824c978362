//! Good evidence is verified; each rejection is produced by one defect in otherwise good evidence.
//!
//! A table of cases per step of the check; `every_rejection_is_produced` asserts that the tables leave none out.
#![allow(clippy::unwrap_used)]

mod attacks;
mod case;
mod channel;
mod flips;
mod form_and_challenge;
mod good;
mod key;
mod logs_of_node;
mod order;
mod proofs;
mod properties;
mod quote;
mod registers_and_log;
mod statements;
mod verdicts;

use std::collections::BTreeSet;

use evidence::Rejected;

#[test]
fn every_rejection_is_produced() {
    let tables = [
        form_and_challenge::FORM,
        form_and_challenge::CHALLENGE,
        channel::CASES,
        quote::CASES,
        key::CASES,
        registers_and_log::REGISTERS,
        registers_and_log::LOG,
        verdicts::CASES,
        logs_of_node::CASES,
    ];
    let produced: BTreeSet<&str> =
        tables.iter().flat_map(|table| table.iter()).map(|case| case.expected.code()).collect();
    let missing: Vec<Rejected> =
        Rejected::ALL.iter().copied().filter(|rejected| !produced.contains(rejected.code())).collect();
    assert_eq!(missing, []);
}
