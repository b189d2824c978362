//! What is counted.

/// One metric.
#[derive(Debug)]
pub struct Row {
    /// Name without the prefix `sealwright_`; counters get the suffix `_total`.
    pub name: &'static str,
    /// What it says, for the operator.
    pub help: &'static str,
    /// The crate that logs the event.
    pub source: &'static str,
    /// The event's message, word for word.
    pub message: &'static str,
    /// What is made of it.
    pub kind: Kind,
    /// Fields of the event that become labels.
    pub labels: &'static [&'static str],
}

/// What is made of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How often it was logged.
    Count,
    /// How long what it tells took: a histogram in seconds of this field, which has microseconds.
    Microseconds(&'static str),
}

macro_rules! table {
    ($($name:literal: $kind:expr, $source:literal $message:literal [$($label:literal),*], $help:literal;)*) => {
        /// Every metric that is read off events.
        pub const TABLE: &[Row] = &[$(
            Row { name: $name, help: $help, source: $source, message: $message, kind: $kind, labels: &[$($label),*] },
        )*];
    };
}

table! {
    "gateway_request_seconds": Kind::Microseconds("micros"), "gateway" "answered" ["status"],
        "Answers of the gateway, by status";
    "gateway_refusals": Kind::Count, "gateway" "refused" ["code"],
        "Requests that the gateway refused, by reason code";
    "gateway_sign_ups": Kind::Count, "gateway" "signed up" [],
        "Accounts made";
    "enclave_starts": Kind::Count, "controller" "running" [],
        "Enclaves that came to run";
    "enclave_failures": Kind::Count, "controller" "not started" ["reason"],
        "Starts that failed, by reason code";
    "enclave_stops": Kind::Count, "controller" "stopped" ["reason"],
        "Enclaves that were stopped, by reason";
    "enclave_ends": Kind::Count, "controller" "ended by itself" ["reason"],
        "Enclaves that ended though nobody wanted that, by reason code";
    "agent_callers_refused": Kind::Count, "agent" "caller refused" ["code"],
        "Processes that the agent refused at its socket, by code";
    "agent_quote_failures": Kind::Count, "agent" "the TPM did not quote" [],
        "Batches for which the TPM gave no quote";
    "agent_verdicts_missing": Kind::Count, "agent" "no verdict" [],
        "Rounds after which the node had no new verdict";
    "node_refusals": Kind::Count, "verifier" "node refused" ["reason"],
        "Evidence of nodes that the verifier refused, by reason code";
    "node_enrolments": Kind::Count, "verifier" "node enrolled" [],
        "Nodes that enrolled";
    "certificates": Kind::Count, "signer" "enclave certified" [],
        "Certificates for enclaves";
    "certificate_refusals": Kind::Count, "signer" "no certificate" ["reason"],
        "Requests that the signer refused, by reason code";
}
