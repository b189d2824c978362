//! `docs/threats.md` names the test of each defence as `` `crate::test_name` ``: each of them exists.

use super::{Finding, Source};

const DOCUMENT: &str = "docs/threats.md";

/// Checks every named test.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(document) = sources.iter().find(|source| source.path == DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, "is missing")];
    };
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(document.text.lines()) {
        for (owner, test) in line.split('`').skip(1).step_by(2).filter_map(named) {
            if !exists(sources, owner, test) {
                let place = format!("{DOCUMENT}:{number}");
                findings.push(Finding::new(place, format!("there is no test `{owner}::{test}`")));
            }
        }
    }
    findings
}

/// `crate::test`, both plain words.
fn named(code: &str) -> Option<(&str, &str)> {
    let (owner, test) = code.split_once("::")?;
    let plain = |text: &str| {
        text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
            && !text.is_empty()
    };
    (plain(owner) && plain(test)).then_some((owner, test))
}

fn exists(sources: &[Source], owner: &str, test: &str) -> bool {
    let (folder, declaration) = match owner {
        "second_verifier" => ("tests/second_verifier/".to_owned(), format!("def {test}(")),
        owner => (format!("crates/{owner}/"), format!("fn {test}(")),
    };
    sources.iter().any(|source| source.path.starts_with(&folder) && source.text.contains(&declaration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let code = source("crates/logs/tests/a.rs", "fn a_thing_is_refused() {}");
        let python = source("tests/second_verifier/test_a.py", "    def test_log(self):");
        let text =
            "| `logs::a_thing_is_refused` `second_verifier::test_log` `std::Mutex` |\n| `logs::gone` |";
        let findings = check(&[code, python, source(DOCUMENT, text)]);
        assert_eq!(findings, vec![Finding::new("docs/threats.md:2", "there is no test `logs::gone`")]);
    }
}
