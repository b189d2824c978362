//! A signer that believes the verifier's word and issues from keys in memory.

use std::path::Path;
use std::sync::Arc;

use attested_tls::LocalKey;
use names::{Part, SpiffeId};
use pki::profile::{self, KeyPurpose};
use pki::{Certificate, Issuer, Serial, SigningKey, Validity, enrolment};
use proto::v1::signer_server::{Signer, SignerServer};
use proto::v1::{
    CertificateChain, CertifyAttestationKeyRequest, CertifyEnclaveRequest, NewChallengeRequest,
    NewChallengeResponse,
};
use server::Tasks;
use tonic::{Request, Response, Status};
use tpm2::PublicArea;
use verifier::{Clock, Identity};

use crate::domain;

pub(crate) struct Authority {
    pub(crate) root: Certificate,
    issuing: Certificate,
    key: LocalKey,
}

fn serial() -> Serial {
    Serial::from_random([3; 16])
}

impl Authority {
    pub(crate) fn new(now: u64) -> Self {
        let (root_key, key) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
        let root = profile::Root { common_name: "root" }
            .issue(&root_key, Validity::starting(now, profile::ROOT_LIFE), serial())
            .unwrap();
        let issuing = profile::Issuing { common_name: "issuing" }
            .issue(
                &Issuer::new(&root, &root_key).unwrap(),
                key.public_key_spki(),
                Validity::starting(now, profile::ISSUING_LIFE),
                serial(),
            )
            .unwrap();
        Self { root, issuing, key }
    }

    fn chain(&self, leaf: &Certificate) -> Vec<Vec<u8>> {
        [leaf, &self.issuing, &self.root].map(|certificate| certificate.der().to_vec()).into()
    }

    pub(crate) fn identity(&self, now: u64) -> Identity {
        let key = LocalKey::generate().unwrap();
        let issuer = Issuer::new(&self.issuing, &self.key).unwrap();
        let part = profile::Part { part: Part::Verifier, trust_domain: &domain(), dns_names: &[] };
        let validity = Validity::starting(now, profile::PART_LIFE);
        let leaf = part.issue(&issuer, key.public_key_spki(), validity, serial()).unwrap();
        Identity { chain: self.chain(&leaf), key }
    }

    pub(crate) fn certify(
        &self,
        public: &PublicArea,
        purpose: KeyPurpose,
        node: &SpiffeId,
        now: u64,
    ) -> Vec<Vec<u8>> {
        let issuer = Issuer::new(&self.issuing, &self.key).unwrap();
        let leaf = profile::AttestationKey { node, purpose }
            .issue(
                &issuer,
                &public.spki_der().unwrap(),
                Validity::starting(now, profile::ATTESTATION_KEY_LIFE / 2),
                serial(),
            )
            .unwrap();
        self.chain(&leaf)
    }
}

/// Serves the authority on a socket.
pub(crate) fn serve(authority: Arc<Authority>, clock: Clock, socket: &Path, tasks: &Tasks) {
    let incoming = proto::serve_socket(socket).unwrap();
    let service = SignerServer::new(Believer { authority, clock });
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stopping)
            .await
            .unwrap();
    });
}

struct Believer {
    authority: Arc<Authority>,
    clock: Clock,
}

#[tonic::async_trait]
impl Signer for Believer {
    async fn new_challenge(
        &self,
        _: Request<NewChallengeRequest>,
    ) -> Result<Response<NewChallengeResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn certify_enclave(
        &self,
        _: Request<CertifyEnclaveRequest>,
    ) -> Result<Response<CertificateChain>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn certify_attestation_key(
        &self,
        request: Request<CertifyAttestationKeyRequest>,
    ) -> Result<Response<CertificateChain>, Status> {
        let request = request.into_inner();
        let now = (self.clock)();
        let word =
            enrolment::verify(&request.enrolment, std::slice::from_ref(&self.authority.root), now).unwrap();
        let public = PublicArea::parse(&request.public_area).unwrap();
        assert_eq!(word.claims().ak_name, names::hex(public.name().as_bytes()));
        assert_eq!(
            (word.claims().purpose.as_str(), word.claims().node.as_str()),
            (request.purpose.as_str(), request.node.as_str())
        );
        let certificates = self.authority.certify(&public, word.purpose(), &word.claims().node, now);
        Ok(Response::new(CertificateChain { certificates }))
    }
}
