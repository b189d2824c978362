//! Enrolment by credential activation: which TPM is it, and do both attestation keys live in it?
//!
//! Begin: the endorsement key's chain gives the level; for each attestation key a secret is wrapped so that only that
//! TPM opens it, and only while it holds that key. Finish: an HMAC under a key derived from each secret. A session is
//! good once, also when it fails.

use std::collections::BTreeMap;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use names::{Level, SpiffeId, TrustDomain};
use pki::{PublicKey, profile::KeyPurpose};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tpm2::{
    Credential, PublicArea,
    attributes::ObjectAttributes,
    credential::{Randomness, make_credential},
};
use zeroize::Zeroizing;

use crate::{refusal::Refusal, trust::EkTrust};

/// HKDF info of the answer.
pub const ENROLMENT_LABEL: &[u8] = b"sealwright/enrolment/v1";
/// Enrolments that may be under way at the same time.
pub(crate) const MAX_SESSIONS: usize = 64;
/// An enrolment that was not finished in this many seconds is void.
pub(crate) const SESSION_LIFE: u64 = 60;
/// Both keys, no more, no fewer.
const PURPOSES: [KeyPurpose; 2] = [KeyPurpose::Enclave, KeyPurpose::Keylime];

/// What a node sends to begin.
pub(crate) struct Begin {
    pub(crate) node_name: String,
    pub(crate) ek_public: Vec<u8>,
    pub(crate) ek_chain: Vec<Vec<u8>>,
    /// Purpose and TPMT_PUBLIC.
    pub(crate) keys: Vec<(String, Vec<u8>)>,
}

/// Fresh random bytes for one key.
pub(crate) struct KeyRandomness {
    pub(crate) secret: Zeroizing<[u8; 32]>,
    pub(crate) wrapping: Randomness,
}

/// Fresh random bytes for one enrolment.
pub(crate) struct SessionRandomness {
    pub(crate) session: [u8; 32],
    pub(crate) keys: [KeyRandomness; 2],
}

/// An attestation key under enrolment.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) purpose: KeyPurpose,
    pub(crate) public: PublicArea,
}

/// What an enrolment is about. After [`Sessions::finish`] it is proved.
#[derive(Debug, Clone)]
pub(crate) struct Enrolled {
    pub(crate) node_name: String,
    pub(crate) node: SpiffeId,
    pub(crate) level: Level,
    pub(crate) anchor: String,
    /// SHA-256 of the endorsement key's SPKI.
    pub(crate) ek: names::Digest,
    pub(crate) keys: [Candidate; 2],
}

impl Enrolled {
    /// TPM name of the key of this purpose, in hex.
    pub(crate) fn ak_name(&self, purpose: KeyPurpose) -> Option<String> {
        let key = self.keys.iter().find(|key| key.purpose == purpose)?;
        Some(names::hex(key.public.name().as_bytes()))
    }
}

struct Pending {
    subject: Enrolled,
    secrets: [Zeroizing<[u8; 32]>; 2],
    began: u64,
}

/// Enrolments under way.
#[derive(Default)]
pub(crate) struct Sessions {
    pending: BTreeMap<[u8; 32], Pending>,
}

impl Sessions {
    /// Opens a session for a checked subject and wraps its secrets.
    pub(crate) fn begin(
        &mut self,
        subject: Enrolled,
        endorsement_key: &PublicArea,
        randomness: SessionRandomness,
        now: u64,
    ) -> Result<[(KeyPurpose, Credential); 2], Refusal> {
        self.pending.retain(|_, pending| now.saturating_sub(pending.began) <= SESSION_LIFE);
        if self.pending.len() >= MAX_SESSIONS {
            return Err(Refusal::TooManySessions);
        }
        let [first, second] = &subject.keys;
        let [for_first, for_second] = randomness.keys;
        let wrap = |key: &Candidate, random: &KeyRandomness| {
            let name = key.public.name();
            make_credential(endorsement_key, &name, random.secret.as_slice(), &random.wrapping)
                .map(|credential| (key.purpose, credential))
        };
        let credentials = [wrap(first, &for_first)?, wrap(second, &for_second)?];
        let secrets = [for_first.secret, for_second.secret];
        self.pending.insert(randomness.session, Pending { subject, secrets, began: now });
        Ok(credentials)
    }

