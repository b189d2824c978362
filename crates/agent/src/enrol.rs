//! Enrolment at the verifier: proves that both attestation keys live in the TPM that the EK certificate speaks of.

use std::path::Path;
use std::sync::Arc;

use evidence::{Audience, Bytes, Channel, Evidence, NoChannel, Purpose};
use hardware::{AkPurpose, Lane, LoadedKey, TpmHandle};
use hkdf::Hkdf;
use hmac::{KeyInit, Mac};
use names::Level;
use proto::Channel as GrpcChannel;
use proto::v1::verifier_client::VerifierClient;
use proto::v1::{
    ActivationAnswer, AttestRequest, AttestationKey, BeginEnrolmentRequest, FinishEnrolmentRequest,
    FinishEnrolmentResponse, NewRoundRequest,
};
use sha2::Sha256;
use tokio::sync::watch;
use tpm2::Credential;
use zeroize::Zeroizing;

use crate::node::{CurrentVerdict, Enrolment, Keys, Node, now};
use crate::sealer::{Request, SealError, Sealer, service_audience};

/// HKDF info of the answer to an activation; another protocol with the same secret gets another key.
const ENROLMENT_LABEL: &[u8] = b"sealwright/enrolment/v1";
/// Largest log that is sent with a round.
const MAX_LOG: u64 = 16 << 20;

/// Why the verifier and the agent did not come together.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The verifier refused or is away.
    #[error("the verifier answers {:?}: {}", .0.code(), .0.message())]
    Verifier(Box<tonic::Status>),
    /// The TPM.
    #[error("the TPM")]
    Tpm(#[from] hardware::TpmError),
    /// The TPM's owner.
    #[error("the TPM's owner")]
    Owner(#[from] hardware::OwnerError),
    /// The verifier's answer is not one.
    #[error("the verifier's answer has no valid {0}")]
    Answer(&'static str),
    /// No evidence for the round.
    #[error("evidence for the round: {0}")]
    Seal(String),
    /// A log can't be read.
    #[error("read a log of the node")]
    Log(#[from] std::io::Error),
}

impl From<tonic::Status> for EnrolError {
    fn from(status: tonic::Status) -> Self {
        Self::Verifier(Box::new(status))
    }
}

impl From<SealError> for EnrolError {
    fn from(error: SealError) -> Self {
        Self::Seal(error.to_string())
    }
}

/// The name of a key's purpose in the protocol.
pub(crate) const fn purpose_name(purpose: AkPurpose) -> &'static str {
    match purpose {
        AkPurpose::Enclave => "ak-enclave",
        AkPurpose::Keylime => "ak-keylime",
    }
}

/// Enrols the node: both keys are activated against the one EK, and come back certified.
pub(crate) async fn enrol(
    verifier: &mut VerifierClient<GrpcChannel>,
    tpm: &TpmHandle,
    keys: &Arc<Keys>,
    node_name: &str,
) -> Result<Enrolment, EnrolError> {
    let purposes = [AkPurpose::Enclave, AkPurpose::Keylime];
    let describe = |purpose| AttestationKey {
        purpose: purpose_name(purpose).to_owned(),
        public_area: key(keys, purpose).public().as_bytes().to_vec(),
    };
    let begun = verifier
        .begin_enrolment(BeginEnrolmentRequest {
            node_name: node_name.to_owned(),
            ek_public_area: keys.endorsement.public().as_bytes().to_vec(),
            ek_certificates: vec![keys.endorsement.certificate().to_vec()],
            keys: purposes.map(describe).to_vec(),
        })
        .await?
        .into_inner();
    let mut answers = Vec::new();
    for purpose in purposes {
        let name = purpose_name(purpose);
        let found = begun.credentials.iter().find(|credential| credential.purpose == name);
        let offered = found.ok_or(EnrolError::Answer("credential"))?;
        let credential = Credential {
            id_object: offered.id_object.clone(),
            encrypted_secret: offered.encrypted_secret.clone(),
        };
        let owned = Arc::clone(keys);
        let activate = move |tpm: &mut hardware::Tpm| {
            tpm.activate(owned.endorsement.key(), key(&owned, purpose), &credential)
        };
        let secret = tpm.run(Lane::Activation, activate).await??;
        let mac = answer(&secret, &begun.session, key(keys, purpose).name().as_bytes())?;
        answers.push(ActivationAnswer { purpose: name.to_owned(), mac });
    }
    let finish = FinishEnrolmentRequest { session: begun.session, answers };
    enrolment(&verifier.finish_enrolment(finish).await?.into_inner())
}

fn key(keys: &Keys, purpose: AkPurpose) -> &LoadedKey {
    match purpose {
        AkPurpose::Enclave => &keys.enclave,
        AkPurpose::Keylime => &keys.keylime,
    }
}

/// HMAC under a key derived from the secret, never the secret itself: an agent must not be an oracle that opens
/// credentials for others.
fn answer(secret: &Zeroizing<Vec<u8>>, session: &[u8], ak_name: &[u8]) -> Result<Vec<u8>, EnrolError> {
    let mut derived = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(None, secret)
        .expand(ENROLMENT_LABEL, derived.as_mut_slice())
        .map_err(|_| EnrolError::Answer("secret"))?;
    let mut mac =
        hmac::Hmac::<Sha256>::new_from_slice(derived.as_slice()).map_err(|_| EnrolError::Answer("secret"))?;
    mac.update(session);
    mac.update(ak_name);
    Ok(mac.finalize().into_bytes().to_vec())
}

fn enrolment(finished: &FinishEnrolmentResponse) -> Result<Enrolment, EnrolError> {
    let node = finished.node.parse().map_err(|_| EnrolError::Answer("node"))?;
    let level: Level = finished.level.parse().map_err(|_| EnrolError::Answer("level"))?;
    let chain_of = |purpose| -> Result<Vec<Vec<u8>>, EnrolError> {
        let wanted = purpose_name(purpose);
        let certified = finished.keys.iter().find(|certified| certified.purpose == wanted);
        Ok(certified.ok_or(EnrolError::Answer("certificate"))?.certificates.clone())
    };
    let (enclave_chain, keylime_chain) = (chain_of(AkPurpose::Enclave)?, chain_of(AkPurpose::Keylime)?);
    Ok(Enrolment { node, level, enclave_chain, keylime_chain })
}

/// Leaves the certificates of both keys where an operator can look at them.
fn save_chains(folder: &Path, enrolment: &Enrolment) -> std::io::Result<()> {
    let chains =
        [(AkPurpose::Enclave, &enrolment.enclave_chain), (AkPurpose::Keylime, &enrolment.keylime_chain)];
    for (purpose, chain) in chains {
        let certificates = chain.iter().filter_map(|der| pki::Certificate::from_der(der).ok());
        let pem: String = certificates.map(|certificate| certificate.to_pem()).collect();
        std::fs::write(folder.join(format!("{}.pem", purpose_name(purpose))), pem)?;
    }
    Ok(())
}

/// One round: evidence about the node, and the verdict that it earns.
pub(crate) async fn round(
    verifier: &mut VerifierClient<GrpcChannel>,
    node: &Node,
    sealer: &Sealer,
) -> Result<CurrentVerdict, EnrolError> {
    let enrolment = node.enrolled().ok_or(SealError::NotEnrolled)?;
    let asked = NewRoundRequest { node: enrolment.node.to_string() };
    let round = verifier.new_round(asked).await?.into_inner();
    let nonce = round.nonce.try_into().map_err(|_| EnrolError::Answer("nonce"))?;
    let evidence = node_evidence(node, sealer, service_audience(&round.audience)?, nonce).await?;
    let answer = verifier.attest(AttestRequest { evidence: evidence.to_json() }).await?.into_inner();
    let expires = expiry(&answer.verdict).ok_or(EnrolError::Answer("verdict"))?;
    Ok(CurrentVerdict { token: answer.verdict, expires })
}

/// Evidence of purpose `node`, with both logs.
pub(crate) async fn node_evidence(
    node: &Node,
    sealer: &Sealer,
    audience: Audience,
    nonce: [u8; 32],
) -> Result<Evidence, EnrolError> {
    let request = Request {
        purpose: Purpose::Node,
        audience,
        nonce,
        request: None,
        enclave: None,
        certificate: None,
        channel: Channel::None(NoChannel::NotOffered),
    };
    let evidence = sealer.seal(request).await?;
    // Quote first, then the logs: lines that came later are not judged.
    let boot_log = read_log(&node.boot_log).await?;
    let ima_log = read_log(&node.ima_log).await?;
    Ok(Evidence { verdict: None, boot_log: Some(Bytes(boot_log)), ima_log: Some(Bytes(ima_log)), ..evidence })
}

async fn read_log(path: &Path) -> std::io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_LOG).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// When a verdict ends. The agent relays verdicts and believes none: who reads it checks the signature.
fn expiry(token: &str) -> Option<u64> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    #[derive(serde::Deserialize)]
    struct Expiry {
        exp: u64,
    }
    let payload = token.split('.').nth(1)?;
    let claims = Base64UrlUnpadded::decode_vec(payload).ok()?;
    serde_json::from_slice::<Expiry>(&claims).ok().map(|claims| claims.exp)
}

