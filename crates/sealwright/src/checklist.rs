//! A verification as a person reads it: every check with what it means and who says so, then what is not proved.

use client::{CheckResult, Report};

use crate::output::{Colour, tame};

/// The source of checks that need no word of anybody.
const SELF: &str = "the evidence itself";

/// The check list, then the verdict, then what is not proved.
pub(crate) fn render(title: &str, report: &Report, colour: Colour) -> String {
    let mut text = format!("{}\n", tame(title));
    for check in &report.checks {
        let name = check.name.replace(['_', '-'], " ");
        let mark = match check.result {
            CheckResult::Pass => colour.green("✓"),
            CheckResult::Fail => colour.red("✗"),
            CheckResult::Skipped => colour.dim("·"),
        };
        let mut line = format!("  {mark} {name:<22} {}", tame(&check.detail));
        if let Some(reason) = &check.reason {
            line.push_str(&colour.red(&format!(" [{}]", tame(reason))));
        }
        // Who answers for what the evidence itself shows needs no saying on each line.
        if let Some(source) = check.source.as_deref().filter(|source| *source != SELF) {
            line.push_str(&colour.dim(&format!(" ({})", tame(source))));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&verdict(report, colour));
    if !report.not_proved.is_empty() {
        text.push_str("not proved:\n");
        for gap in &report.not_proved {
            text.push_str(&format!("  - {}\n", tame(&gap.text)));
        }
    }
    text
}

fn verdict(report: &Report, colour: Colour) -> String {
    let level = report.level.map_or("none", |level| level.as_str());
    match report.trusted {
        true => format!("trusted: {}, level {level}\n", colour.green("yes")),
        false => format!("trusted: {}, level {level}\n", colour.red("no")),
    }
}

#[cfg(test)]
mod tests {
    use client::{ReportCheck, ReportGap};

    use super::*;

    fn check(
        name: &str,
        result: CheckResult,
        reason: Option<&str>,
        detail: &str,
        source: Option<&str>,
    ) -> ReportCheck {
        ReportCheck {
            name: name.into(),
            result,
            reason: reason.map(Into::into),
            detail: detail.into(),
            source: source.map(Into::into),
        }
    }

    #[test]
    fn a_refusal_names_the_failed_check_and_what_came_after_it() {
        let report = Report {
            level: None,
            trusted: false,
            checks: vec![
                check("form", CheckResult::Pass, None, "The bundle can be read", None),
                check(
                    "challenge",
                    CheckResult::Fail,
                    Some("nonce_mismatch"),
                    "it answers another nonce",
                    None,
                ),
                check("quote", CheckResult::Skipped, None, "", None),
            ],
            not_proved: vec![],
        };
        let expected = "enclave notes\n\
            \x20 ✓ form                   The bundle can be read\n\
            \x20 ✗ challenge              it answers another nonce [nonce_mismatch]\n\
            \x20 · quote\n\
            trusted: no, level none\n";
        assert_eq!(render("enclave notes", &report, Colour::Plain), expected);
    }

    #[test]
    fn a_proof_names_sources_and_what_is_not_proved() {
        let report = Report {
            level: Some(names::Level::Simulated),
            trusted: true,
            checks: vec![check("version", CheckResult::Pass, None, "runs hello 1.0.0", Some("user file"))],
            not_proved: vec![ReportGap { name: "hardware".into(), text: "anything about hardware".into() }],
        };
        let expected = "t\n\
            \x20 ✓ version                runs hello 1.0.0 (user file)\n\
            trusted: yes, level simulated\n\
            not proved:\n\
            \x20 - anything about hardware\n";
        assert_eq!(render("t", &report, Colour::Plain), expected);
    }

    #[test]
    fn text_of_others_cannot_forge_lines() {
        let report = Report {
            level: None,
            trusted: false,
            checks: vec![check("x", CheckResult::Fail, None, "a\n  ✓ all good\x1b[2A", None)],
            not_proved: vec![],
        };
        let text = render("t", &report, Colour::Plain);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\x1b'));
    }
}
