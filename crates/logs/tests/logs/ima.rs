//! IMA lists of `testdata/ima`, and crafted ones.

use logs::ima::{
    Entry, EntryFault, ImaError, ImaLog, MAX_LIST, MAX_PATH, Progress, Template, boot_aggregate,
};
use logs::{Bank, Value};
use names::Digest;

use crate::testdata;

fn entry_error(entry: usize, fault: EntryFault) -> ImaError {
    ImaError::Entry { entry, fault }
}

#[test]
fn genuine_lists_replay_to_the_recorded_values() {
    let check = |log: &ImaLog<'_>, entries, sha1: &str, sha256: &str| {
        assert_eq!(log.entries().len(), entries);
        assert_eq!(log.replay(Bank::Sha1).to_string(), sha1);
        assert_eq!(log.replay(Bank::Sha256).to_string(), sha256);
    };
    check(
        &ImaLog::parse_ascii(&testdata("ima/ascii_runtime_measurements")).unwrap(),
        826,
        "82231c67a69da98dc5b3aa10f6343d33109225fc",
        "c4a065637fc6a7c55f2811dd06cb45dd037133be2b3dc5c3e6fbe6bf061db724",
    );
    check(
        &ImaLog::parse_ascii(&testdata("ima/ascii-sha256-2entries")).unwrap(),
        2,
        "8adcb4304b78ee782bbba3733b191591e75dc83d",
        "8dcd5e7eb63e363377ec19b0d358601ccc19f25a30486f35784c5288dbb91d9d",
    );
    check(
        &ImaLog::parse_binary(&testdata("ima/binary_runtime_measurements-sig.head.bin")).unwrap(),
        820,
        "3eeb16bb2bfc14feb9de95e00bc408bb52229f4c",
        "0290765e1f8c6d0780512053cec16ce9d6ec36d28a1d563eb62646bb7548a4d0",
    );
}

#[test]
fn entries_tell_path_digest_and_signature() {
    let bytes = testdata("ima/binary_runtime_measurements-sig.head.bin");
    let log = ImaLog::parse_binary(&bytes).unwrap();
    let [aggregate, init, bash, ..] = log.entries() else { panic!("too few entries") };
    assert_eq!((aggregate.path(), aggregate.digest().algorithm()), (&b"boot_aggregate"[..], "sha1"));
    assert_eq!((init.path(), init.digest().algorithm()), (&b"/init"[..], "sha256"));
    assert_eq!(
        (bash.path(), bash.template(), bash.is_violation()),
        (&b"/usr/bin/bash"[..], Template::ImaSig, false)
    );
    let digest = "4a2674e155b63cae2129b3c5857ad5885452b69d48d76667ccdc42075ddba777".parse().unwrap();
    assert!(bash.digest().is_sha256(&digest));
    assert!(!init.digest().is_sha256(&digest));
    assert_eq!(log.entries().iter().filter(|entry| entry.extra().len() == 137).count(), 637);
}

#[test]
fn both_forms_of_a_list_say_the_same() {
    let bytes = testdata("ima/binary_runtime_measurements-sig.head.bin");
    let binary = ImaLog::parse_binary(&bytes).unwrap();
    let ascii: Vec<u8> = binary.entries().iter().flat_map(Entry::to_ascii).collect();
    assert_eq!(ImaLog::parse_ascii(&ascii).unwrap(), binary);
    let recorded = testdata("ima/ascii_runtime_measurements");
    let parsed = ImaLog::parse_ascii(&recorded).unwrap();
    assert_eq!(parsed.entries().iter().flat_map(Entry::to_ascii).collect::<Vec<u8>>(), recorded);
}

#[test]
fn an_entry_whose_template_hash_does_not_recompute_is_refused() {
    // Entry 1079 of the whole list; this is its end, from entry 1063 on.
    let bytes = testdata("ima/binary_runtime_measurements-sig.tail.bin");
    assert_eq!(ImaLog::parse_binary(&bytes), Err(entry_error(16, EntryFault::TemplateHash)));
}

