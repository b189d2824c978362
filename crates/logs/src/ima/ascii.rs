//! A line of `ascii_runtime_measurements` (Linux, `ima_ascii_measurements_show`).

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::str;

use super::entry::{Entry, EntryFault, Fields, FileDigest, OLD_DIGEST, TEMPLATE_HASH, Template};
use super::{MAX_EXTRA, MAX_FILE_DIGEST};

/// The entries of a list; bytes after the last line feed are an incomplete one.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, EntryFault>> {
    let mut scratch = Vec::new();
    lines(bytes).map(move |line| entry(line?, &mut scratch))
}

/// The lines of a list, without their line feeds.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], EntryFault>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((line, following)) = split_at_byte(rest, b'\n') else {
            rest = &[];
            return Some(Err(EntryFault::Truncated));
        };
        rest = following;
        Some(Ok(line))
    })
}

/// `10 HASH TEMPLATE DIGEST PATH[ EXTRA]`, single spaces, lower-case hex. Leaves the template data in `scratch`, except
/// of a violation, which has none that counts.
pub(super) fn entry<'a>(line: &'a [u8], scratch: &mut Vec<u8>) -> Result<Entry<'a>, EntryFault> {
    let Some(rest) = line.strip_prefix(b"10 ") else {
        return Err(if line.contains(&b' ') { EntryFault::Pcr } else { EntryFault::Fields });
    };
    let (hash, rest) = rest.split_at_checked(2 * TEMPLATE_HASH).ok_or(EntryFault::Fields)?;
    let rest = rest.strip_prefix(b" ").ok_or(EntryFault::Fields)?;
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
        let space = memchr::memrchr(b' ', rest).ok_or(EntryFault::Fields)?;
        let (path, extra) = rest.split_at_checked(space).ok_or(EntryFault::Fields)?;
        (path, unhex(extra.get(1..).unwrap_or_default())?)
    } else {
        (rest, Vec::new())
    };
    Entry::recomputed(Fields { template, digest, path, extra: Cow::Owned(extra) }, template_hash, scratch)
}

fn word(line: &[u8]) -> Result<(&[u8], &[u8]), EntryFault> {
    split_at_byte(line, b' ').ok_or(EntryFault::Fields)
}

/// What stands before the first such byte, and what after it.
fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let (before, from) = bytes.split_at_checked(memchr::memchr(byte, bytes)?)?;
    Some((before, from.get(1..)?))
}

fn old_digest(text: &[u8]) -> Option<FileDigest<'static>> {
    let mut digest = [0; OLD_DIGEST];
    unhex_into(text, &mut digest)?;
    FileDigest::new("sha1", &digest)
}

fn named_digest(text: &[u8]) -> Option<FileDigest<'_>> {
    let (algorithm, hex) = split_at_byte(text, b':')?;
    let (mut digest, size) = ([0; MAX_FILE_DIGEST], hex.len() / 2);
    unhex_into(hex, digest.get_mut(..size)?)?;
    FileDigest::of_size(str::from_utf8(algorithm).ok()?, digest, size)
}

fn unhex(text: &[u8]) -> Result<Vec<u8>, EntryFault> {
    if text.len() / 2 > MAX_EXTRA {
        return Err(EntryFault::ExtraTooLarge);
    }
    let mut bytes = alloc::vec![0; text.len() / 2];
    unhex_into(text, &mut bytes).ok_or(EntryFault::Fields)?;
    Ok(bytes)
}

/// A list has a hundred digits in each line. Faults are gathered and nothing branches, so that the compiler makes vector
/// instructions of the loop.
fn unhex_into(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != bytes.len().checked_mul(2)? {
        return None;
    }
    let mut seen = 0;
    for (pair, byte) in text.as_chunks::<2>().0.iter().zip(bytes) {
        let [high, low] = pair.map(nibble);
        seen |= high | low;
        *byte = (high << 4) | (low & 0x0f);
    }
    (seen < NO_DIGIT).then_some(())
}

const fn nibble(digit: u8) -> u8 {
    let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
    let value = if letter < 6 { letter.wrapping_add(10) } else { NO_DIGIT };
    if number < 10 { number } else { value }
}

/// What a byte that is no lower-case hex digit maps to: above every digit, also after `|`.
const NO_DIGIT: u8 = 0x10;
