//! What an ELF file asks its loader for: the interpreter, the shared objects, the directories it adds.
//!
//! Offsets come from the file and are never trusted: everything goes through checked look-ups.

use elf::ElfBytes;
use elf::abi::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, PT_INTERP, PT_LOAD};
use elf::endian::AnyEndian;

/// First bytes of an ELF file.
pub(crate) const MAGIC: &[u8] = b"\x7fELF";
const MAX_NEEDED: usize = 1024;

/// The dynamic part of one ELF file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Path of the loader; libraries and static programs have none.
    pub(crate) interpreter: Option<String>,
    /// Names of shared objects.
    pub(crate) needed: Vec<String>,
    /// Directories of `DT_RUNPATH` or `DT_RPATH`, not expanded.
    pub(crate) directories: Vec<String>,
    /// Machine and word size: only objects of the same kind fit.
    pub(crate) kind: (u16, bool),
}

/// Reads it; `None` where the bytes are no well-formed ELF file.
pub(crate) fn wants(bytes: &[u8]) -> Option<Wants> {
    let file = ElfBytes::<AnyEndian>::minimal_parse(bytes).ok()?;
    let wide = matches!(file.ehdr.class, elf::file::Class::ELF64);
    let mut wants = Wants { kind: (file.ehdr.e_machine, wide), ..Wants::default() };
    let Some(segments) = file.segments() else { return Some(wants) };
    if let Some(header) = segments.iter().find(|segment| segment.p_type == PT_INTERP) {
        let text = file.segment_data(&header).ok()?;
        wants.interpreter = Some(text_at(text, 0)?);
    }
    let Some(dynamic) = file.dynamic().ok()? else { return Some(wants) };
    let value = |tag: i64| dynamic.iter().find(|entry| entry.d_tag == tag).map(|entry| entry.d_val());
    let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else { return Some(wants) };
    let home =
        segments.iter().find(|s| s.p_type == PT_LOAD && address.wrapping_sub(s.p_vaddr) < s.p_filesz)?;
    let start = usize::try_from(home.p_offset.checked_add(address - home.p_vaddr)?).ok()?;
    let strings = bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)?;
    for entry in dynamic.iter() {
        if entry.d_tag == DT_NEEDED && wants.needed.len() < MAX_NEEDED {
            wants.needed.push(text_at(strings, entry.d_val())?);
        } else if entry.d_tag == DT_RUNPATH || entry.d_tag == DT_RPATH {
            let list = text_at(strings, entry.d_val())?;
            wants.directories.extend(list.split(':').filter(|part| !part.is_empty()).map(str::to_owned));
        }
    }
    Some(wants)
}

fn text_at(strings: &[u8], offset: u64) -> Option<String> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let text = rest.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec()).ok()
}
