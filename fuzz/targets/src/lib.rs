//! One function per parser of bytes that the other side controls. A function panics where a promise is broken:
//! a parser panicked, or what it accepted cannot be read, replayed or written back to the same bytes.
//!
//! Not here: the fuzzing engine (the package above) and the seeds (`make_seeds.py`, `corpus/`).

mod accounts;
mod logs_of_nodes;
mod statements;
mod tokens;
mod tpm;

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and the name of its folder below `corpus/`.
    pub name: &'static str,
    /// Feeds it one input.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "boot_log", run: logs_of_nodes::boot_log },
    Target { name: "ima_ascii", run: logs_of_nodes::ima_ascii },
    Target { name: "ima_binary", run: logs_of_nodes::ima_binary },
    Target { name: "enclave_log", run: logs_of_nodes::enclave_log },
    Target { name: "tpm2_attest", run: tpm::attest },
    Target { name: "tpm2_public", run: tpm::public },
    Target { name: "tpm2_signature", run: tpm::signature },
    Target { name: "pki_certificate", run: tokens::certificate },
    Target { name: "pki_csr", run: tokens::csr },
    Target { name: "pki_jws", run: tokens::jws },
    Target { name: "pki_jwks", run: tokens::jwks },
    Target { name: "evidence_statement", run: statements::statement },
    Target { name: "evidence_bundle", run: statements::bundle },
    Target { name: "workload_manifest", run: statements::manifest },
    Target { name: "license_file", run: accounts::license_file },
    Target { name: "passkey_client_data", run: accounts::passkey_client_data },
    Target { name: "passkey_attestation", run: accounts::passkey_attestation },
    Target { name: "passkey_key", run: accounts::passkey_key },
    Target { name: "id_token", run: accounts::id_token },
    Target { name: "id_token_claims", run: accounts::id_token_claims },
    Target { name: "id_token_keys", run: accounts::id_token_keys },
];

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}
