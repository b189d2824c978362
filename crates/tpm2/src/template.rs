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

/// PolicyOR of PolicyA and PolicyC by SHA-384 (EK Credential Profile 2.x, B.6.4: PolicyB).
const EK_POLICY_B_SHA384: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a, 0x07,
    0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47,
    0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
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
    PublicArea::new(&PublicFields {
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
    PublicArea::new(&PublicFields {
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

/// Endorsement key, P-384 (EK Credential Profile 2.x, B.4.5: template H-3).
pub fn ek_p384() -> Result<PublicArea, WireError> {
    PublicArea::new(&PublicFields {
        name_algorithm: NameAlgorithm::Sha384,
        attributes: ek_attributes() | Attribute::USER_WITH_AUTH,
        auth_policy: EK_POLICY_B_SHA384.to_vec(),
        key: Key::Ecc {
            symmetric: Symmetric::Aes256,
            scheme: Scheme::Null,
            curve: Curve::P384,
            x: Vec::new(),
            y: Vec::new(),
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
    PublicArea::new(&PublicFields {
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
    PublicArea::new(&PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: signing_attributes() | Attribute::RESTRICTED,
        auth_policy: Vec::new(),
        key: Key::Rsa { symmetric: Symmetric::Null, scheme, bits: 2048, exponent: 0, modulus: vec![0; 256] },
    })
}

/// Storage root key, P-256 (TCG Provisioning Guidance, 7.5.1): parent of the keys that are kept as blobs.
pub fn storage_root_p256() -> Result<PublicArea, WireError> {
    PublicArea::new(&PublicFields {
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
    PublicArea::new(&PublicFields {
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
    PublicArea::new(&PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: Attribute::FIXED_TPM | Attribute::FIXED_PARENT | Attribute::NO_DA,
        auth_policy: policy.to_vec(),
        key: Key::Sealed { unique: Vec::new() },
    })
}
