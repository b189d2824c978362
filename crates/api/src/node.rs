//! The agent's node-local API, version 1: HTTP/1.1 and JSON over two Unix sockets.
//!
//! `admin.sock` is for the controller, `agent.sock` for facades. On the second one the agent knows its caller by the
//! kernel's word, so no request says which enclave it speaks for.

use alloc::string::String;
use alloc::vec::Vec;

use names::{Digest, EnclaveId, Level, SpiffeId};
use serde::{Deserialize, Serialize};

/// `POST /v1/enclaves` on `admin.sock`: an enclave is about to be started. Logged before it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartEnclave {
    /// Which enclave.
    pub enclave_id: EnclaveId,
    /// Counter of its starts, from 1.
    pub incarnation: u64,
    /// Version digest: what the publisher published.
    pub version: Digest,
    /// Instance digest: resolved environment and user-given parts.
    pub instance: Digest,
    /// SHA-256 of the owner's key (SPKI).
    pub owner: Digest,
    /// SHA-256 of the facade's executable.
    pub facade: Digest,
    /// The one exact DNS name that its certificate may have.
    pub dns_name: String,
}

/// `PUT /v1/enclaves/{id}/process` on `admin.sock`: this process, or its direct child, is the facade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindProcess {
    /// Counter of starts that the process belongs to.
    pub incarnation: u64,
    /// Process id in the agent's pid namespace.
    pub pid: u32,
    /// Start time in clock ticks after boot, `/proc/PID/stat` field 22.
    pub start_time: u64,
}

/// `POST /v1/enclaves/{id}/stop` on `admin.sock`: the enclave has ended, or is about to be ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopEnclave {
    /// Counter of starts that ends.
    pub incarnation: u64,
    /// Stable reason, at most 64 bytes.
    pub reason: String,
}

/// `GET /v1/self` on `agent.sock`: what the agent knows of its caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfDescription {
    /// The caller's enclave.
    pub enclave_id: EnclaveId,
    /// The enclave's SPIFFE id.
    pub spiffe_id: SpiffeId,
    /// Counter of its starts.
    pub incarnation: u64,
    /// SHA-256 of the owner's key (SPKI), as announced and measured.
    pub owner: Digest,
    /// The one DNS name, as announced.
    pub dns_name: String,
    /// The node.
    pub node: SpiffeId,
}

/// `PUT /v1/self/key` on `agent.sock`: the key that the enclave was born with. The first one is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterKey {
    /// SubjectPublicKeyInfo, DER, base64.
    pub spki: String,
}

/// `POST /v1/self/certificate` on `agent.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifyRequest {
    /// PKCS#10, DER, base64; signed by the registered key.
    pub csr: String,
}

/// Answer to [`CertifyRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedChain {
    /// DER, base64; leaf first, root last.
    pub chain: Vec<String>,
}

/// `POST /v1/self/evidence` on `agent.sock`: evidence of purpose `serve`. The answer is the evidence JSON of `docs/formats.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRequest {
    /// The client's nonce, 32 bytes, base64.
    pub nonce: String,
    /// SHA-256 of the asking client's certificate SPKI; absent for an anonymous client.
    pub audience: Option<Digest>,
    /// TLS exporter value of the connection, 32 bytes, base64; absent where there is no such channel.
    pub channel: Option<String>,
    /// SHA-256 of the TLS certificate (DER) that the client sees.
    pub certificate: Digest,
}

/// `GET /v1/node` on either socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// The node's SPIFFE id.
    pub node: SpiffeId,
    /// Level of the EK's trust anchor, as the verifier said at enrolment.
    pub level: Level,
    /// TPM name of the attestation key that signs for enclaves: what a licence is locked to.
    pub ak_name: licensing::AkName,
    /// Enclave-log events so far.
    pub log_events: u64,
    /// Unix seconds at which the current verdict ends; absent while there is none.
    pub verdict_expires: Option<u64>,
}
