//! Boot logs of `testdata/tpm` against the PCR values of the same machines, and crafted ones.

use std::collections::BTreeMap;

use logs::boot::{
    Binding, BootLog, BootLogError, DataMismatch, EventKind, Format, HeaderFault, MAX_DIGESTS,
    MAX_EVENT_DATA, MAX_EVENTS, MAX_LOG, ReadingError, SecureBoot,
};
use logs::{Bank, Value};

use crate::testdata;

type Reference = BTreeMap<String, BTreeMap<String, String>>;

fn bank(name: &str) -> Bank {
    Bank::ALL.into_iter().find(|bank| bank.as_str() == name).unwrap()
}

/// PCRs of a bank whose replay differs from what the machine's TPM held.
fn differing(log: &BootLog<'_>, reference: &Reference, bank_name: &str) -> Vec<u32> {
    let pcrs = log.replay(bank(bank_name)).unwrap();
    let expected = reference[bank_name].iter().map(|(index, hex)| (index.parse().unwrap(), hex));
    expected
        .filter(|(index, hex)| pcrs.get(*index).unwrap().to_string() != **hex)
        .map(|(index, _)| index)
        .collect()
}

fn reference(name: &str) -> Reference {
    serde_json::from_slice(&testdata(&format!("tpm/{name}.pcrs.json"))).unwrap()
}

#[test]
fn genuine_logs_replay_to_what_the_tpm_held_in_every_bank() {
    let check = |name: &str, format, events, banks: &[&str]| {
        let bytes = testdata(&format!("tpm/{name}.bin"));
        let log = BootLog::parse(&bytes).unwrap();
        assert_eq!((log.format(), log.events().len()), (format, events), "{name}");
        let reference = reference(name);
        assert_eq!(reference.keys().collect::<Vec<_>>(), banks, "{name}");
        for bank_name in banks {
            assert_eq!(differing(&log, &reference, bank_name), [0u32; 0], "{name} {bank_name}");
            log.check_event_data(bank(bank_name)).unwrap().separators().unwrap();
        }
    };
    check("ubuntu-2104-no-secure-boot", Format::CryptoAgile, 106, &["sha1", "sha256"]);
    check("ubuntu-2404-amd-sevsnp", Format::CryptoAgile, 117, &["sha1", "sha256"]);
    check("cos-101-amd-sev", Format::CryptoAgile, 49, &["sha1", "sha256"]);
    check("confidential-gke-debug-251000", Format::CryptoAgile, 55, &["sha256"]);
    check("debian-10", Format::Sha1, 25, &["sha1"]);
}

#[test]
fn the_state_of_secure_boot_is_read_from_bound_data() {
    let check = |name: &str, bank, expected| {
        let bytes = testdata(&format!("tpm/{name}.bin"));
        let log = BootLog::parse(&bytes).unwrap();
        assert_eq!(log.check_event_data(bank).unwrap().secure_boot(), Ok(expected), "{name}");
    };
    check("keylime-secureboot", Bank::Sha256, SecureBoot::Enabled);
    check("cos-101-amd-sev", Bank::Sha256, SecureBoot::Enabled);
    check("confidential-gke-debug-251000", Bank::Sha384, SecureBoot::Enabled);
    check("debian-10", Bank::Sha1, SecureBoot::Enabled);
    check("ubuntu-2104-no-secure-boot", Bank::Sha256, SecureBoot::Disabled);
    check("ubuntu-2404-amd-sevsnp", Bank::Sha256, SecureBoot::Disabled);
}

#[test]
fn commands_and_command_lines_are_read_from_bound_text() {
    let bytes = testdata("tpm/ubuntu-2404-amd-sevsnp.bin");
    let log = BootLog::parse(&bytes).unwrap();
    let checked = log.check_event_data(Bank::Sha256).unwrap();
    assert_eq!(checked.texts(8).count(), 71);
    assert!(checked.texts(8).any(|text| text.starts_with(b"/vmlinuz-6.8.0-1010-gcp root=")));
    assert_eq!(checked.texts(9).count(), 0, "PCR 9 holds file digests, not texts");
}