#[test]
fn a_removed_line_changes_the_replay() {
    let genuine = testdata("ima/ascii_runtime_measurements");
    let tampered = testdata("ima/ascii_runtime_measurements.tampered-removed-line-400");
    let (genuine, tampered) =
        (ImaLog::parse_ascii(&genuine).unwrap(), ImaLog::parse_ascii(&tampered).unwrap());
    for bank in [Bank::Sha1, Bank::Sha256] {
        let quoted = genuine.replay(bank);
        assert_ne!(tampered.replay(bank), quoted);
        assert_eq!(tampered.prefix_matching(&quoted), None);
    }
}

#[test]
fn a_quote_vouches_for_the_prefix_that_replays_to_it() {
    let bytes = testdata("ima/ascii_runtime_measurements");
    let log = ImaLog::parse_ascii(&bytes).unwrap();
    let quoted = |count| log.entries()[..count].iter().fold(Progress::start(Bank::Sha256), Progress::after);
    for count in [0, 1, 400, 825, 826] {
        assert_eq!(log.prefix_matching(&quoted(count).value()), Some(count));
    }
    assert_eq!(log.prefix_matching(&Value::ones(Bank::Sha256)), None);
    let later = log.prefix_matching_from(quoted(400), &quoted(700).value());
    assert_eq!(later, Some(quoted(700)));
    assert_eq!(log.prefix_matching_from(quoted(700), &quoted(400).value()), None, "a list never shrinks");
    assert_eq!(
        log.prefix_matching_from(Progress::resume(quoted(826).value(), 827), &quoted(826).value()),
        None
    );
    let wrong_position = Progress::resume(quoted(400).value(), 401);
    assert_eq!(log.prefix_matching_from(wrong_position, &quoted(700).value()), None);
}

