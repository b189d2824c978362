//! Reason codes: `docs/formats.md` lists exactly those that the code has.
//!
//! Code declares them as `pub const CODES: &[&str] = &["…", …];`, or in a macro whose rows are `Variant "code" …`, or as the
//! arms of `fn code` in a file of [`ARMS`], or as the rows of [`PROBLEMS`]; the document has them as the first cell of table
//! rows between `<!-- codes:begin -->` and `<!-- codes:end -->`.

use std::collections::BTreeSet;

use super::{Finding, Source};

const DOCUMENT: &str = "docs/formats.md";
const DECLARATION: &str = "pub const CODES: &[&str]";
/// Files whose codes stand in the arms of a `match`: `… => "code",`.
const ARMS: &[&str] = &[
    "crates/facade/src/refusal.rs",
    "crates/controller/src/reason.rs",
    "crates/lifecycle/src/countdown.rs",
    "crates/sandbox/src/feature.rs",
    "crates/workload/src/launch.rs",
];
/// The file whose codes stand in rows `Variant = "code", status, "title";`.
const PROBLEMS: &str = "crates/api/src/problem.rs";
const BEGIN: &str = "<!-- codes:begin -->";
const END: &str = "<!-- codes:end -->";

/// Compares both lists.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let code: BTreeSet<&str> = sources
        .iter()
        .filter(|source| source.path.starts_with("crates/") && !source.path.starts_with("crates/xtask/"))
        .flat_map(codes_of)
        .collect();
    let Some(document) = sources.iter().find(|source| source.path == DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, "is missing")];
    };
    let documented = documented(&document.text);
    let unlisted = code.difference(&documented).map(|code| format!("reason code `{code}` is not listed"));
    let unknown = documented.difference(&code).map(|code| format!("reason code `{code}` is in no CODES"));
    unlisted.chain(unknown).map(|text| Finding::new(DOCUMENT, text)).collect()
}

fn codes_of(source: &Source) -> Vec<&str> {
    let mut codes = declared(&source.text);
    if ARMS.contains(&source.path.as_str()) {
        codes.extend(source.text.lines().filter_map(|line| code(line.split_once("=> \"")?.1)));
    }
    if source.path == PROBLEMS {
        codes.extend(source.text.lines().filter_map(|line| row(line, " = \"")));
    }
    codes
}

/// What stands before the next quote, where that is a code.
fn code(rest: &str) -> Option<&str> {
    let code = rest.split('"').next()?;
    let is_code = code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
    (is_code && !code.is_empty()).then_some(code)
}

/// The string literals of every `CODES` list of a file.
fn declared(text: &str) -> Vec<&str> {
    let mut codes = Vec::new();
    for after in text.split(DECLARATION).skip(1) {
        let list = after.split("];").next().unwrap_or_default();
        if list.contains('$') {
            codes.extend(text.lines().filter_map(|line| row(line, " \"")));
        } else {
            codes.extend(list.split('"').skip(1).step_by(2));
        }
    }
    codes
}

/// The code of a row that begins with a variant: `    Variant "code" …`, with what stands between.
fn row<'a>(line: &'a str, between: &str) -> Option<&'a str> {
    let (variant, rest) = line.trim_start().split_once(between)?;
    let is_variant =
        variant.starts_with(|c: char| c.is_ascii_uppercase()) && variant.chars().all(char::is_alphanumeric);
    if is_variant { code(rest) } else { None }
}

/// The first cells of the table rows between the markers.
fn documented(text: &str) -> BTreeSet<&str> {
    let mut codes = BTreeSet::new();
    for after in text.split(BEGIN).skip(1) {
        for row in after.split(END).next().unwrap_or_default().lines() {
            let cell = row.strip_prefix("| `").and_then(|rest| rest.split('`').next());
            codes.extend(cell);
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn both_lists_must_be_the_same() {
        let code = source(
            "crates/x/src/a.rs",
            "pub const CODES: &[&str] = &[\n    \"one\", \"two\",\n];\n\"three\"",
        );
        let table = |rows: &str| {
            source(DOCUMENT, &format!("{BEGIN}\n| code | why |\n|---|---|\n{rows}{END}\n| `x` |"))
        };
        assert_eq!(check(&[source(DOCUMENT, ""), source("crates/x/src/b.rs", "")]), vec![]);
        let same = table("| `one` | a |\n| `two` | b |\n");
        let code = [code, same];
        assert_eq!(check(&code), vec![]);
        let [code, _] = code;
        let other = table("| `one` | a |\n| `four` | b |\n");
        assert_eq!(check(&[code, other]).len(), 2);
    }

    #[test]
    fn lists_that_a_macro_fills_are_read_too() {
        let text = "macro_rules! m {\n pub const CODES: &[&str] = &[$($code),*];\n}\nm! {\n    Big \"too_big\" Form \"it is\"\n}\n";
        assert_eq!(declared(text), ["too_big"]);
    }

    #[test]
    fn a_missing_document_is_found() {
        assert_eq!(check(&[]).len(), 1);
    }
}
