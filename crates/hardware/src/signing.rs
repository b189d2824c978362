//! Keys that sign for a certificate authority and never leave the TPM.

use tpm2::command::{Create, Created, GetRandom, Load, Sign};
use tpm2::{Handle, template};

use crate::error::TpmError;
use crate::slots::LoadedKey;
use crate::tpm::{EMPTY, Tpm};

impl Tpm {
    /// Makes a P-256 signing key below the storage root key. The blobs are for the caller to keep; only this TPM can
    /// load them.
    pub fn create_ca_key(&mut self) -> Result<Created, TpmError> {
        let root = self.storage_root()?;
        let [parent] = self.entities([&root])?;
        let template = template::signing_key_p256()?;
        self.execute(&Create { parent, template: &template, auth_value: &[], data: &[] }, &mut [EMPTY])
    }

    /// Loads a key that [`Self::create_ca_key`] made.
    pub fn load_ca_key(&mut self, key: &Created) -> Result<LoadedKey, TpmError> {
        let root = self.storage_root()?;
        let [parent] = self.entities([&root])?;
        let handle = self.execute(&Load { parent, object: key }, &mut [EMPTY])?;
        Ok(self.adopt(handle, key.public.clone()))
    }

    /// Signs a SHA-256 digest with a P-256 key; DER as in X.509.
    pub fn sign_sha256(&mut self, key: &LoadedKey, digest: &[u8; 32]) -> Result<Vec<u8>, TpmError> {
        let [key] = self.entities([key])?;
        let signature = self.execute(&Sign { key, digest }, &mut [EMPTY])?;
        Ok(signature.to_p256_der()?)
    }

    /// Random bytes of the TPM; it may give fewer.
    pub fn random(&mut self, count: u16) -> Result<Vec<u8>, TpmError> {
        self.execute(&GetRandom(count), &mut [])
    }

    fn storage_root(&mut self) -> Result<LoadedKey, TpmError> {
        self.create_primary(Handle::OWNER, &template::storage_root_p256()?)
    }
}