#[test]
fn one_pass_over_an_ascii_list_says_what_reading_and_replaying_say() {
    let mut list = testdata("ima/ascii_runtime_measurements");
    // A violation in the middle, whose template data is none of the entry before it.
    let violation = format!("10 {0} ima-ng sha256:{1} /tmp/open\n", "0".repeat(40), "0".repeat(64));
    let half = list.len() / 2 + list[list.len() / 2..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    list.splice(half..half, violation.into_bytes());
    let log = ImaLog::parse_ascii(&list).unwrap();
    for bank in [Bank::Sha1, Bank::Sha256, Bank::Sha384] {
        let mut progress = Progress::start(bank);
        for (count, entry) in log.entries().iter().enumerate() {
            if count % 97 == 0 {
                assert_eq!(ImaLog::prefix_of_ascii(&list, &progress.value()), Ok(Some(count)));
            }
            progress = progress.after(entry);
        }
        assert_eq!(ImaLog::prefix_of_ascii(&list, &progress.value()), Ok(Some(log.entries().len())));
        assert_eq!(ImaLog::prefix_of_ascii(&list, &Value::ones(bank)), Ok(None));
    }
    let broken = [&list, b"10 nonsense\n".as_slice()].concat();
    let quoted = log.replay(Bank::Sha256);
    assert_eq!(ImaLog::prefix_of_ascii(&broken, &quoted).err(), ImaLog::parse_ascii(&broken).err());
    assert!(ImaLog::prefix_of_ascii(&broken, &quoted).is_err());
}

#[test]
fn a_violation_extends_ones_in_every_bank() {
    let hash = "0".repeat(40);
    let list = format!("10 {hash} ima-ng sha1:{hash} /var/log/open-writer\n");
    let log = ImaLog::parse_ascii(list.as_bytes()).unwrap();
    let [entry] = log.entries() else { panic!("one entry") };
    assert!(entry.is_violation());
    for bank in Bank::ALL {
        assert_eq!(entry.extension(bank), Value::ones(bank));
        assert_eq!(log.replay(bank), Value::zeros(bank).extended(Value::ones(bank).as_bytes()));
    }
}

#[test]
fn a_measured_file_becomes_the_kernels_line() {
    let genuine = testdata("ima/ascii-sha256-2entries");
    let genuine = ImaLog::parse_ascii(&genuine).unwrap();
    let entry = &genuine.entries()[0];
    let digest = Digest::from_bytes(entry.digest().as_bytes().try_into().unwrap());
    let measured = Entry::measured(entry.path(), &digest).unwrap();
    assert_eq!(measured, *entry);
    assert_eq!(Entry::measured(b"", &digest), Err(EntryFault::Path));
}

#[test]
fn paths_need_not_be_utf_8() {
    let measured = Entry::measured(b"/home/\xff\xfe", &Digest::of(b"file")).unwrap();
    let line = measured.to_ascii();
    let log = ImaLog::parse_ascii(&line).unwrap();
    assert_eq!(log.entries()[0].path(), b"/home/\xff\xfe");
}

#[test]
fn a_line_feed_in_a_path_cannot_smuggle_an_entry_in() {
    let digest = Digest::of(b"bad");
    let good = Entry::measured(b"/usr/bin/agent", &digest).unwrap().to_ascii();
    let path = [b"/tmp/x\n", good.strip_suffix(b"\n").unwrap()].concat();
    let list = Entry::measured(&path, &digest).unwrap().to_ascii();
    assert_eq!(ImaLog::parse_ascii(&list), Err(entry_error(0, EntryFault::TemplateHash)));
}

/// The old template: SHA-1 of the digest and the name padded to 256 bytes; in binary without a length before either.
#[test]
fn the_old_template_is_read_in_both_forms() {
    let (digest, name) = ([0x5a; 20], b"old file");
    let mut padded = [0; 256];
    padded[..name.len()].copy_from_slice(name);
    let hash = Bank::Sha1.hash(&[&digest, &padded]);
    let mut binary =
        [&10u32.to_le_bytes()[..], hash.as_bytes(), &3u32.to_le_bytes(), b"ima", &digest].concat();
    binary.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
    binary.extend(name);
    let log = ImaLog::parse_binary(&binary).unwrap();
    let [entry] = log.entries() else { panic!("one entry") };
    assert_eq!((entry.template(), entry.path()), (Template::Ima, &name[..]));
    assert_eq!(entry.extension(Bank::Sha256), Bank::Sha256.hash(&[&digest, &padded]));
    let ascii = format!("10 {hash} ima {} old file\n", "5a".repeat(20));
    assert_eq!(ImaLog::parse_ascii(ascii.as_bytes()).unwrap(), log);
}

#[test]
fn a_measured_buffer_is_read_in_both_forms() {
    let digest = Bank::Sha256.hash(&[b"buffer"]);
    let mut data = 40u32.to_le_bytes().to_vec();
    data.extend([b"sha256:\0", digest.as_bytes(), &8u32.to_le_bytes(), b"cmdline\0"].concat());
    data.extend([&6u32.to_le_bytes()[..], b"buffer"].concat());
    let hash = Bank::Sha1.hash(&[&data]);
    let size = u32::try_from(data.len()).unwrap().to_le_bytes();
    let binary =
        [&10u32.to_le_bytes()[..], hash.as_bytes(), &7u32.to_le_bytes(), b"ima-buf", &size, &data].concat();
    let log = ImaLog::parse_binary(&binary).unwrap();
    let [entry] = log.entries() else { panic!("one entry") };
    assert_eq!(
        (entry.template(), entry.path(), entry.extra()),
        (Template::ImaBuf, &b"cmdline"[..], &b"buffer"[..])
    );
    assert_eq!(entry.extension(Bank::Sha256), Bank::Sha256.hash(&[&data]));
    assert_eq!(ImaLog::parse_ascii(&entry.to_ascii()).unwrap(), log);
}

#[test]
fn malformed_lines_are_refused_with_their_reason() {
    let zeros = "0".repeat(40);
    let check = |line: String, fault| {
        assert_eq!(ImaLog::parse_ascii(line.as_bytes()), Err(entry_error(0, fault)), "{line}");
    };
    check(format!("10 {zeros} ima-ng sha1:{zeros} /a"), EntryFault::Truncated);
    check("\n".to_owned(), EntryFault::Fields);
    check(format!("11 {zeros} ima-ng sha1:{zeros} /a\n"), EntryFault::Pcr);
    check(format!("10 {} ima-ng sha1:{zeros} /a\n", &zeros[1..]), EntryFault::Fields);
    check(format!("10 {} ima-ng sha1:{zeros} /a\n", "G".repeat(40)), EntryFault::Fields);
    check(format!("10 {zeros} ima-new sha1:{zeros} /a\n"), EntryFault::Template);
    check(format!("10 {zeros} ima-ng {zeros} /a\n"), EntryFault::Digest);
    check(format!("10 {zeros} ima-ng sha256:{zeros} /a\n"), EntryFault::Digest);
    check(format!("10 {zeros} ima-ng SHA1:{zeros} /a\n"), EntryFault::Digest);
    check(format!("10 {zeros} ima-ng sha1:{zeros} \n"), EntryFault::Path);
    check(format!("10 {zeros} ima-ng sha1:{zeros} {}\n", "a".repeat(MAX_PATH + 1)), EntryFault::Path);
    check(format!("10 {zeros} ima-sig sha1:{zeros} /a\n"), EntryFault::Fields);
    check(format!("10 {zeros} ima-sig sha1:{zeros} /a abc\n"), EntryFault::Fields);
    check(format!("10 {} ima-ng sha1:{zeros} /a\n", "1".repeat(40)), EntryFault::TemplateHash);
    let huge = vec![b'\n'; MAX_LIST + 1];
    assert_eq!(ImaLog::parse_ascii(&huge), Err(ImaError::TooLarge { size: MAX_LIST + 1 }));
}

#[test]
fn malformed_binary_entries_are_refused_with_their_reason() {
    let check = |parts: &[&[u8]], fault| {
        assert_eq!(ImaLog::parse_binary(&parts.concat()), Err(entry_error(0, fault)));
    };
    let (ten, hash, name) = (&[10, 0, 0, 0][..], &[0; 20][..], &b"\x06\0\0\0ima-ng"[..]);
    check(&[&[11, 0, 0, 0], hash, name], EntryFault::Pcr);
    check(&[ten, hash, b"\x06\0\0\0ima-"], EntryFault::Truncated);
    check(&[ten, hash, b"\x03\0\0\0xyz"], EntryFault::Template);
    check(&[ten, hash, name, &u32::MAX.to_le_bytes()], EntryFault::Truncated);
    let digest = &[&26u32.to_le_bytes()[..], b"sha1:\0", &[0; 20]].concat();
    let entry = |fields: &[u8]| {
        let size = u32::try_from(fields.len()).unwrap().to_le_bytes();
        [ten, hash, name, &size, fields].concat()
    };
    check(&[&entry(&[&digest[..], b"\x02\0\0\0/\0x"].concat())], EntryFault::Fields);
    check(&[&entry(&[&digest[..], b"\x02\0\0\0/x"].concat())], EntryFault::Path);
    check(&[&entry(&[&digest[..], b"\x03\0\0\0\0x\0"].concat())], EntryFault::Path);
    check(&[&entry(b"\x05\0\0\0sha1:\x02\0\0\0/\0")], EntryFault::Digest);
}

#[test]
fn the_boot_aggregate_covers_the_boot_pcrs() {
    let pcrs: Vec<Value> = (0..10u8).map(|index| Bank::Sha256.hash(&[&[index]])).collect();
    let joined: Vec<u8> = pcrs.iter().flat_map(|value| value.as_bytes().to_vec()).collect();
    assert_eq!(boot_aggregate(Bank::Sha256, &pcrs), Some(Bank::Sha256.hash(&[&joined])));
    assert_eq!(boot_aggregate(Bank::Sha256, &pcrs[..9]), None);
    assert_eq!(boot_aggregate(Bank::Sha1, &pcrs), None);
    let sha1: Vec<Value> = (0..8u8).map(|_| Value::zeros(Bank::Sha1)).collect();
    assert_eq!(boot_aggregate(Bank::Sha1, &sha1), Some(Bank::Sha1.hash(&[&[0; 160]])));
}