/// Keeps the node enrolled and its verdict fresh, as long as the agent runs.
pub(crate) async fn keep(
    node: Arc<Node>,
    sealer: Sealer,
    node_name: String,
    verifier_socket: std::path::PathBuf,
    enrolled: watch::Sender<Option<Enrolment>>,
    verdict: watch::Sender<Option<CurrentVerdict>>,
) {
    let mut verifier = VerifierClient::new(proto::connect(&verifier_socket))
        .max_decoding_message_size(1 << 20)
        .max_encoding_message_size(evidence::MAX_MESSAGE);
    loop {
        let done = step(&mut verifier, &node, &sealer, &node_name, &enrolled, &verdict).await;
        let pause = match done {
            Ok(expires) => ROUND.min(std::time::Duration::from_secs(expires.saturating_sub(now()) / 2)),
            Err(error) => {
                tracing::warn!(error = %server::telemetry::chain(&error), "no verdict");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Between rounds while all is well: a verdict lives a minute at most.
const ROUND: std::time::Duration = std::time::Duration::from_secs(20);
/// After a round that failed.
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

async fn step(
    verifier: &mut VerifierClient<GrpcChannel>,
    node: &Arc<Node>,
    sealer: &Sealer,
    node_name: &str,
    enrolled: &watch::Sender<Option<Enrolment>>,
    verdict: &watch::Sender<Option<CurrentVerdict>>,
) -> Result<u64, EnrolError> {
    if node.enrolled().is_none() {
        let enrolment = enrol(verifier, &node.tpm, &node.keys, node_name).await?;
        tracing::info!(node = %enrolment.node, level = %enrolment.level, "enrolled");
        save_chains(&node.folder, &enrolment)?;
        enrolled.send_replace(Some(enrolment));
    }
    match round(verifier, node, sealer).await {
        Ok(fresh) => {
            let expires = fresh.expires;
            verdict.send_replace(Some(fresh));
            Ok(expires)
        }
        Err(EnrolError::Verifier(status)) if status.code() == tonic::Code::NotFound => {
            // The verifier has lost us, as after its own restart: enrol again.
            enrolled.send_replace(None);
            Err(EnrolError::Verifier(status))
        }
        Err(error) => Err(error),
    }
}
