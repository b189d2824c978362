//! Files, keys of our own, and a reader for the little protobuf that the sample attestations need.

use std::path::PathBuf;

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use sha2::{Digest, Sha256};
use tpm2::algorithms::{Curve, NameAlgorithm};
use tpm2::attributes::ObjectAttributes as Attribute;
use tpm2::public::{Key, PublicFields, Scheme, Symmetric};
use tpm2::{HashAlgorithm, PublicArea, Signature};

pub fn testdata(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tpm").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn software_key() -> SigningKey {
    SigningKey::from_slice(&[0x42; 32]).unwrap()
}

pub fn attestation_attributes() -> Attribute {
    Attribute::FIXED_TPM
        | Attribute::FIXED_PARENT
        | Attribute::SENSITIVE_DATA_ORIGIN
        | Attribute::USER_WITH_AUTH
        | Attribute::RESTRICTED
        | Attribute::SIGN
}

/// The public area of [`software_key`] as an attestation key would have it.
pub fn fields() -> PublicFields {
    let point = software_key().verifying_key().to_sec1_bytes();
    PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: attestation_attributes(),
        auth_policy: Vec::new(),
        key: Key::Ecc {
            symmetric: Symmetric::Null,
            scheme: Scheme::Ecdsa(HashAlgorithm::Sha256),
            curve: Curve::P256,
            x: point[1..33].to_vec(),
            y: point[33..].to_vec(),
        },
    }
}

pub fn public() -> PublicArea {
    PublicArea::new(&fields()).unwrap()
}

pub fn sign(message: &[u8]) -> Signature {
    let signature: p256::ecdsa::Signature = software_key().sign_prehash(&Sha256::digest(message)).unwrap();
    let (r, s) = signature.split_bytes();
    Signature::Ecdsa { r: r.to_vec(), s: s.to_vec() }
}

/// TPMS_ATTEST of a quote over PCR 0 with the given header fields.
pub fn attest(magic: u32, kind: u16, extra_data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend((extra_data.len() as u16).to_be_bytes());
    bytes.extend(extra_data);
    bytes.extend(7u64.to_be_bytes());
    bytes.extend(3u32.to_be_bytes());
    bytes.extend(1u32.to_be_bytes());
    bytes.push(1);
    bytes.extend(9u64.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0]);
    bytes.extend([0, 32]);
    bytes.extend([0xaa; 32]);
    bytes
}

/// One field of a protobuf message: number, and bytes or integer.
pub enum Field {
    Bytes(u64, Vec<u8>),
    Integer(u64, u64),
}

pub fn protobuf(mut bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        match tag & 7 {
            0 => fields.push(Field::Integer(tag >> 3, varint(&mut bytes))),
            2 => {
                let length = varint(&mut bytes) as usize;
                fields.push(Field::Bytes(tag >> 3, bytes[..length].to_vec()));
                bytes = &bytes[length..];
            }
            other => panic!("wire type {other}"),
        }
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}
