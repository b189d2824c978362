//! `binary_runtime_measurements` (Linux, `ima_measurements_show`), little-endian.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::str;

use super::entry::{Entry, EntryFault, Fields, FileDigest, OLD_DIGEST, Template};
use super::{MAX_ALGORITHM, MAX_EXTRA, MAX_FILE_DIGEST, MAX_PATH, PCR};
use crate::reader::Reader;

/// The longest template data: the three fields at their largest with their lengths.
const MAX_TEMPLATE_DATA: usize = 12 + MAX_ALGORITHM + 2 + MAX_FILE_DIGEST + MAX_PATH + 1 + MAX_EXTRA;

/// The entries of a list; the first fault ends it.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, EntryFault>> {
    let mut reader = Reader::new(bytes);
    let mut scratch = Vec::new();
    core::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let parsed = entry(&mut reader, &mut scratch);
        if parsed.is_err() {
            reader = Reader::new(&[]);
        }
        Some(parsed)
    })
}

fn entry<'a>(reader: &mut Reader<'a>, scratch: &mut Vec<u8>) -> Result<Entry<'a>, EntryFault> {
    if reader.u32_le().ok_or(EntryFault::Truncated)? != PCR {
        return Err(EntryFault::Pcr);
    }
    let template_hash = reader.array().ok_or(EntryFault::Truncated)?;
    let template = Template::from_name(field(reader, EntryFault::Truncated)?).ok_or(EntryFault::Template)?;
    let fields = match template {
        Template::Ima => old_fields(reader)?,
        Template::ImaNg | Template::ImaSig | Template::ImaBuf => {
            let data = field(reader, EntryFault::Truncated)?;
            if data.len() > MAX_TEMPLATE_DATA {
                return Err(EntryFault::ExtraTooLarge);
            }
            new_fields(template, data)?
        }
    };
    Entry::recomputed(fields, template_hash, scratch)
}

/// The `ima` template has no length before its data and none before its digest.
fn old_fields<'a>(reader: &mut Reader<'a>) -> Result<Fields<'a>, EntryFault> {
    let digest: [u8; OLD_DIGEST] = reader.array().ok_or(EntryFault::Truncated)?;
    let digest = FileDigest::new("sha1", &digest).ok_or(EntryFault::Digest)?;
    let path = field(reader, EntryFault::Truncated)?;
    Ok(Fields { template: Template::Ima, digest, path, extra: Cow::Borrowed(&[]) })
}

fn new_fields(template: Template, data: &[u8]) -> Result<Fields<'_>, EntryFault> {
    let mut reader = Reader::new(data);
    let digest = named_digest(field(&mut reader, EntryFault::Fields)?).ok_or(EntryFault::Digest)?;
    let path = field(&mut reader, EntryFault::Fields)?.strip_suffix(b"\0").ok_or(EntryFault::Path)?;
    let extra = if template.has_extra() { field(&mut reader, EntryFault::Fields)? } else { &[] };
    if !reader.is_empty() {
        return Err(EntryFault::Fields);
    }
    Ok(Fields { template, digest, path, extra: Cow::Borrowed(extra) })
}

/// `algorithm:` NUL digest.
fn named_digest(field: &[u8]) -> Option<FileDigest<'_>> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    let (algorithm, rest) = field.split_at_checked(colon)?;
    FileDigest::new(str::from_utf8(algorithm).ok()?, rest.strip_prefix(b":\0")?)
}

fn field<'a>(reader: &mut Reader<'a>, missing: EntryFault) -> Result<&'a [u8], EntryFault> {
    let size = reader.u32_le().ok_or(missing)?;
    reader.take_u32(size).ok_or(missing)
}
