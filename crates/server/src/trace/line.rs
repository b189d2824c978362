//! A finished span as one line of text, for a process that has no way out but a pipe.
//!
//! The reader trusts nobody: everything in a line has a bound, and a line that breaks one is no span.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Record;
use super::layer::{ATTRIBUTE_CHARS, ATTRIBUTES};

/// Bytes of a line, at most.
pub const LINE_BYTES: usize = 1024;
/// Characters of a name.
const NAME: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    context: String,
    parent: Option<String>,
    name: String,
    /// Microseconds after the epoch.
    began: u64,
    ended: u64,
    failed: bool,
    attributes: Vec<(String, String)>,
}

impl Record {
    /// The span as one line without its end; without its attributes where they don't fit. `None` where even that does not.
    #[must_use]
    pub fn to_line(&self) -> Option<String> {
        let mut line = Line {
            context: self.context.to_string(),
            parent: self.parent.map(|parent| parent.to_string()),
            name: self.name.clone(),
            began: micros(self.began),
            ended: micros(self.ended),
            failed: self.failed,
            attributes: self.attributes.clone(),
        };
        let whole = serde_json::to_string(&line).ok()?;
        if whole.len() <= LINE_BYTES {
            return Some(whole);
        }
        line.attributes.clear();
        serde_json::to_string(&line).ok().filter(|text| text.len() <= LINE_BYTES)
    }

    /// Reads [`Record::to_line`] back.
    #[must_use]
    pub fn from_line(text: &str) -> Option<Self> {
        if text.len() > LINE_BYTES {
            return None;
        }
        let line: Line = serde_json::from_str(text).ok()?;
        let texts = line.attributes.iter().flat_map(|(key, value)| [key, value]);
        let short = texts.into_iter().all(|text| text.chars().count() <= ATTRIBUTE_CHARS);
        let printable = !line.name.chars().any(char::is_control);
        let bounded = line.name.chars().count() <= NAME && line.attributes.len() <= ATTRIBUTES;
        if !(short && printable && bounded && line.began <= line.ended) {
            return None;
        }
        Some(Self {
            context: line.context.parse().ok()?,
            parent: line.parent.map(|parent| parent.parse()).transpose().ok()?,
            name: line.name,
            began: time(line.began)?,
            ended: time(line.ended)?,
            attributes: line.attributes,
            failed: line.failed,
        })
    }
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn time(micros: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CONTEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn record() -> Record {
        let began = UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456);
        Record {
            context: CONTEXT.parse().unwrap(),
            parent: Some("00f067aa0ba902b7".parse().unwrap()),
            name: "certify".into(),
            began,
            ended: began + Duration::from_micros(77),
            attributes: vec![("what".into(), "a \"key\"\nand more".into())],
            failed: true,
        }
    }

    #[test]
    fn a_span_comes_back_from_its_line_and_a_line_is_one_line() {
        let line = record().to_line().unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(Record::from_line(&line), Some(record()));
    }

    #[test]
    fn attributes_that_do_not_fit_are_left_out() {
        let long = Record { attributes: vec![("what".into(), "x".repeat(LINE_BYTES)); 3], ..record() };
        let back = Record::from_line(&long.to_line().unwrap()).unwrap();
        assert_eq!((back.attributes, back.name), (vec![], record().name));
    }

    #[test]
    fn a_line_that_breaks_a_bound_is_no_span() {
        let line = record().to_line().unwrap();
        let zero = CONTEXT.replace("00f067aa0ba902b7", "0000000000000000");
        for wrong in [
            String::new(),
            "{}".into(),
            line.replace(CONTEXT, &zero),
            line.replace(CONTEXT, "00-zz"),
            line.replace("certify", &"n".repeat(NAME + 1)),
            line.replace("certify", "a\\u0007"),
            line.replace("\"failed\"", "\"other\""),
            line.replace("1800000000123456", "1900000000123456"),
            line.replace("certify", &"n".repeat(LINE_BYTES)),
        ] {
            assert_eq!(Record::from_line(&wrong), None, "{wrong}");
        }
    }
}
