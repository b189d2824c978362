//! The outcome of a verification as people and scripts see it: every check, and what is not proved.

use ::names::Level;
use appraisal::{Check, NotProved, Outcome, Refused, Trusted};
use evidence::{Rejected, Step};
use serde::Serialize;

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// Not decided: an earlier check failed, or a record can't show it.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportCheck {
    /// Stable name.
    pub name: String,
    /// How it came out.
    pub result: CheckResult,
    /// Stable reason code of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For people: what it means, or what was found.
    pub detail: String,
    /// On whose word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Something that a reader might believe and should not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportGap {
    /// Stable name.
    pub name: String,
    /// For people.
    pub text: String,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the chain of anchors is worth; absent where no chain was proved.
    pub level: Option<Level>,
    /// Whether every check holds.
    pub trusted: bool,
    /// Every check, in the order in which they were made.
    pub checks: Vec<ReportCheck>,
    /// What this does not prove.
    pub not_proved: Vec<ReportGap>,
}

impl Report {
    /// The reason code of the first failed check.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.checks
            .iter()
            .find(|check| check.result == CheckResult::Fail)
            .and_then(|check| check.reason.as_deref())
    }

    /// Evidence that does not hold at all: the steps before the failing one passed, those after it were not done.
    pub(crate) fn of_rejected(rejected: Rejected) -> Self {
        let failed = rejected.step();
        let checks = Step::ALL.iter().map(|step| {
            let result = match step {
                _ if *step == failed => CheckResult::Fail,
                // Some of the key's checks come before the quote's signature.
                Step::Quote if failed == Step::Key => CheckResult::Skipped,
                _ if *step < failed => CheckResult::Pass,
                _ => CheckResult::Skipped,
            };
            let (reason, detail) = match result {
                CheckResult::Fail => (Some(rejected.code().to_owned()), rejected.to_string()),
                CheckResult::Pass => (None, step.meaning().to_owned()),
                CheckResult::Skipped => (None, "not decided".to_owned()),
            };
            ReportCheck { name: step.name().into(), result, reason, detail, source: None }
        });
        Self { level: None, trusted: false, checks: checks.collect(), not_proved: Vec::new() }
    }

    pub(crate) fn of_refused(refused: &Refused) -> Self {
        Self::of_judgement(refused.level, false, &refused.checks, &refused.not_proved)
    }

    pub(crate) fn of_trusted(trusted: &Trusted) -> Self {
        Self::of_judgement(trusted.level(), true, trusted.checks(), trusted.not_proved())
    }

    pub(crate) fn of_recorded(report: &appraisal::Report) -> Self {
        Self::of_judgement(report.level, report.would_be_trusted, &report.checks, &report.not_proved)
    }

    fn of_judgement(level: Level, trusted: bool, checks: &[Check], not_proved: &[NotProved]) -> Self {
        let checks = checks.iter().map(|check| {
            let (result, reason, detail) = match check.outcome {
                Outcome::Pass => (CheckResult::Pass, None, check.meaning.to_owned()),
                Outcome::Fail(reason) => {
                    (CheckResult::Fail, Some(reason.code().to_owned()), reason.to_string())
                }
            };
            let source = Some(check.source.clone());
            ReportCheck { name: check.name.into(), result, reason, detail, source }
        });
        let gaps = not_proved.iter().map(|gap| ReportGap { name: gap.name.into(), text: gap.text.clone() });
        Self { level: Some(level), trusted, checks: checks.collect(), not_proved: gaps.collect() }
    }

    /// Turns it into what a record can show: nobody asked, and nothing is known of the time since.
    pub(crate) fn recorded_at(mut self, at: u64) -> Self {
        for check in &mut self.checks {
            let is = |step: Step| check.name == step.name() && check.result == CheckResult::Pass;
            if is(Step::Challenge) {
                check.result = CheckResult::Skipped;
                check.detail = "a record: whose question it answered is not asked".into();
                check.source = None;
            } else if is(Step::Channel) {
                check.detail = "It speaks of the certificate that it holds".into();
            }
        }
        let text = format!("that it is still so: this is a record, judged as of {}", crate::time::format(at));
        self.not_proved.insert(0, ReportGap { name: "recorded".into(), text });
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_rejection_fails_its_own_step_and_decides_none_after_it() {
        for rejected in Rejected::ALL {
            let report = Report::of_rejected(*rejected);
            assert!(!report.trusted);
            assert_eq!(report.reason(), Some(rejected.code()));
            let failed = report.checks.iter().position(|check| check.result == CheckResult::Fail).unwrap();
            assert!(report.checks[failed + 1..].iter().all(|check| check.result == CheckResult::Skipped));
        }
    }

    #[test]
    fn a_failed_key_says_nothing_of_the_quote() {
        let report = Report::of_rejected(Rejected::KeyAttributes);
        let quote = report.checks.iter().find(|check| check.name == "quote").unwrap();
        assert_eq!(quote.result, CheckResult::Skipped);
    }

    #[test]
    fn a_record_answers_nobodys_question() {
        let report = Report::of_rejected(Rejected::QuoteSignature).recorded_at(0);
        let challenge = report.checks.iter().find(|check| check.name == "challenge").unwrap();
        assert_eq!(challenge.result, CheckResult::Skipped);
        assert!(report.not_proved[0].text.ends_with("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn json_has_the_shape_of_the_contract() {
        let report = Report {
            level: Some(Level::Simulated),
            trusted: false,
            checks: vec![ReportCheck {
                name: "level".into(),
                result: CheckResult::Fail,
                reason: Some("level_simulated".into()),
                detail: "d".into(),
                source: Some("s".into()),
            }],
            not_proved: vec![ReportGap { name: "hardware".into(), text: "t".into() }],
        };
        let expected = serde_json::json!({
            "level": "simulated",
            "trusted": false,
            "checks": [
                {"name": "level", "result": "fail", "reason": "level_simulated", "detail": "d", "source": "s"}
            ],
            "not_proved": [{"name": "hardware", "text": "t"}],
        });
        assert_eq!(serde_json::to_value(report).unwrap(), expected);
    }
}
