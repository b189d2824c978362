//! Certificates for facades: the signer's nonce, evidence of purpose `issue`, the signer's chain.

use std::path::Path;

use evidence::{Channel, NoChannel, Purpose};
use names::{Digest, EnclaveId};
use proto::Channel as GrpcChannel;
use proto::v1::signer_client::SignerClient;
use proto::v1::{CertifyEnclaveRequest, NewChallengeRequest};

use crate::node::Node;
use crate::sealer::{Request, SealError, Sealer, service_audience};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertifyError {
    #[error("the signer refused: {}", .0.message())]
    Signer(Box<tonic::Status>),
    #[error("evidence for the signer: {0}")]
    Seal(#[from] SealError),
    #[error("the signer's answer is malformed")]
    Answer,
}

impl From<tonic::Status> for CertifyError {
    fn from(status: tonic::Status) -> Self {
        Self::Signer(Box::new(status))
    }
}

impl CertifyError {
    /// The signer's own code, which is all that its message says, where it refused; else ours.
    pub(crate) fn code(&self) -> &str {
        let is_code = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        match self {
            Self::Signer(status) if !status.message().is_empty() && is_code(status.message()) => {
                status.message()
            }
            Self::Signer(_) => "signer_refused",
            Self::Seal(error) => error.code(),
            Self::Answer => "signer_answer",
        }
    }
}

/// The way to the signer.
#[derive(Clone)]
pub(crate) struct Certifier {
    signer: SignerClient<GrpcChannel>,
}

impl Certifier {
    pub(crate) fn new(socket: &Path) -> Self {
        let signer = SignerClient::new(proto::connect(socket));
        Self {
            signer: signer
                .max_decoding_message_size(1 << 20)
                .max_encoding_message_size(evidence::MAX_MESSAGE),
        }
    }

    /// A certificate for the key in the CSR, which must be the enclave's pinned key. Leaf first, DER.
    pub(crate) async fn certify(
        &self,
        node: &Node,
        sealer: &Sealer,
        enclave: (EnclaveId, u64),
        dns_name: &str,
        csr: Vec<u8>,
    ) -> Result<Vec<Vec<u8>>, CertifyError> {
        let mut signer = self.signer.clone();
        let challenge = signer.new_challenge(NewChallengeRequest {}).await?.into_inner();
        let nonce = challenge.nonce.try_into().map_err(|_| CertifyError::Answer)?;
        let request = Request {
            purpose: Purpose::Issue,
            audience: service_audience(&challenge.audience)?,
            nonce,
            request: Some(Digest::of(&csr)),
            enclave: Some(enclave),
            certificate: None,
            channel: Channel::None(NoChannel::NotOffered),
        };
        let evidence = sealer.seal(request).await?.to_json();
        let asked = CertifyEnclaveRequest { csr, evidence, dns_name: dns_name.to_owned() };
        let chain = signer.certify_enclave(asked).await?.into_inner().certificates;
        let leaf = chain.first().ok_or(CertifyError::Answer)?.clone();
        node.registry().keep_certificate(&enclave.0, enclave.1, leaf);
        Ok(chain)
    }
}
