//! Keys that sign like a TPM: TPMT_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE (TPM 2.0 Part 2).

use p256::ecdsa::SigningKey as P256Key;
use p256::ecdsa::signature::Signer;
use tpm2::algorithms::{Curve, HashAlgorithm, NameAlgorithm};
use tpm2::attributes::ObjectAttributes as Attribute;
use tpm2::public::{Key, PublicFields, Scheme, Symmetric};
use tpm2::{Handle, Name, PublicArea, Signature};

use crate::rsa_key::{RsaKey, RsaScheme};

/// A key with the public area that a TPM would give it.
pub struct TpmKey {
    secret: Secret,
    /// Its public area.
    pub public: PublicArea,
    /// The hierarchy that it is a primary of.
    pub hierarchy: Handle,
}

enum Secret {
    P256(P256Key),
    Rsa(RsaKey),
}

impl TpmKey {
    /// What a restricted signing key made in a TPM has.
    #[must_use]
    pub fn attestation_attributes() -> Attribute {
        Attribute::FIXED_TPM
            | Attribute::FIXED_PARENT
            | Attribute::SENSITIVE_DATA_ORIGIN
            | Attribute::USER_WITH_AUTH
            | Attribute::SIGN
            | Attribute::RESTRICTED
    }

    /// A restricted signing key of the endorsement hierarchy.
    #[must_use]
    pub fn attestation(seed: u8) -> Self {
        Self::with_attributes(seed, Self::attestation_attributes())
    }

    /// An RSA-2048 one: always the same test key, which protects nothing.
    #[must_use]
    pub fn rsa_attestation(scheme: RsaScheme) -> Self {
        let secret = RsaKey::test_key(scheme);
        let key = Key::Rsa {
            symmetric: Symmetric::Null,
            scheme: scheme.in_public_area(),
            bits: 2048,
            exponent: 0,
            modulus: secret.modulus(),
        };
        Self::new(Secret::Rsa(secret), key, Self::attestation_attributes())
    }

    /// A signing key with these attributes.
    #[must_use]
    pub fn with_attributes(seed: u8, attributes: Attribute) -> Self {
        let secret = P256Key::from_slice(&[seed; 32]).expect("a small number is a scalar");
        let point = secret.verifying_key().to_sec1_point(false);
        let coordinate =
            |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let key = Key::Ecc {
            symmetric: Symmetric::Null,
            scheme: Scheme::Ecdsa(HashAlgorithm::Sha256),
            curve: Curve::P256,
            x: coordinate(point.x()),
            y: coordinate(point.y()),
        };
        Self::new(Secret::P256(secret), key, attributes)
    }

    fn new(secret: Secret, key: Key, attributes: Attribute) -> Self {
        let fields =
            PublicFields { name_algorithm: NameAlgorithm::Sha256, attributes, auth_policy: Vec::new(), key };
        let public = PublicArea::new(&fields).expect("the fields are those of a signing key");
        Self { secret, public, hierarchy: Handle::ENDORSEMENT }
    }

    /// The key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        self.public.spki_der().expect("the point is on the curve")
    }

    /// TPM name as in statements.
    #[must_use]
    pub fn name(&self) -> [u8; 34] {
        self.public.name().as_bytes().try_into().expect("a SHA-256 name has 34 bytes")
    }

    /// TPMS_ATTEST of type quote.
    #[must_use]
    pub fn attest(&self, extra: &[u8], selection: &[u8], digest: &[u8], counts: (u32, u32)) -> Vec<u8> {
        let qualified = self.public.qualified_name_below(&Name::of_handle(self.hierarchy));
        let mut out = Vec::new();
        out.extend_from_slice(&0xff54_4347u32.to_be_bytes());
        out.extend_from_slice(&0x8018u16.to_be_bytes());
        sized(&mut out, qualified.as_bytes());
        sized(&mut out, extra);
        out.extend_from_slice(&1_000u64.to_be_bytes());
        out.extend_from_slice(&counts.0.to_be_bytes());
        out.extend_from_slice(&counts.1.to_be_bytes());
        out.push(1);
        out.extend_from_slice(&7u64.to_be_bytes());
        out.extend_from_slice(selection);
        sized(&mut out, digest);
        out
    }

    /// TPMT_SIGNATURE with SHA-256, of the key's scheme.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = match &self.secret {
            Secret::P256(secret) => {
                let signature: p256::ecdsa::Signature = secret.sign(message);
                let (r, s) = signature.split_bytes();
                Signature::Ecdsa { r: r.to_vec(), s: s.to_vec() }
            }
            Secret::Rsa(secret) => secret.sign(message),
        };
        signature.to_bytes().expect("TPM structures are small")
    }
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u16::try_from(bytes.len()).expect("TPM structures are small").to_be_bytes());
    out.extend_from_slice(bytes);
}

/// TPML_PCR_SELECTION of one bank.
#[must_use]
pub(crate) fn selection(algorithm: u16, pcrs: impl Iterator<Item = u8>) -> Vec<u8> {
    let bits = pcrs.fold(0u32, |bits, pcr| bits | 1 << pcr);
    let [a, b, c, _] = bits.to_le_bytes();
    let [high, low] = algorithm.to_be_bytes();
    vec![0, 0, 0, 1, high, low, 3, a, b, c]
}
