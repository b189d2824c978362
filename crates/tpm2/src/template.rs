//! The templates that we ask TPMs to make keys from.

use alloc::vec;
use alloc::vec::Vec;

use crate::algorithms::{Curve, HashAlgorithm, NameAlgorithm};
use crate::attributes::ObjectAttributes as Attribute;
use crate::public::{Key, PublicArea, PublicFields, Scheme, Symmetric};
use crate::wire::WireError;

/// PolicySecret(TPM_RH_ENDORSEMENT) by SHA-256 (EK Credential Profile 2.x, B.6.2: PolicyA).
pub const EK_POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd,
    0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

fn ek_attributes() -> Attribute {
    Attribute::FIXED_TPM
        | Attribute::FIXED_PARENT
        | Attribute::SENSITIVE_DATA_ORIGIN
        | Attribute::ADMIN_WITH_POLICY
        | Attribute::RESTRICTED
        | Attribute::DECRYPT
}

/// Endorsement key, RSA-2048 (EK Credential Profile 2.x, B.3.3: template L-1).
pub fn ek_rsa2048() -> Result<PublicArea, WireError> {
    PublicArea::new(PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: ek_attributes(),
        auth_policy: EK_POLICY_A.to_vec(),
        key: Key::Rsa {
            symmetric: Symmetric::Aes128,
            scheme: Scheme::Null,
            bits: 2048,
            exponent: 0,
            modulus: vec![0; 256],
        },
    })
}

/// Endorsement key, P-256 (EK Credential Profile 2.x, B.3.4: template L-2).
pub fn ek_p256() -> Result<PublicArea, WireError> {
    PublicArea::new(PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: ek_attributes(),
        auth_policy: EK_POLICY_A.to_vec(),
        key: Key::Ecc {
            symmetric: Symmetric::Aes128,
            scheme: Scheme::Null,
            curve: Curve::P256,
            x: vec![0; 32],
            y: vec![0; 32],
        },
    })
}

fn signing_attributes() -> Attribute {
    Attribute::FIXED_TPM
        | Attribute::FIXED_PARENT
        | Attribute::SENSITIVE_DATA_ORIGIN
        | Attribute::USER_WITH_AUTH
        | Attribute::SIGN
}

/// Attestation key, P-256, told apart from others of the same hierarchy by `unique` as its x coordinate.
pub fn attestation_key(unique: &[u8; 32]) -> Result<PublicArea, WireError> {
    PublicArea::new(PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: signing_attributes() | Attribute::RESTRICTED,
        auth_policy: Vec::new(),
        key: Key::Ecc {
            symmetric: Symmetric::Null,
            scheme: Scheme::Ecdsa(HashAlgorithm::Sha256),
            curve: Curve::P256,
            x: unique.to_vec(),
            y: vec![0; 32],
        },
    })
}

/// Attestation key, RSA-2048 with the given scheme: what Keylime agents and older machines have.
pub fn attestation_key_rsa2048(scheme: Scheme) -> Result<PublicArea, WireError> {
    PublicArea::new(PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: signing_attributes() | Attribute::RESTRICTED,
        auth_policy: Vec::new(),
        key: Key::Rsa { symmetric: Symmetric::Null, scheme, bits: 2048, exponent: 0, modulus: vec![0; 256] },
    })
}

/// Storage root key, P-256 (TCG Provisioning Guidance, 7.5.1): parent of the keys that are kept as blobs.
pub fn storage_root_p256() -> Result<PublicArea, WireError> {
    PublicArea::new(PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: Attribute::FIXED_TPM
            | Attribute::FIXED_PARENT
            | Attribute::SENSITIVE_DATA_ORIGIN
            | Attribute::USER_WITH_AUTH
            | Attribute::NO_DA
            | Attribute::RESTRICTED
            | Attribute::DECRYPT,
        auth_policy: Vec::new(),
        key: Key::Ecc {
            symmetric: Symmetric::Aes128,
            scheme: Scheme::Null,
            curve: Curve::P256,
            x: vec![0; 32],
            y: vec![0; 32],
        },
    })
}

/// Signing key, P-256, for data from outside the TPM: the key of a certificate authority.
pub fn signing_key_p256() -> Result<PublicArea, WireError> {
    PublicArea::new(PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: signing_attributes() | Attribute::NO_DA,
        auth_policy: Vec::new(),
        key: Key::Ecc {
            symmetric: Symmetric::Null,
            scheme: Scheme::Ecdsa(HashAlgorithm::Sha256),
            curve: Curve::P256,
            x: Vec::new(),
            y: Vec::new(),
        },
    })
}

/// Sealed data that only the policy opens.
pub fn sealed(policy: &[u8; 32]) -> Result<PublicArea, WireError> {
    PublicArea::new(PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: Attribute::FIXED_TPM | Attribute::FIXED_PARENT | Attribute::NO_DA,
        auth_policy: policy.to_vec(),
        key: Key::Sealed { unique: Vec::new() },
    })
}
