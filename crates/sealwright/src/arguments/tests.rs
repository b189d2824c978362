#![allow(clippy::unwrap_used)]
use std::time::Duration;

use client::Lifetimes;

use super::*;

fn parse(line: &str) -> Result<Invocation, clap::Error> {
    read(line.split_whitespace().map(OsString::from), Environment::default())
}

fn command_of(line: &str) -> Command {
    parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).command
}

#[test]
fn clap_finds_no_fault_in_the_definitions() {
    definition().debug_assert();
}

#[test]
fn every_verb_of_the_contract_is_understood() {
    for line in [
        "sealwright up",
        "sealwright up --data d --listen 127.0.0.1:0 --ready-file r --tpm device:/dev/tpmrm0 --config c",
        "sealwright auth signup alice --password-stdin",
        "sealwright auth login alice",
        "sealwright auth login alice --device",
        "sealwright auth totp enable --password-stdin",
        "sealwright auth totp disable",
        "sealwright auth recovery-codes",
        "sealwright auth sessions",
        "sealwright auth revoke --others",
        "sealwright auth password --password-stdin",
        "sealwright admin grant alice --data d",
        "sealwright admin grant alice --database sqlite:d/db.sqlite",
        "sealwright admin disable mallory --yes",
        "sealwright enclave logs notes -f",
        "sealwright enclave extend notes --by 30m",
        "sealwright enclave cancel notes",
        "sealwright auth logout",
        "sealwright auth status -o json",
        "sealwright app publish app.yaml",
        "sealwright app list",
        "sealwright app show hello",
        "sealwright app digest app.yaml",
        "sealwright enclave create notes --app hello --no-wait",
        "sealwright enclave list",
        "sealwright enclave show notes",
        "sealwright enclave logs notes",
        "sealwright enclave stop notes",
        "sealwright enclave start notes --timeout 5m",
        "sealwright enclave delete notes --yes",
        "sealwright enclave verify notes --save x.evidence.json --allow-simulated",
        "sealwright enclave request notes GET / --data -",
        "sealwright verify x.evidence.json --at 0 --policy p --allow-simulated",
        "sealwright doctor",
        "sealwright demo",
        "sealwright gateway --config c --check-config",
        "sealwright facade --config c",
        "sealwright --user bob --context c context show",
        "sealwright context list",
        "sealwright context show work",
        "sealwright context use data/client/context.json",
        "sealwright context create work --gateway https://h:1 --edge h:2 --ca f --level tpm --allow-simulated",
        "sealwright context create work --gateway https://h:1 --edge h:2 --fingerprint 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "sealwright context set simulated refused",
        "sealwright context delete work --yes",
        "sealwright enclave connect notes",
        "sealwright enclave connect notes --socket s --proof-age 30s --allow-simulated",
        "sealwright enclave connect notes --tcp",
        "sealwright enclave connect notes --tcp 127.0.0.1:4000",
        "sealwright enclave list -o wide",
        "sealwright enclave list -o text",
        "sealwright completion bash",
        "sealwright man --dir d",
    ] {
        command_of(line);
    }
}

#[test]
fn choices_become_types() {
    assert_eq!(
        command_of("sealwright enclave request notes post /a --data body"),
        Command::Enclave(Enclave::Request {
            name: "notes".parse().unwrap(),
            method: Method("POST".into()),
            path: "/a".into(),
            body: Body::File("body".into()),
            trust: TrustOptions { simulated: Simulated::AsContext, policy: None },
        })
    );
    assert_eq!(
        command_of("sealwright enclave create notes --app hello"),
        Command::Enclave(Enclave::Create {
            name: "notes".parse().unwrap(),
            app: "hello".parse().unwrap(),
            version: VersionChoice::Newest,
            lifetimes: Lifetimes::default(),
            wait: Wait::AtMost(Duration::from_secs(120)),
        })
    );
}

#[test]
fn a_command_line_without_sense_is_a_usage_error() {
    for line in [
        "sealwright",
        "sealwright frobnicate",
        "sealwright auth login",
        "sealwright auth login Alice",
        "sealwright auth login alice --password secret",
        "sealwright enclave create notes",
        "sealwright enclave create a/b --app hello",
        "sealwright enclave create notes --app hello --no-wait --timeout 5s",
        "sealwright enclave request notes FETCH /",
        "sealwright enclave request notes GET relative",
        "sealwright verify f --at yesterday",
        "sealwright up --tpm mssim",
        "sealwright up --listen nowhere",
        "sealwright -o yaml enclave list",
        "sealwright auth revoke",
        "sealwright auth revoke ../users",
        "sealwright admin grant alice --data d --database d/db.sqlite",
        "sealwright enclave connect notes --tcp localhost",
        "sealwright enclave connect notes --tcp --socket s",
        "sealwright context create A/B --gateway https://h:1 --edge h:2 --ca f",
        "sealwright context create work --gateway http://h:1 --edge h:2 --ca f",
        "sealwright context create work --gateway https://h:1 --edge h:2",
        "sealwright context create work --gateway https://h:1 --edge h:2 --fingerprint 0011",
        "sealwright context set simulated maybe",
        "sealwright completion powershell",
    ] {
        let error = parse(line).err().unwrap_or_else(|| panic!("{line} is understood"));
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn flags_come_before_the_environment() {
    let environment = || Environment { context: Some("env".into()), user: Some("envy".into()) };
    let read = |line: &str| read(line.split_whitespace().map(OsString::from), environment()).unwrap().globals;
    let from_flags = read("sealwright --context flag --user flaggy doctor");
    assert_eq!(from_flags.context, ContextChoice::Given("flag".into()));
    assert_eq!(from_flags.user, UserChoice::Given("flaggy".parse().unwrap()));
    let from_environment = read("sealwright doctor");
    assert_eq!(from_environment.context, ContextChoice::Given("env".into()));
    assert_eq!(from_environment.user, UserChoice::Given("envy".parse().unwrap()));
}

#[test]
fn a_bad_user_in_the_environment_is_a_usage_error() {
    let environment = Environment { context: None, user: Some("A/B".into()) };
    let error = read(["sealwright", "doctor"].map(OsString::from), environment).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}
