//! Reason codes: `docs/formats.md` lists exactly those that the code has.
//!
//! Code declares them as `pub const CODES: &[&str] = &["…", …];`, or in a macro whose rows are `Variant "code" …`; the document has them as the first cell of table
//! rows between `<!-- codes:begin -->` and `<!-- codes:end -->`.

use std::collections::BTreeSet;

use super::{Finding, Source};

const DOCUMENT: &str = "docs/formats.md";
const DECLARATION: &str = "pub const CODES: &[&str]";
const BEGIN: &str = "<!-- codes:begin -->";
const END: &str = "<!-- codes:end -->";

/// Compares both lists.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let code: BTreeSet<&str> = sources
        .iter()
        .filter(|source| source.path.starts_with("crates/") && !source.path.starts_with("crates/xtask/"))
        .flat_map(|source| declared(&source.text))
        .collect();
    let Some(document) = sources.iter().find(|source| source.path == DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, "is missing")];
    };
    let documented = documented(&document.text);
    let unlisted = code.difference(&documented).map(|code| format!("reason code `{code}` is not listed"));
    let unknown = documented.difference(&code).map(|code| format!("reason code `{code}` is in no CODES"));
    unlisted.chain(unknown).map(|text| Finding::new(DOCUMENT, text)).collect()
}

/// The string literals of every `CODES` list of a file.
fn declared(text: &str) -> Vec<&str> {
    let mut codes = Vec::new();
    for after in text.split(DECLARATION).skip(1) {
        let list = after.split("];").next().unwrap_or_default();
        if list.contains('$') {
            codes.extend(text.lines().filter_map(macro_row));
        } else {
            codes.extend(list.split('"').skip(1).step_by(2));
        }
    }
    codes
}

/// The code of a row `    Variant "code" …` of the macro that fills a list.
fn macro_row(line: &str) -> Option<&str> {
    let (variant, rest) = line.trim_start().split_once(" \"")?;
    let is_variant =
        variant.starts_with(|c: char| c.is_ascii_uppercase()) && variant.chars().all(char::is_alphanumeric);
    let code = rest.split('"').next()?;
    let is_code = code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (is_variant && is_code && !code.is_empty()).then_some(code)
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
