//! Who the TPM is: its endorsement key with its certificate, and the attestation keys.

use der::{Decode, Reader, SliceReader};
use tpm2::attributes::ObjectAttributes;
use tpm2::command::{ActivateCredential, CreatePrimary, PolicySecret, ReadPublic};
use tpm2::session::{Authorization, Secrecy, SessionKind};
use tpm2::template::{self, EK_POLICY_A};
use tpm2::{Credential, Entity, Handle, PublicArea, WireError};
use x509_cert::Certificate;
use zeroize::Zeroizing;

use crate::error::TpmError;
use crate::slots::LoadedKey;
use crate::tpm::{EMPTY, Tpm, nonce};

/// The endorsement key and what its manufacturer says about it.
pub struct EndorsementKey {
    key: LoadedKey,
    certificate: Vec<u8>,
}

impl EndorsementKey {
    /// The key in the TPM.
    pub fn key(&self) -> &LoadedKey {
        &self.key
    }

    /// The key.
    pub fn public(&self) -> &PublicArea {
        self.key.public()
    }

    /// The certificate, as DER. Nobody has checked who signed it.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}

/// The kinds of endorsement key that we look for, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EkKind {
    /// RSA-2048, template L-1.
    Rsa2048,
    /// P-256, template L-2.
    P256,
    /// P-384, template H-3.
    P384,
}

impl EkKind {
    const ALL: [Self; 3] = [Self::Rsa2048, Self::P256, Self::P384];

    fn template(self) -> Result<PublicArea, WireError> {
        match self {
            Self::Rsa2048 => template::ek_rsa2048(),
            Self::P256 => template::ek_p256(),
            Self::P384 => template::ek_p384(),
        }
    }

    fn certificate(self) -> Handle {
        match self {
            Self::Rsa2048 => Handle::NV_EK_CERTIFICATE_RSA,
            Self::P256 => Handle::NV_EK_CERTIFICATE_P256,
            Self::P384 => Handle::NV_EK_CERTIFICATE_P384,
        }
    }

    fn persistent(self) -> Handle {
        match self {
            Self::Rsa2048 => Handle::PERSISTENT_EK_RSA,
            Self::P256 => Handle::PERSISTENT_EK_P256,
            Self::P384 => Handle::PERSISTENT_EK_P384,
        }
    }
}

/// What an attestation key is for. One key must never serve both: whoever chooses the nonce of a quote freely could
/// otherwise have it sign a statement of their own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AkPurpose {
    /// Quotes over statements that the agent itself has made.
    Enclave,
    /// Answers to Keylime verifiers, who choose the nonce.
    Keylime,
}

impl AkPurpose {
    /// SHA-256 of `sealwright/ak-enclave/v1` or `sealwright/ak-keylime/v1`.
    fn unique(self) -> [u8; 32] {
        match self {
            Self::Enclave => [
                0x55, 0xf9, 0xe8, 0xd9, 0xbd, 0x04, 0x56, 0x70, 0x68, 0x6c, 0xc3, 0xcb, 0xc4, 0x09, 0x74,
                0x31, 0x71, 0x36, 0x1b, 0x24, 0x5f, 0xa8, 0x91, 0x18, 0x44, 0x02, 0xa4, 0xee, 0xbb, 0x50,
                0x02, 0x8e,
            ],
            Self::Keylime => [
                0xaa, 0x65, 0xb7, 0x81, 0xd1, 0x3d, 0x52, 0x42, 0x52, 0xf6, 0x64, 0x0d, 0x58, 0x6e, 0x6b,
                0x8d, 0x66, 0x36, 0xe1, 0x9a, 0x10, 0x57, 0x94, 0xc3, 0x93, 0x87, 0x0d, 0x65, 0x27, 0xc0,
                0x6f, 0x92,
            ],
        }
    }
}

impl Tpm {
    /// The first endorsement key whose certificate is in the TPM.
    pub fn endorsement_key(&mut self) -> Result<EndorsementKey, TpmError> {
        for kind in EkKind::ALL {
            if let Some(key) = self.endorsement_key_of(kind)? {
                return Ok(key);
            }
        }
        Err(TpmError::NoEndorsementCertificate)
    }

