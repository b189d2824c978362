//! The forged node's logs: a small boot log in the crypto-agile format, and a short IMA list.

use logs::ima::Entry;
use names::Digest;

use crate::world::{AGENT, AGENT_PATH, FACADE, FACADE_PATH};

/// TCG PC Client PFP, 10.4.5.1: header event, SHA-1 digest of zeros, SHA-256 as the only bank.
#[must_use]
pub(crate) fn boot_log(events: &[(u32, u32, &[u8])]) -> Vec<u8> {
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

/// A version and the separators of PCR 0 to 7.
pub const BOOT_LOG: fn() -> Vec<u8> = || {
    let mut events: Vec<(u32, u32, &[u8])> = vec![(0, EV_S_CRTM_VERSION, b"v1\0")];
    events.extend((0..8).map(|pcr| (pcr, EV_SEPARATOR, [0u8; 4].as_slice())).collect::<Vec<_>>());
    boot_log(&events)
};

/// The agent, the facade, and one more program.
pub const IMA_LIST: fn() -> Vec<u8> = || {
    let files = [(AGENT_PATH, AGENT), (FACADE_PATH, FACADE), ("/usr/bin/true", Digest::from_bytes([0x77; 32]))];
    let line = |(path, digest): (&str, Digest)| {
        Entry::measured(path.as_bytes(), &digest).expect("the path is measurable").to_ascii()
    };
    files.map(line).concat()
};
