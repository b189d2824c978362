#![allow(clippy::unwrap_used)]
use std::io;
use std::time::Duration;

use api::{Code, Problem};
use client::{AnswerError, CheckResult, ContextError, ExchangeError, Report, ReportCheck};

use super::*;

fn problem(code: Code, detail: &str) -> Error {
    Error::Problem(Box::new(Problem::new(code, detail.into(), "r-1".into())))
}

fn refused(reason: &str) -> Error {
    let check = ReportCheck {
        name: "level".into(),
        result: CheckResult::Fail,
        reason: Some(reason.into()),
        detail: "the TPM is a software one".into(),
        source: None,
    };
    Error::Refused(Box::new(Report { level: None, trusted: false, checks: vec![check], not_proved: vec![] }))
}

#[test]
fn every_kind_of_error_has_its_exit_code() {
    let refused_connection = || ExchangeError::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
    let cases: Vec<(Error, ExitCode)> = vec![
        (ContextError::Missing("x".into()).into(), ExitCode::NotFound),
        (ContextError::NoFolder.into(), ExitCode::Failed),
        (Error::NobodyLoggedIn, ExitCode::LogInFirst),
        (Error::NotLoggedIn("alice".parse().unwrap()), ExitCode::LogInFirst),
        (Error::Unreachable { at: "x".into(), source: refused_connection() }, ExitCode::Unreachable),
        (Error::Answer { request: "x".into(), source: AnswerError::Status(500) }, ExitCode::Failed),
        (Error::StillStarting { name: "x".into(), waited: Duration::from_secs(1) }, ExitCode::Pending),
        (Error::DidNotStart { name: "x".into(), message: "m".into(), reason: None }, ExitCode::Failed),
        (refused("nonce_mismatch"), ExitCode::Refused),
        (problem(Code::BadCredentials, ""), ExitCode::Failed),
        (problem(Code::TokenMissing, ""), ExitCode::LogInFirst),
        (problem(Code::SessionRevoked, ""), ExitCode::LogInFirst),
        (problem(Code::NotTheOwner, ""), ExitCode::Failed),
        (problem(Code::NotFound, ""), ExitCode::NotFound),
        (problem(Code::NameTaken, ""), ExitCode::Conflict),
        (problem(Code::QuotaExceeded, ""), ExitCode::Conflict),
        (problem(Code::Busy, ""), ExitCode::Unreachable),
        (problem(Code::Internal, ""), ExitCode::Failed),
    ];
    for (error, exit) in cases {
        let text = error.to_string();
        assert_eq!(Failure::from(error).exit, exit, "{text}");
    }
}

#[test]
fn a_problem_shows_code_request_and_next_step() {
    let text = Failure::from(problem(Code::QuotaExceeded, "4 of 4 enclaves are active")).render();
    let expected = "error: 4 of 4 enclaves are active\n\
        \x20 code: quota_exceeded\n\
        \x20 request: r-1\n\
        \x20 next: sealwright enclave delete NAME\n";
    assert_eq!(text, expected);
}

#[test]
fn a_start_without_a_licence_says_why_and_who_issues_one() {
    let mut refused = Problem::new(Code::LicenseRefused, "there is no such license".into(), "r-1".into());
    refused.validation = Some("NOT_FOUND".into());
    let text = Failure::from(Error::Problem(Box::new(refused))).render();
    assert!(text.contains("  why: the licences say NOT_FOUND\n  code: license_refused\n"), "{text}");
    assert!(text.contains("  next: sealwright license list; an admin issues one:"), "{text}");
}

#[test]
fn a_lost_server_shows_the_cause_once() {
    let cause = io::Error::from(io::ErrorKind::ConnectionRefused);
    let at = "the gateway at https://localhost:1".to_owned();
    let text = Failure::from(Error::Unreachable { at, source: ExchangeError::Connect(cause) }).render();
    let expected = "error: cannot reach the gateway at https://localhost:1\n\
        \x20 why: connection refused\n\
        \x20 next: is it running? sealwright up; sealwright doctor tells what is missing\n";
    assert_eq!(text, expected);
}

#[test]
fn a_software_tpm_is_refused_with_the_flag_that_accepts_it() {
    let text = Failure::from(refused("level_simulated")).render();
    let expected = "error: attestation refused\n\
        \x20 why: the TPM is a software one\n\
        \x20 code: level_simulated\n\
        \x20 next: add --allow-simulated if a software TPM is good enough this time\n";
    assert_eq!(text, expected);
    assert!(!Failure::from(refused("nonce_mismatch")).render().contains("--allow-simulated"));
}

#[test]
fn text_of_a_server_stays_on_its_line() {
    let text = Failure::from(problem(Code::Malformed, "a\nerror: forged\x1b[2J")).render();
    assert_eq!(text.matches("\nerror").count(), 0, "{text}");
    assert!(!text.contains('\x1b'));
}
