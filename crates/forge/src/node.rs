//! The forged node's logs: a small boot log in the crypto-agile format, and a short IMA list.

use logs::ima::Entry;
use names::Digest;

use crate::world::{AGENT, AGENT_PATH, FACADE, FACADE_PATH, OTHER, OTHER_PATH};

/// TCG PC Client PFP, 10.4.5.1: header event, SHA-1 digest of zeros, SHA-256 as the only bank.
/// Events are PCR, type and data; the digest is over the data.
#[must_use]
pub fn boot_log(events: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0".to_vec();
    spec.extend_from_slice(&0u32.to_le_bytes());
    spec.extend_from_slice(&[0, 2, 0, 2]);
    spec.extend_from_slice(&1u32.to_le_bytes());
    spec.extend_from_slice(&0x000bu16.to_le_bytes());
    spec.extend_from_slice(&32u16.to_le_bytes());
    spec.push(0);
    let mut log = Vec::new();
    log.extend_from_slice(&0u32.to_le_bytes());
    log.extend_from_slice(&3u32.to_le_bytes());
    log.extend_from_slice(&[0; 20]);
    log.extend_from_slice(&(spec.len() as u32).to_le_bytes());
    log.extend_from_slice(&spec);
    for (pcr, kind, data) in events {
        log.extend_from_slice(&pcr.to_le_bytes());
        log.extend_from_slice(&kind.to_le_bytes());
        log.extend_from_slice(&1u32.to_le_bytes());
        log.extend_from_slice(&0x000bu16.to_le_bytes());
        log.extend_from_slice(Digest::of(data).as_bytes());
        log.extend_from_slice(&(data.len() as u32).to_le_bytes());
        log.extend_from_slice(data);
    }
    log
}

const EV_SEPARATOR: u32 = 4;
const EV_S_CRTM_VERSION: u32 = 8;
const EV_EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
/// EFI_GLOBAL_VARIABLE (UEFI, 3.3), its first three parts little-endian.
const GLOBAL_VARIABLE: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];

/// A version and the separators of PCR 0 to 7.
pub const BOOT_LOG: fn() -> Vec<u8> = || {
    let mut events: Vec<(u32, u32, &[u8])> = vec![(0, EV_S_CRTM_VERSION, b"v1\0")];
    events.extend((0..8).map(|pcr| (pcr, EV_SEPARATOR, [0u8; 4].as_slice())));
    boot_log(&events)
};

/// As [`BOOT_LOG`], after firmware measured this value of the variable `SecureBoot`.
#[must_use]
pub fn boot_log_with_secure_boot(value: u8) -> Vec<u8> {
    let name: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let sizes = [10u64.to_le_bytes(), 1u64.to_le_bytes()].concat();
    let variable = [GLOBAL_VARIABLE.as_slice(), &sizes, &name, &[value]].concat();
    let mut events: Vec<(u32, u32, &[u8])> = vec![(7, EV_EFI_VARIABLE_DRIVER_CONFIG, &variable)];
    events.extend((0..8).map(|pcr| (pcr, EV_SEPARATOR, [0u8; 4].as_slice())));
    boot_log(&events)
}

/// Lines of `ascii_runtime_measurements` for these files.
#[must_use]
pub fn ima_list(files: &[(&str, Digest)]) -> Vec<u8> {
    let line = |(path, digest): &(&str, Digest)| {
        Entry::measured(path.as_bytes(), digest).expect("the path is measurable").to_ascii()
    };
    files.iter().map(line).collect::<Vec<_>>().concat()
}

/// The agent, the facade, and one more program.
pub const IMA_LIST: fn() -> Vec<u8> =
    || ima_list(&[(AGENT_PATH, AGENT), (FACADE_PATH, FACADE), (OTHER_PATH, OTHER)]);
