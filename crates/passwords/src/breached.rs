//! The operator's file of breached passwords: lines `SHA1:COUNT`, sorted, as the official downloader of Have I Been Pwned writes one file.
//!
//! The file has tens of gigabytes: it is searched by halves, never loaded, and never written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hex digits of a SHA-1.
const HASH: usize = 40;
/// Longest line: the hash, a colon, a count, CR and LF.
const LINE: usize = 64;

/// What to do when the file can't be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    /// Refuse every new password until it can be read again.
    #[default]
    Refuse,
    /// Accept what passes the other rules.
    Accept,
}

/// The operator's file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breached {
    /// Where it is.
    pub file: PathBuf,
    /// Passwords that were seen at least so often are refused.
    #[serde(default = "once")]
    pub seen: u64,
    /// What to do when it can't be read.
    #[serde(default)]
    pub unreadable: Unreadable,
}

const fn once() -> u64 {
    1
}

impl Breached {
    /// Whether the file has this password. It is opened anew each time, so that a newer file counts at once.
    ///
    /// # Errors
    /// Where it can't be read or is not of this format.
    pub(crate) fn contains(&self, password: &[u8]) -> io::Result<bool> {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
        let wanted = names::hex(hash.as_ref()).to_ascii_uppercase();
        let file = File::open(&self.file)?;
        let length = file.metadata()?.len();
        Ok(find(&file, length, wanted.as_bytes())?.is_some_and(|count| count >= self.seen))
    }
}

/// The count beside this hash. Invariant: if its line is there, it begins in `low..high`.
fn find(file: &File, length: u64, wanted: &[u8]) -> io::Result<Option<u64>> {
    if length == 0 {
        return Err(malformed());
    }
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = low + (high - low) / 2;
        let Some((start, line)) = line_from(file, middle, length)? else {
            high = middle;
            continue;
        };
        let (hash, count) = parse(&line)?;
        match hash.to_ascii_uppercase().as_slice().cmp(wanted) {
            std::cmp::Ordering::Equal => return Ok(Some(count)),
            std::cmp::Ordering::Less => low = start + line.len() as u64,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(None)
}

/// The first line that begins at `position` or after it, with its end of line.
fn line_from(file: &File, position: u64, length: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    // One byte earlier: a line begins at `position` when a line ends just before it.
    let from = position.saturating_sub(1);
    let mut bytes = vec![0; 2 * LINE + 1];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    let newline = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
    let skipped = if position == 0 { 0 } else { newline(&bytes).map_or(filled, |at| at + 1) };
    let start = from + skipped as u64;
    if start >= length {
        return Ok(None);
    }
    let rest = bytes.get(skipped..).unwrap_or_default();
    let end = newline(rest).map_or(rest.len(), |at| at + 1);
    Ok(Some((start, rest.get(..end).unwrap_or_default().to_vec())))
}

fn parse(line: &[u8]) -> io::Result<(&[u8], u64)> {
    let (hash, rest) = line.split_at_checked(HASH).ok_or_else(malformed)?;
    let count = rest.strip_prefix(b":").and_then(|rest| std::str::from_utf8(rest).ok());
    let count = count.and_then(|count| count.trim_end().parse().ok()).ok_or_else(malformed)?;
    if hash.iter().all(u8::is_ascii_hexdigit) { Ok((hash, count)) } else { Err(malformed()) }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a file of SHA1:COUNT lines")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use api::Secret;

    use super::*;
    use crate::{Rules, Unacceptable};

    fn sha1(text: &str) -> String {
        names::hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref()).to_ascii_uppercase()
    }

    /// A file as the downloader writes it: sorted, CR LF between lines.
    fn file_of(count: usize, end: &str) -> tempfile::NamedTempFile {
        let mut lines: Vec<String> = (0..count)
            .map(|number| format!("{}:{}", sha1(&format!("known password {number}")), number + 1))
            .collect();
        lines.sort();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all((lines.join(end) + end).as_bytes()).unwrap();
        file
    }

    fn breached(file: &tempfile::NamedTempFile, seen: u64) -> Breached {
        Breached { file: file.path().into(), seen, unreadable: Unreadable::Refuse }
    }

    #[test]
    fn every_line_of_a_sorted_file_is_found_and_nothing_else() {
        for (count, end) in [(1, "\n"), (2, "\r\n"), (3, "\n"), (257, "\r\n"), (1000, "\n")] {
            let file = file_of(count, end);
            let list = breached(&file, 1);
            for number in 0..count {
                let known = format!("known password {number}");
                assert!(list.contains(known.as_bytes()).unwrap(), "{number} of {count}");
                assert!(!list.contains(format!("unknown password {number}").as_bytes()).unwrap());
            }
        }
    }

    #[test]
    fn a_password_that_was_seen_less_often_than_asked_is_accepted() {
        let file = file_of(10, "\r\n");
        assert!(breached(&file, 5).contains(b"known password 4").unwrap());
        assert!(!breached(&file, 6).contains(b"known password 4").unwrap());
    }

    #[test]
    fn a_file_that_can_not_be_read_refuses_or_accepts_as_it_is_set() {
        let password = || Secret::new("an unusual long password".into());
        let missing = |unreadable| Breached { file: "/nonexistent/pwned.txt".into(), seen: 1, unreadable };
        let closed = Rules::new("sealwright", Some(missing(Unreadable::Refuse)));
        assert_eq!(closed.check(&password(), "alice"), Err(Unacceptable::Unchecked));
        let open = Rules::new("sealwright", Some(missing(Unreadable::Accept)));
        assert_eq!(open.check(&password(), "alice"), Ok(()));
        let mut garbage = tempfile::NamedTempFile::new().unwrap();
        garbage.write_all(b"this is no such file\n").unwrap();
        let rules = Rules::new("sealwright", Some(breached(&garbage, 1)));
        assert_eq!(rules.check(&password(), "alice"), Err(Unacceptable::Unchecked));
    }

    #[test]
    fn a_breached_password_can_not_be_set() {
        let file = file_of(100, "\r\n");
        let rules = Rules::new("sealwright", Some(breached(&file, 1)));
        let check = |text: &str| rules.check(&Secret::new(text.into()), "alice");
        assert_eq!(check("known password 42"), Err(Unacceptable::Breached));
        assert_eq!(check("known password 420"), Ok(()));
    }
}
