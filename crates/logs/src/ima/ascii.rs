//! A line of `ascii_runtime_measurements` (Linux, `ima_ascii_measurements_show`).

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::str;

use super::entry::{Entry, EntryFault, Fields, FileDigest, OLD_DIGEST, TEMPLATE_HASH, Template};
use super::{MAX_EXTRA, MAX_FILE_DIGEST};

/// `10 HASH TEMPLATE DIGEST PATH[ EXTRA]\n`, single spaces, lower-case hex.
pub(super) fn entry(line: &[u8]) -> Result<Entry<'_>, EntryFault> {
    let line = line.strip_suffix(b"\n").ok_or(EntryFault::Truncated)?;
    let (pcr, rest) = word(line)?;
    if pcr != b"10" {
        return Err(EntryFault::Pcr);
    }
    let (hash, rest) = word(rest)?;
    let mut template_hash = [0; TEMPLATE_HASH];
    unhex_into(hash, &mut template_hash).ok_or(EntryFault::Fields)?;
    let (template, rest) = word(rest)?;
    let template = Template::from_name(template).ok_or(EntryFault::Template)?;
    let (digest, rest) = word(rest)?;
    let digest = match template {
        Template::Ima => old_digest(digest),
        Template::ImaNg | Template::ImaSig | Template::ImaBuf => named_digest(digest),
    }
    .ok_or(EntryFault::Digest)?;
    let (path, extra) = if template.has_extra() {
        // The space stands there also when the field is empty; a path has none (the kernel writes underscores).
        let space = rest.iter().rposition(|byte| *byte == b' ').ok_or(EntryFault::Fields)?;
        let (path, extra) = rest.split_at_checked(space).ok_or(EntryFault::Fields)?;
        (path, unhex(extra.get(1..).unwrap_or_default())?)
    } else {
        (rest, Vec::new())
    };
    Entry::recomputed(Fields { template, digest, path, extra: Cow::Owned(extra) }, template_hash)
}

fn word(line: &[u8]) -> Result<(&[u8], &[u8]), EntryFault> {
    let space = line.iter().position(|byte| *byte == b' ').ok_or(EntryFault::Fields)?;
    let (word, rest) = line.split_at_checked(space).ok_or(EntryFault::Fields)?;
    Ok((word, rest.get(1..).unwrap_or_default()))
}

fn old_digest(text: &[u8]) -> Option<FileDigest<'static>> {
    let mut digest = [0; OLD_DIGEST];
    unhex_into(text, &mut digest)?;
    FileDigest::new("sha1", &digest)
}

fn named_digest(text: &[u8]) -> Option<FileDigest<'_>> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (algorithm, hex) = text.split_at_checked(colon)?;
    let hex = hex.get(1..)?;
    let mut digest = [0; MAX_FILE_DIGEST];
    let digest = digest.get_mut(..hex.len() / 2)?;
    unhex_into(hex, digest)?;
    FileDigest::new(str::from_utf8(algorithm).ok()?, digest)
}

fn unhex(text: &[u8]) -> Result<Vec<u8>, EntryFault> {
    if text.len() / 2 > MAX_EXTRA {
        return Err(EntryFault::ExtraTooLarge);
    }
    let mut bytes = alloc::vec![0; text.len() / 2];
    unhex_into(text, &mut bytes).ok_or(EntryFault::Fields)?;
    Ok(bytes)
}

fn unhex_into(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != bytes.len().checked_mul(2)? {
        return None;
    }
    for (pair, byte) in text.chunks_exact(2).zip(bytes) {
        let &[high, low] = pair else { return None };
        *byte = (nibble(high)? << 4) | nibble(low)?;
    }
    Some(())
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