    /// The endorsement key of this kind; none if the TPM has no certificate for one.
    pub fn endorsement_key_of(&mut self, kind: EkKind) -> Result<Option<EndorsementKey>, TpmError> {
        let Some(bytes) = self.read_nv(kind.certificate())? else { return Ok(None) };
        let (certificate, subject_public_key) =
            parse_certificate(&bytes).ok_or(TpmError::EndorsementCertificate)?;
        let template = kind.template()?;
        let is_certified = |public: &PublicArea| {
            template.is_template_of(public)
                && public.subject_public_key().is_ok_and(|key| key == subject_public_key)
        };

        if let Some(public) = self.persistent(kind.persistent())?.filter(&is_certified) {
            let key = self.adopt_persistent(kind.persistent(), public);
            return Ok(Some(EndorsementKey { key, certificate }));
        }
        let key = self.create_primary(Handle::ENDORSEMENT, &template)?;
        if !is_certified(key.public()) {
            return Err(TpmError::EndorsementKeyMismatch);
        }
        Ok(Some(EndorsementKey { key, certificate }))
    }

    /// An attestation key of this node: always the same key for the same TPM and purpose.
    pub fn attestation_key(&mut self, purpose: AkPurpose) -> Result<LoadedKey, TpmError> {
        self.create_primary(Handle::ENDORSEMENT, &template::attestation_key(&purpose.unique())?)
    }

    /// The secret in a credential made for this endorsement key and this attestation key. It crosses the bus encrypted
    /// under a salt that only the TPM with the endorsement key can read.
    pub fn activate(
        &mut self,
        ek: &LoadedKey,
        attestation_key: &LoadedKey,
        credential: &Credential,
    ) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        self.in_session(SessionKind::Hmac, Some(ek), |tpm, protection| {
            let mut run = |tpm: &mut Self, by: Authorization<'_>| {
                let [attestation_key, endorsement_key] = tpm.entities([attestation_key, ek])?;
                let request = ActivateCredential { attestation_key, endorsement_key, credential };
                let protect = Authorization::Session {
                    session: &mut *protection,
                    auth_value: &[],
                    nonce: nonce()?,
                    secrecy: Secrecy::Response,
                };
                tpm.execute(&request, &mut [protect, by])
            };
            if ek.public().attributes().contains(ObjectAttributes::USER_WITH_AUTH) {
                return run(tpm, EMPTY);
            }
            if ek.public().auth_policy() != EK_POLICY_A {
                return Err(TpmError::EndorsementKeyPolicy);
            }
            tpm.in_session(SessionKind::Policy, None, |tpm, policy| {
                let secret =
                    PolicySecret { entity: Entity::permanent(Handle::ENDORSEMENT), session: policy.handle() };
                tpm.execute(&secret, &mut [EMPTY])?;
                let by = Authorization::Session {
                    session: policy,
                    auth_value: &[],
                    nonce: nonce()?,
                    secrecy: Secrecy::Open,
                };
                run(tpm, by)
            })
        })
    }

    /// A primary key made from a template.
    pub fn create_primary(
        &mut self,
        hierarchy: Handle,
        template: &PublicArea,
    ) -> Result<LoadedKey, TpmError> {
        let primary = self.execute(&CreatePrimary { hierarchy, template }, &mut [EMPTY])?;
        Ok(self.adopt(primary.handle, primary.public))
    }

    fn persistent(&mut self, handle: Handle) -> Result<Option<PublicArea>, TpmError> {
        match self.execute(&ReadPublic(handle), &mut []) {
            Ok(public) => Ok(Some(public)),
            Err(error) if error.code().is_some_and(|code| code.is_absent()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The certificate at the front of an NV index, and its subject's public key. Some manufacturers define an index that
/// is larger than the certificate; DER says itself where it ends.
fn parse_certificate(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let certificate = Certificate::decode(&mut reader).ok()?;
    let length = usize::try_from(u32::from(reader.position())).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes().to_vec();
    Some((bytes.get(..length)?.to_vec(), key))
}