#[test]
fn edited_event_data_replays_and_is_refused_by_its_digest() {
    let bytes = testdata("tpm/ubuntu-2404-amd-sevsnp.tampered-event-data.bin");
    let log = BootLog::parse(&bytes).unwrap();
    for bank_name in ["sha1", "sha256"] {
        assert_eq!(differing(&log, &reference("ubuntu-2404-amd-sevsnp"), bank_name), [0u32; 0]);
    }
    for bank in log.banks() {
        let mismatch = log.check_event_data(bank).unwrap_err();
        let kind = EventKind::EfiVariableDriverConfig;
        assert!(
            matches!(mismatch, DataMismatch::Event { event: 4, pcr: 7, kind: found, .. } if found == kind),
            "{mismatch:?}"
        );
    }
}

#[test]
fn an_edited_digest_changes_the_replay_of_its_bank_only() {
    let bytes = testdata("tpm/ubuntu-2404-amd-sevsnp.tampered-digest.bin");
    let log = BootLog::parse(&bytes).unwrap();
    let reference = reference("ubuntu-2404-amd-sevsnp");
    assert_eq!(differing(&log, &reference, "sha256"), [7]);
    assert_eq!(differing(&log, &reference, "sha1"), [0u32; 0]);
    assert!(log.check_event_data(Bank::Sha256).is_err());
    assert!(log.check_event_data(Bank::Sha1).is_ok());
}

#[test]
fn garbage_nothing_and_padding_are_refused() {
    let bogus = testdata("tpm/bogus.bin");
    assert!(matches!(BootLog::parse(&bogus), Err(BootLogError::PcrIndex { event: 0, .. })));
    assert_eq!(BootLog::parse(&[]), Err(BootLogError::Truncated { event: 0 }));
    let log = testdata("tpm/cos-101-amd-sev.bin");
    assert_eq!(BootLog::parse(&[&log[..], &[0; 64]].concat()), Err(BootLogError::DigestSet { event: 49 }));
    let ones = BootLog::parse(&[&log[..], &[0xff; 64]].concat()).unwrap_err();
    assert_eq!(ones, BootLogError::PcrIndex { event: 49, index: u32::MAX });
    assert_eq!(BootLog::parse(&[&log[..], &[0]].concat()), Err(BootLogError::Truncated { event: 49 }));
    let huge = vec![0; MAX_LOG + 1];
    assert_eq!(BootLog::parse(&huge), Err(BootLogError::TooLarge { size: MAX_LOG + 1 }));
}

