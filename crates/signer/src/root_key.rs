//! The root's key in the TPM: made once, its blobs kept in the data folder, useless without the very TPM.

use std::path::Path;

use hardware::{Lane, LoadedKey, OwnerError, TpmError, TpmHandle};
use pki::{SigningError, SigningKey};
use tpm2::command::Created;

use crate::files;

/// Private and public blob, one file: a half-written pair can't be.
const BLOBS: &str = "root.key";

/// Why the root's key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// A blob could not be read or written.
    #[error("root key blobs")]
    File(#[source] std::io::Error),
    /// The blobs are not those of a key.
    #[error("root key blobs are damaged")]
    Blobs,
    /// The TPM did not make or load the key.
    #[error("TPM of the root key")]
    Tpm(#[from] TpmError),
    /// The TPM's owner did not answer.
    #[error("owner of the root key's TPM")]
    Owner(#[from] OwnerError),
    /// The TPM made a key that is no P-256 key.
    #[error("root key is not a P-256 key")]
    Key(#[from] tpm2::KeyError),
}

/// The root's key. Signs seldom: the root itself, and an issuing authority every half day.
pub struct TpmRootKey {
    tpm: TpmHandle,
    key: std::sync::Arc<LoadedKey>,
    spki: Vec<u8>,
}

impl TpmRootKey {
    /// Loads the key whose blobs are in `folder`; makes it if there are none. Blocks: not for async tasks.
    pub fn open(tpm: TpmHandle, folder: &Path) -> Result<Self, RootKeyError> {
        files::create_folder(folder).map_err(RootKeyError::File)?;
        let path = folder.join(BLOBS);
        let created = match load(&path)? {
            Some(created) => created,
            None => make(&tpm, &path)?,
        };
        let key = tpm.run_blocking(Lane::Activation, move |tpm| tpm.load_ca_key(&created))??;
        let spki = key.public().spki_der()?;
        Ok(Self { tpm, key: std::sync::Arc::new(key), spki })
    }
}

impl SigningKey for TpmRootKey {
    fn public_key_spki(&self) -> &[u8] {
        &self.spki
    }

    fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let digest = pki::sha256(message);
        let key = self.key.clone();
        let signed = self.tpm.run_blocking(Lane::Activation, move |tpm| tpm.sign_sha256(&key, &digest));
        match signed {
            Ok(Ok(signature)) => Ok(signature),
            Ok(Err(error)) => {
                tracing::error!(error = %server::telemetry::chain(&error), "root key did not sign");
                Err(SigningError::Holder)
            }
            Err(error) => {
                tracing::error!(%error, "root key did not sign");
                Err(SigningError::Holder)
            }
        }
    }
}

fn load(path: &Path) -> Result<Option<Created>, RootKeyError> {
    match files::read(path).map_err(RootKeyError::File)? {
        None => Ok(None),
        Some(blobs) => Ok(Some(Created::parse(&blobs).map_err(|_| RootKeyError::Blobs)?)),
    }
}

fn make(tpm: &TpmHandle, path: &Path) -> Result<Created, RootKeyError> {
    let created = tpm.run_blocking(Lane::Activation, |tpm| tpm.create_ca_key())??;
    let blobs = created.to_bytes().map_err(|_| RootKeyError::Blobs)?;
    files::write(path, &blobs).map_err(RootKeyError::File)?;
    Ok(created)
}