    /// Ends a session. `answers` are purpose and HMAC; both keys must have answered rightly.
    pub(crate) fn finish(
        &mut self,
        session: &[u8],
        answers: &[(String, Vec<u8>)],
        now: u64,
    ) -> Result<Enrolled, Refusal> {
        let session: [u8; 32] = session.try_into().map_err(|_| Refusal::UnknownSession)?;
        let pending = self.pending.remove(&session).ok_or(Refusal::UnknownSession)?;
        if now.saturating_sub(pending.began) > SESSION_LIFE {
            return Err(Refusal::SessionExpired);
        }
        if answers.len() != PURPOSES.len() {
            return Err(Refusal::Keys);
        }
        let mut right = true;
        for (key, secret) in pending.subject.keys.iter().zip(&pending.secrets) {
            let expected = activation_answer(secret.as_slice(), &session, key.public.name().as_bytes())
                .ok_or(Refusal::Activation)?;
            let given = answers.iter().find(|(purpose, _)| purpose == key.purpose.as_str());
            right &= given.is_some_and(|(_, mac)| bool::from(mac.ct_eq(&expected)));
        }
        if right { Ok(pending.subject) } else { Err(Refusal::Activation) }
    }
}

/// What a node answers for one key: an HMAC, never the secret, so that no node is an oracle that opens credentials.
/// `None` only where the secret is longer than any HMAC key may be, which none is.
pub fn activation_answer(secret: &[u8], session: &[u8], ak_name: &[u8]) -> Option<[u8; 32]> {
    let mut key = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(None, secret).expand(ENROLMENT_LABEL, key.as_mut_slice()).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).ok()?;
    mac.update(session);
    mac.update(ak_name);
    Some(mac.finalize().into_bytes().into())
}

/// Checks everything that can be checked before the TPM has proved anything.
pub(crate) fn check(
    begin: &Begin,
    trust: &EkTrust,
    trust_domain: &TrustDomain,
    now: u64,
) -> Result<(Enrolled, PublicArea), Refusal> {
    let node = trust_domain.node(&begin.node_name).map_err(|_| Refusal::NodeName)?;
    let verified = trust.verify(&begin.ek_chain, now)?;
    let ek = PublicArea::parse(&begin.ek_public).map_err(|_| Refusal::EkPublic)?;
    check_endorsement_key(&ek)?;
    let spki = ek.spki_der().map_err(|_| Refusal::EkPublic)?;
    let of_area = PublicKey::from_spki(&spki).map_err(|_| Refusal::EkPublic)?;
    let of_certificate = verified.certificate().public_key().map_err(|_| Refusal::EkPublic)?;
    if of_area != of_certificate {
        return Err(Refusal::EkMismatch);
    }
    let subject = Enrolled {
        node_name: begin.node_name.clone(),
        node,
        level: verified.level(),
        anchor: verified.anchor_name().to_owned(),
        ek: names::Digest::from_bytes(verified.certificate().spki_sha256()),
        keys: candidates(&begin.keys)?,
    };
    Ok((subject, ek))
}

/// TCG EK Credential Profile 2.x, B.3: a storage key that never leaves its TPM.
fn check_endorsement_key(ek: &PublicArea) -> Result<(), Refusal> {
    let wanted = ObjectAttributes::FIXED_TPM
        | ObjectAttributes::FIXED_PARENT
        | ObjectAttributes::SENSITIVE_DATA_ORIGIN
        | ObjectAttributes::RESTRICTED
        | ObjectAttributes::DECRYPT;
    if ek.attributes().contains(wanted) && !ek.attributes().contains(ObjectAttributes::SIGN) {
        Ok(())
    } else {
        Err(Refusal::EkAttributes)
    }
}

/// Exactly one key per purpose, two different keys, each a restricted signing key.
fn candidates(keys: &[(String, Vec<u8>)]) -> Result<[Candidate; 2], Refusal> {
    if keys.len() != PURPOSES.len() {
        return Err(Refusal::Keys);
    }
    let candidate = |purpose: KeyPurpose| {
        let (_, public) = keys.iter().find(|(name, _)| name == purpose.as_str()).ok_or(Refusal::Keys)?;
        let public = PublicArea::parse(public).map_err(|_| Refusal::AkPublic)?;
        public.check_restricted_signing_key()?;
        Ok::<_, Refusal>(Candidate { purpose, public })
    };
    let [first, second] = PURPOSES.map(candidate);
    let (first, second) = (first?, second?);
    if first.public.name() == second.public.name() { Err(Refusal::SameKey) } else { Ok([first, second]) }
}
