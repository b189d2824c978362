//! No input makes a parser panic, and whatever it accepts can be read, replayed and written without a panic.

use logs::Bank;
use logs::boot::{BootLog, EfiVariable};
use logs::enclave::EnclaveLog;
use logs::ima::{Entry, ImaLog};
use names::EnclaveId;
use proptest::prelude::{any, prop, proptest};

use crate::{enclave, testdata};

const BOOT: [&str; 8] = [
    "bogus.bin",
    "confidential-gke-debug-251000.bin",
    "cos-101-amd-sev.bin",
    "debian-10.bin",
    "keylime-secureboot.bin",
    "ubuntu-2104-no-secure-boot.bin",
    "ubuntu-2404-amd-sevsnp.bin",
    "ubuntu-2404-amd-sevsnp.tampered-digest.bin",
];

fn read_boot(bytes: &[u8]) -> bool {
    let Ok(log) = BootLog::parse(bytes) else { return false };
    for bank in Bank::ALL {
        let _ = log.replay(bank);
        if let Ok(checked) = log.check_event_data(bank) {
            let _ = (checked.separators(), checked.secure_boot(), checked.texts(8).count());
        }
    }
    for event in log.events() {
        let _ = EfiVariable::parse(event.data()).map(|variable| variable.is_named("db"));
    }
    true
}

fn read_ima(log: Result<ImaLog<'_>, logs::ima::ImaError>) -> bool {
    let Ok(log) = log else { return false };
    let quoted = log.replay(Bank::Sha256);
    assert!(log.prefix_matching(&quoted).is_some());
    let ascii: Vec<u8> = log.entries().iter().flat_map(Entry::to_ascii).collect();
    let _ = ImaLog::parse_ascii(&ascii);
    true
}

fn read_enclave(bytes: &[u8]) -> bool {
    let Ok(log) = EnclaveLog::parse(bytes, 13) else { return false };
    assert_eq!(log.encode(), bytes, "one log has one form");
    let enclave = EnclaveId::from_bytes([0xa1; 16]);
    let hidden = EnclaveLog::parse(&log.hide_foreign(&enclave), 13).unwrap();
    assert_eq!((hidden.replay(), hidden.live(&enclave)), (log.replay(), log.live(&enclave)));
    let _ = log.completeness();
    true
}

/// Every short prefix, and longer ones in steps that hit all kinds of positions.
fn prefixes(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let short = 0..bytes.len().min(600);
    let long = (600..bytes.len()).step_by(997);
    short.chain(long).map(|length| &bytes[..length])
}

#[test]
fn truncated_boot_logs_are_refused_or_read() {
    for name in BOOT {
        let bytes = testdata(&format!("tpm/{name}"));
        prefixes(&bytes).for_each(|prefix| {
            read_boot(prefix);
        });
    }
}

#[test]
fn truncated_ima_lists_are_refused_or_read() {
    for name in ["ascii_runtime_measurements", "ascii-sha256-2entries"] {
        let bytes = testdata(&format!("ima/{name}"));
        for prefix in prefixes(&bytes) {
            let whole_lines = prefix.is_empty() || prefix.ends_with(b"\n");
            assert_eq!(read_ima(ImaLog::parse_ascii(prefix)), whole_lines);
        }
    }
    for name in ["head", "tail"] {
        let bytes = testdata(&format!("ima/binary_runtime_measurements-sig.{name}.bin"));
        prefixes(&bytes).for_each(|prefix| {
            read_ima(ImaLog::parse_binary(prefix));
        });
    }
}

#[test]
fn truncated_enclave_logs_are_shorter_logs_or_refused() {
    let log = enclave::log(enclave::every_event());
    let bytes = log.encode();
    let ends: Vec<usize> = log
        .records()
        .iter()
        .scan(0, |end, record| {
            *end += record.encode().len();
            Some(*end)
        })
        .collect();
    for length in 0..=bytes.len() {
        let is_whole = length == 0 || ends.contains(&length);
        assert_eq!(read_enclave(&bytes[..length]), is_whole, "{length} bytes");
    }
}

#[test]
fn no_flipped_bit_of_an_enclave_log_leaves_its_replay_the_same() {
    let log = enclave::log(enclave::every_event());
    let bytes = log.encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = EnclaveLog::parse(&flipped, 13) {
            assert_ne!(other.replay(), log.replay(), "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        read_boot(&bytes);
        read_ima(ImaLog::parse_ascii(&bytes));
        read_ima(ImaLog::parse_binary(&bytes));
        read_enclave(&bytes);
    }

    #[test]
    fn edited_boot_logs_never_panic(
        name in prop::sample::select(&BOOT[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = testdata(&format!("tpm/{name}"));
        edits.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
        read_boot(&bytes);
    }

    #[test]
    fn edited_ima_lists_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut ascii = testdata("ima/ascii_runtime_measurements");
        let mut binary = testdata("ima/binary_runtime_measurements-sig.tail.bin");
        for (at, byte) in &edits {
            *at.get_mut(&mut ascii) = *byte;
            *at.get_mut(&mut binary) = *byte;
        }
        read_ima(ImaLog::parse_ascii(&ascii));
        read_ima(ImaLog::parse_binary(&binary));
    }

    #[test]
    fn edited_enclave_logs_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = enclave::log(enclave::every_event()).encode();
        edits.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
        read_enclave(&bytes);
    }
}