/// Fields of a protobuf message: (number, varint or bytes).
fn protobuf(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        match key & 7 {
            0 => fields.push((key >> 3, varint(&mut bytes), &[][..])),
            2 => {
                let size = usize::try_from(varint(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(size);
                bytes = rest;
                fields.push((key >> 3, 0, value));
            }
            other => panic!("wire type {other}"),
        }
    }
    fields
}

#[test]
fn the_logs_of_recorded_attestations_replay_to_the_pcrs_beside_their_quotes() {
    for name in ["gce-cos85-attestation-nonce9009.pb", "gce-cos85-attestation-no-nonce.pb"] {
        let bytes = testdata(&format!("tpm/{name}"));
        // attest.Attestation: 2 quotes, 3 event log. tpm.Quote: 3 pcrs. tpm.PCRs: 1 algorithm, 2 map of PCRs.
        let attestation = protobuf(&bytes);
        let (_, _, event_log) = attestation.iter().find(|(number, ..)| *number == 3).unwrap();
        let log = BootLog::parse(event_log).unwrap();
        let mut banks = Vec::new();
        for (_, _, quote) in attestation.iter().filter(|(number, ..)| *number == 2) {
            let pcrs = protobuf(quote).into_iter().find(|(number, ..)| *number == 3).unwrap().2;
            let (_, algorithm, _) = protobuf(pcrs).into_iter().find(|(number, ..)| *number == 1).unwrap();
            let bank = Bank::from_algorithm_id(algorithm.try_into().unwrap()).unwrap();
            let read: BTreeMap<u32, Value> = protobuf(pcrs)
                .into_iter()
                .filter(|(number, ..)| *number == 2)
                .map(|(_, _, pair)| {
                    let pair = protobuf(pair);
                    let index =
                        pair.iter().find(|(number, ..)| *number == 1).map_or(0, |(_, index, _)| *index);
                    let value = pair.iter().find(|(number, ..)| *number == 2).unwrap().2;
                    (index.try_into().unwrap(), Value::from_bytes(bank, value).unwrap())
                })
                .collect();
            assert_eq!(read.len(), 24);
            for (index, value) in log.replay(bank).unwrap().extended() {
                assert_eq!(read[&index], *value, "{name} {bank} PCR {index}");
            }
            log.check_event_data(bank).unwrap().separators().unwrap();
            banks.push(bank);
        }
        assert_eq!(banks, [Bank::Sha1, Bank::Sha256, Bank::Sha384]);
    }
}

/// A crypto-agile log with SHA-256 only, event by event.
struct Crafted(Vec<u8>);

const NO_ACTION: u32 = 3;
const SEPARATOR: u32 = 4;
const DRIVER_CONFIG: u32 = 0x8000_0001;

impl Crafted {
    fn new() -> Self {
        Self::with_header(&[(0x0b, 32)], 2)
    }

    fn with_header(algorithms: &[(u16, u16)], major: u8) -> Self {
        let mut spec = b"Spec ID Event03\0\0\0\0\0".to_vec();
        spec.extend([0, major, 0, 2]);
        spec.extend(u32::try_from(algorithms.len()).unwrap().to_le_bytes());
        for (algorithm, size) in algorithms {
            spec.extend([algorithm.to_le_bytes(), size.to_le_bytes()].concat());
        }
        spec.push(0);
        Self::with_spec(&spec, 0, [0; 20])
    }

    fn with_spec(spec: &[u8], pcr: u32, digest: [u8; 20]) -> Self {
        let mut bytes = [pcr.to_le_bytes(), NO_ACTION.to_le_bytes()].concat();
        bytes.extend(digest);
        bytes.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
        bytes.extend(spec);
        Self(bytes)
    }

    fn event(self, pcr: u32, kind: u32, data: &[u8]) -> Self {
        let digest = Bank::Sha256.hash(&[data]);
        self.raw(pcr, kind, &[(0x0b, digest.as_bytes())], data)
    }

    fn raw(mut self, pcr: u32, kind: u32, digests: &[(u16, &[u8])], data: &[u8]) -> Self {
        self.0.extend([pcr.to_le_bytes(), kind.to_le_bytes()].concat());
        self.0.extend(u32::try_from(digests.len()).unwrap().to_le_bytes());
        for (algorithm, digest) in digests {
            self.0.extend(algorithm.to_le_bytes());
            self.0.extend(*digest);
        }
        self.0.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        self.0.extend(data);
        self
    }

    fn secure_boot(self, value: &[u8]) -> Self {
        let mut data =
            vec![0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0, 0xe0, 0x98, 3, 0x2b, 0x8c];
        data.extend(10u64.to_le_bytes());
        data.extend(u64::try_from(value.len()).unwrap().to_le_bytes());
        data.extend("SecureBoot".encode_utf16().flat_map(u16::to_le_bytes));
        data.extend(value);
        self.event(7, DRIVER_CONFIG, &data)
    }

    fn separators(self, pcrs: impl Iterator<Item = u32>) -> Self {
        pcrs.fold(self, |log, pcr| log.event(pcr, SEPARATOR, &[0; 4]))
    }

    fn error(&self) -> BootLogError {
        BootLog::parse(&self.0).unwrap_err()
    }
}

fn locality(value: &[u8]) -> Vec<u8> {
    [b"StartupLocality\0", value].concat()
}

#[test]
fn the_startup_locality_is_the_initial_value_of_pcr_0() {
    let crafted = Crafted::new().event(0, NO_ACTION, &locality(&[3])).separators(0..2);
    let log = BootLog::parse(&crafted.0).unwrap();
    let mut start = [0; 32];
    start[31] = 3;
    let separator = Bank::Sha256.hash(&[&[0; 4]]);
    let pcrs = log.replay(Bank::Sha256).unwrap();
    assert_eq!(*pcrs.get(0).unwrap(), Bank::Sha256.hash(&[&start, separator.as_bytes()]));
    assert_eq!(*pcrs.get(1).unwrap(), Bank::Sha256.hash(&[&[0; 32], separator.as_bytes()]));
    assert_eq!(*pcrs.get(17).unwrap(), Value::ones(Bank::Sha256));
    assert_eq!(pcrs.get(24), None);
    assert_eq!(pcrs.extended().map(|(index, _)| index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(log.replay(Bank::Sha384), None);
}

#[test]
fn impossible_startup_localities_are_refused() {
    let refused = |event| BootLogError::StartupLocality { event };
    assert_eq!(Crafted::new().event(0, NO_ACTION, &locality(&[1])).error(), refused(1));
    assert_eq!(Crafted::new().event(0, NO_ACTION, &locality(&[])).error(), refused(1));
    assert_eq!(Crafted::new().event(1, NO_ACTION, &locality(&[3])).error(), refused(1));
    let twice = Crafted::new().event(0, NO_ACTION, &locality(&[3])).event(0, NO_ACTION, &locality(&[3]));
    assert_eq!(twice.error(), refused(2));
    let late = Crafted::new().separators(0..1).event(0, NO_ACTION, &locality(&[3]));
    assert_eq!(late.error(), refused(2));
}

#[test]
fn impossible_headers_are_refused() {
    let check = |crafted: Crafted, fault| assert_eq!(crafted.error(), BootLogError::Header(fault));
    check(Crafted::with_header(&[(0x0b, 32)], 1), HeaderFault::Version);
    check(Crafted::with_header(&[], 2), HeaderFault::Algorithms);
    check(Crafted::with_header(&[(0x0b, 20)], 2), HeaderFault::Algorithms);
    check(Crafted::with_header(&[(0x0b, 32), (0x0b, 32)], 2), HeaderFault::Algorithms);
    check(Crafted::with_header(&[(0x99, 65)], 2), HeaderFault::Algorithms);
    let many: Vec<_> = (0x20..).map(|algorithm| (algorithm, 32)).take(MAX_DIGESTS + 1).collect();
    check(Crafted::with_header(&many, 2), HeaderFault::Algorithms);
    let good = Crafted::new().0[32..].to_vec();
    check(Crafted::with_spec(&[&good[..], &[0]].concat(), 0, [0; 20]), HeaderFault::Length);
    check(Crafted::with_spec(&good[..good.len() - 1], 0, [0; 20]), HeaderFault::Length);
    check(Crafted::with_spec(&good, 1, [0; 20]), HeaderFault::NotZero);
    check(Crafted::with_spec(&good, 0, [1; 20]), HeaderFault::NotZero);
}

#[test]
fn every_event_has_the_headers_digests_and_stays_within_the_bounds() {
    let wrong = BootLogError::DigestSet { event: 1 };
    let digest: &[u8] = &[0; 32];
    assert_eq!(Crafted::new().raw(0, SEPARATOR, &[], &[]).error(), wrong);
    assert_eq!(Crafted::new().raw(0, SEPARATOR, &[(4, &[0; 20])], &[]).error(), wrong);
    let two = || Crafted::with_header(&[(0x0b, 32), (0x12, 32)], 2);
    assert_eq!(two().raw(0, SEPARATOR, &[(0x0b, digest), (0x0b, digest)], &[]).error(), wrong);
    let other_order = two().raw(0, SEPARATOR, &[(0x12, digest), (0x0b, digest)], &[]);
    assert_eq!(BootLog::parse(&other_order.0).unwrap().banks().collect::<Vec<_>>(), [Bank::Sha256]);
    let outside = Crafted::new().event(24, SEPARATOR, &[]).error();
    assert_eq!(outside, BootLogError::PcrIndex { event: 1, index: 24 });
    let large = Crafted::new().event(0, SEPARATOR, &vec![0; MAX_EVENT_DATA + 1]).error();
    assert!(matches!(large, BootLogError::DataTooLarge { event: 1, .. }));
    let many = (1..=MAX_EVENTS).fold(Crafted::new(), |log, _| log.raw(0, NO_ACTION, &[(0x0b, digest)], &[]));
    assert_eq!(many.error(), BootLogError::TooManyEvents);
}

#[test]
fn separators_must_be_there_once_each_and_tell_success() {
    let check = |crafted: Crafted, expected| {
        let log = BootLog::parse(&crafted.0).unwrap();
        assert_eq!(log.check_event_data(Bank::Sha256).unwrap().separators(), expected);
    };
    check(Crafted::new().separators(0..8), Ok(()));
    check(Crafted::new().separators(0..7).event(7, SEPARATOR, &[0xff; 4]), Ok(()));
    check(Crafted::new().separators(0..7), Err(ReadingError::NoSeparator { pcr: 7 }));
    let second = ReadingError::SecondSeparator { pcr: 2, event: 9 };
    check(Crafted::new().separators((0..8).chain([2])), Err(second));
    let error = ReadingError::SeparatorValue { event: 1 };
    check(Crafted::new().event(0, SEPARATOR, &[1, 0, 0, 0]).separators(1..8), Err(error));
}

#[test]
fn what_is_measured_after_the_firmware_cannot_claim_secure_boot() {
    let check = |crafted: Crafted, expected| {
        let log = BootLog::parse(&crafted.0).unwrap();
        assert_eq!(log.check_event_data(Bank::Sha256).unwrap().secure_boot(), expected);
    };
    check(Crafted::new().secure_boot(&[1]).separators(7..8), Ok(SecureBoot::Enabled));
    check(Crafted::new().secure_boot(&[0]).separators(7..8), Ok(SecureBoot::Disabled));
    check(Crafted::new().secure_boot(&[]).separators(7..8), Ok(SecureBoot::Disabled));
    check(Crafted::new().secure_boot(&[1]), Err(ReadingError::NoSecureBoot));
    check(Crafted::new().separators(7..8), Err(ReadingError::NoSecureBoot));
    let refused = |event| Err(ReadingError::SecureBootEvent { event });
    check(Crafted::new().separators(7..8).secure_boot(&[1]), refused(2));
    check(Crafted::new().secure_boot(&[0]).separators(7..8).secure_boot(&[1]), refused(3));
    check(Crafted::new().secure_boot(&[0]).secure_boot(&[1]).separators(7..8), refused(2));
    check(Crafted::new().secure_boot(&[2]).separators(7..8), refused(1));
    check(Crafted::new().event(7, DRIVER_CONFIG, b"no variable").separators(7..8), refused(1));
}

#[test]
fn data_that_no_digest_covers_is_said_to_be_unbound() {
    let crafted = Crafted::new().raw(4, 0x8000_0003, &[(0x0b, &[7; 32])], b"path of an image").event(
        8,
        13,
        b"grub_cmd: linux\0",
    );
    let log = BootLog::parse(&crafted.0).unwrap();
    let checked = log.check_event_data(Bank::Sha256).unwrap();
    let bindings: Vec<_> = checked.events().map(|(_, binding)| binding).collect();
    assert_eq!(bindings, [Binding::Unbound; 3], "the digest covers the command without its prefix");
    assert_eq!(log.check_event_data(Bank::Sha1).unwrap_err(), DataMismatch::NoBank { bank: Bank::Sha1 });
}
