//! Rules about single files: length, module docs, words that must not be in a commit.

use super::{Finding, Source};

const MAX_LINES: usize = 400;
const MAX_TEST_LINES: usize = 600;

/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[("crates/proto/src/v1.rs", "generated")];

/// Written by generators: no rule about how it reads.
const GENERATED: &[&str] = &["crates/proto/src/v1.rs"];

/// The only crate with `unsafe`: it talks to the kernel.
const UNSAFE_ALLOWED: &str = "crates/sandbox/";

/// Words that must not stand in a committed file, in pieces so that this file passes its own check.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/tmp/ba", "sh_jobs"), concat!("/ro", "ot/.cargo")];
const NEVER_IN_CODE: &[(&str, &str)] = &[
    (concat!("#[ig", "nore"), "a test that does not run proves nothing: make it run or delete it"),
    (concat!("to", "do!("), "finish it, or refuse with an error"),
    (concat!("unimpl", "emented!("), "finish it, or refuse with an error"),
    (concat!("db", "g!("), "left over from debugging"),
];

/// Checks every file.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(check_one).collect()
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Recorded evidence holds whatever its machine had; it is data with an origin, not our text.
    if !source.path.starts_with("testdata/") && !source.path.starts_with("fuzz/corpus/") {
        findings.extend(words(source, MACHINE_PATHS.iter().map(|path| (*path, "a path of one machine"))));
    }
    if source.path.ends_with(".rs") && !GENERATED.contains(&source.path.as_str()) {
        findings.extend(words(source, NEVER_IN_CODE.iter().copied()));
        findings.extend(module_docs(source));
        findings.extend(unsafe_code(source));
    }
    if source.path.ends_with(".rs") || source.path.ends_with(".py") {
        findings.extend(length(source));
    }
    findings
}

fn words<'a>(source: &Source, words: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (word, why) in words {
        for (number, line) in (1..).zip(source.text.lines()) {
            if line.contains(word) {
                findings.push(Finding::new(format!("{}:{number}", source.path), format!("`{word}`: {why}")));
            }
        }
    }
    findings
}

fn module_docs(source: &Source) -> Option<Finding> {
    // What `x/tests.rs` is, its name says; the doc of `x.rs` says the rest.
    if source.path.ends_with("/tests.rs") {
        return None;
    }
    let first = source.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    let documented = first.is_some_and(|line| line.starts_with("//! ") && line.len() > "//! ".len());
    (!documented).then(|| Finding::new(&source.path, "opens with a module doc (`//! …`)"))
}

fn unsafe_code(source: &Source) -> Vec<Finding> {
    if source.path.starts_with(UNSAFE_ALLOWED) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(source.text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        let keyword = concat!("uns", "afe");
        let opens = [" {", " fn ", " impl ", " extern ", "("]
            .iter()
            .any(|after| code.contains(&format!("{keyword}{after}")));
        let allows = code.contains("allow(") && code.contains(concat!("uns", "afe_code"));
        if opens || allows {
            findings.push(Finding::new(
                format!("{}:{number}", source.path),
                "unsafe code belongs into crates/sandbox",
            ));
        }
    }
    findings
}

fn length(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    let of_tests = source.path.contains("/tests/")
        || source.path.ends_with("/tests.rs")
        || source.path.starts_with("tests/");
    let limit = if of_tests { MAX_TEST_LINES } else { MAX_LINES };
    let excused = LONGER.iter().any(|(path, _reason)| *path == source.path);
    (lines > limit && !excused).then(|| {
        Finding::new(
            &source.path,
            format!("{lines} lines, at most {limit}: find the second idea and give it a file"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: usize) {
        let findings = check_one(&Source { path: path.to_owned(), text: text.to_owned() });
        assert_eq!(findings.len(), expected, "{path}: {findings:?}");
    }

    #[test]
    fn a_rust_file_opens_with_its_module_doc() {
        check("crates/x/src/a.rs", "//! What it is.\n", 0);
        check("crates/x/src/a.rs", "#![allow(x)]\n\n//! What it is.\n", 0);
        check("crates/x/src/a.rs", "use std::fs;\n//! late\n", 1);
        check("crates/x/src/a.rs", "", 1);
    }

    #[test]
    fn long_files_are_found_and_tests_may_be_longer() {
        let text = |lines: usize| format!("//! Doc.\n{}", "\n".repeat(lines - 1));
        check("crates/x/src/a.rs", &text(MAX_LINES), 0);
        check("crates/x/src/a.rs", &text(MAX_LINES + 1), 1);
        check("crates/x/tests/a.rs", &text(MAX_LINES + 1), 0);
        check("crates/x/src/a/tests.rs", &text(MAX_TEST_LINES + 1), 1);
    }

    #[test]
    fn unfinished_and_unsafe_code_is_found() {
        for word in NEVER_IN_CODE {
            check("crates/x/src/a.rs", &format!("//! Doc.\n{}\n", word.0), 1);
        }
        let block = concat!("//! Doc.\nlet x = uns", "afe { 1 };\n");
        check("crates/x/src/a.rs", block, 1);
        check("crates/sandbox/src/a.rs", block, 0);
        check("crates/x/src/a.rs", concat!("//! Doc.\n#![forbid(uns", "afe_code)]\n"), 0);
    }

    #[test]
    fn paths_of_one_machine_are_found_except_in_recorded_evidence() {
        let text = format!("see {}main\n", MACHINE_PATHS[0]);
        check("docs/a.md", &text, 1);
        check("testdata/ima/a", &text, 0);
    }
}
