//! Key derivation (TPM 2.0 Part 1, 11.4.10) and AES-CFB (Part 1, B.3).

use alloc::vec::Vec;

use aes::cipher::KeyIvInit;
use aes::{Aes128, Aes256};
use zeroize::Zeroizing;

use crate::algorithms::NameAlgorithm;

/// KDFa (SP 800-108, counter mode): `bits` of key from `key`; `bits` is a multiple of eight.
pub(crate) fn kdfa(
    hash: NameAlgorithm,
    key: &[u8],
    label: &[u8],
    context_u: &[u8],
    context_v: &[u8],
    bits: u32,
) -> Zeroizing<Vec<u8>> {
    blocks(hash, bits, |counter| {
        hash.hmac(key, &[&counter.to_be_bytes(), label, &[0], context_u, context_v, &bits.to_be_bytes()])
    })
}

/// KDFe (SP 800-56A): `bits` of key from the x coordinate of an agreed point.
pub(crate) fn kdfe(
    hash: NameAlgorithm,
    z: &[u8],
    label: &[u8],
    party_u: &[u8],
    party_v: &[u8],
    bits: u32,
) -> Zeroizing<Vec<u8>> {
    blocks(hash, bits, |counter| hash.digest(&[&counter.to_be_bytes(), z, label, &[0], party_u, party_v]))
}

fn blocks(hash: NameAlgorithm, bits: u32, block: impl Fn(u32) -> Vec<u8>) -> Zeroizing<Vec<u8>> {
    let length = bits as usize / 8;
    let mut key = Zeroizing::new(Vec::with_capacity(length + hash.size()));
    let mut counter = 0u32;
    while key.len() < length {
        counter += 1;
        let part = Zeroizing::new(block(counter));
        key.extend_from_slice(&part);
    }
    key.truncate(length);
    key
}

/// A key or vector has a length that the cipher does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cipher key of a wrong length")]
pub struct CipherError;

/// Encrypts in place by AES-CFB with a key of 16 or 32 bytes.
pub(crate) fn cfb_encrypt(key: &[u8], iv: &[u8; 16], bytes: &mut [u8]) -> Result<(), CipherError> {
    match key.len() {
        16 => {
            cfb_mode::Encryptor::<Aes128>::new_from_slices(key, iv).map_err(|_| CipherError)?.encrypt(bytes)
        }
        32 => {
            cfb_mode::Encryptor::<Aes256>::new_from_slices(key, iv).map_err(|_| CipherError)?.encrypt(bytes)
        }
        _ => return Err(CipherError),
    }
    Ok(())
}

/// Decrypts in place by AES-CFB with a key of 16 or 32 bytes.
pub(crate) fn cfb_decrypt(key: &[u8], iv: &[u8; 16], bytes: &mut [u8]) -> Result<(), CipherError> {
    match key.len() {
        16 => {
            cfb_mode::Decryptor::<Aes128>::new_from_slices(key, iv).map_err(|_| CipherError)?.decrypt(bytes)
        }
        32 => {
            cfb_mode::Decryptor::<Aes256>::new_from_slices(key, iv).map_err(|_| CipherError)?.decrypt(bytes)
        }
        _ => return Err(CipherError),
    }
    Ok(())
}
