//! From `app.yaml` to a published app: measured here, signed with the user's key, only what is missing is uploaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ::names::Digest;
use api::apps::{PublishApp, RECORD_TYP};
use packing::{AppSpec, PackError, SpecError};
use pki::jws::{self, JwsError, KeyHint};
use workload::{AppName, AppVersion, Manifest, VersionRecord};

use crate::error::{Error, InputError};
use crate::gateway::Gateway;
use crate::profile::Profile;
use crate::references::{Wanted, vouch};
use crate::time;

/// Largest `app.yaml`.
const SPEC_BYTES: u64 = 1 << 20;

/// Why an app can't be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The app.yaml breaks a rule.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A file can't be read, or the whole breaks a rule.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The record can't be signed.
    #[error(transparent)]
    Sign(#[from] JwsError),
    /// A file is not any more what it was when it was measured.
    #[error("the server asks for {0}, which is no file of this app")]
    UnknownBlob(Digest),
    /// The server has put something else on record.
    #[error("the server has recorded another digest ({0})")]
    OtherDigest(Digest),
}

/// A program, measured.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Its name.
    pub name: AppName,
    /// Its version.
    pub version: AppVersion,
    /// What it is.
    pub manifest: Manifest,
    /// SHA-256 over the manifest's canonical form.
    pub digest: Digest,
    sources: BTreeMap<Digest, PathBuf>,
}

/// How far packing or publishing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Files are being hashed.
    Measuring {
        /// Files that were hashed.
        done: usize,
        /// Files in all.
        of: usize,
    },
    /// Files are being uploaded.
    Uploading {
        /// Files that were uploaded.
        done: usize,
        /// Files that were missing.
        of: usize,
    },
}

/// A program, on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What was signed.
    pub record: VersionRecord,
    /// SHA-256 of the publisher's key.
    pub publisher: Digest,
    /// Files of the app.
    pub files: usize,
    /// Files that were uploaded.
    pub uploaded: usize,
}

impl Packed {
    /// Measures what an `app.yaml` describes. Needs no server.
    ///
    /// # Errors
    /// [`Error::Input`] where the file can't be read, [`Error::Publish`] where it or its files break a rule.
    pub fn from_file(path: &Path, mut on_step: impl FnMut(Step)) -> Result<Self, Error> {
        let input = |source| Error::Input { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(|error| input(error.into()))?.len();
        if size > SPEC_BYTES {
            return Err(input(InputError::TooLarge(SPEC_BYTES)));
        }
        let text = fs::read_to_string(path).map_err(|error| input(error.into()))?;
        let spec = AppSpec::from_yaml(&text).map_err(|error| {
            input(InputError::Malformed { expected: "an app.yaml", problem: error.to_string() })
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        let packed = packing::pack(&spec, base, |at| {
            on_step(Step::Measuring { done: at.files_done, of: at.files });
        })
        .map_err(PublishError::from)?;
        let digest = packed.manifest.digest();
        let packing::Packed { manifest, sources } = packed;
        Ok(Self { name: spec.name, version: spec.version, manifest, digest, sources })
    }

    /// Number of different files.
    #[must_use]
    pub fn files(&self) -> usize {
        self.sources.len()
    }

    fn record(&self, now: u64) -> VersionRecord {
        let (name, version) = (self.name.clone(), self.version.clone());
        VersionRecord { name, version, digest: self.digest, issued_at: now }
    }
}

/// Signs a record with the user's key, the self-signed certificate beside it.
fn sign_record(profile: &Profile, record: &VersionRecord) -> Result<String, PublishError> {
    let chain = KeyHint::Chain(vec![profile.certificate().der().to_vec()]);
    Ok(jws::sign(RECORD_TYP, &chain, record, profile.key())?)
}

impl Gateway {
    /// Uploads what the server lacks, and publishes. The user's own key counts for this app from then on.
    ///
    /// # Errors
    /// [`Error::Publish`], and what the gateway says.
    pub async fn publish_app(
        &mut self,
        app: &Packed,
        mut on_step: impl FnMut(Step),
    ) -> Result<Published, Error> {
        let digests: Vec<Digest> = app.sources.keys().copied().collect();
        let missing = self.missing_blobs(&digests).await?;
        on_step(Step::Uploading { done: 0, of: missing.len() });
        for (index, digest) in missing.iter().enumerate() {
            let source = app.sources.get(digest).ok_or(PublishError::UnknownBlob(*digest))?;
            self.put_blob(digest, source).await?;
            on_step(Step::Uploading { done: index + 1, of: missing.len() });
        }
        let record = app.record(time::now());
        let signed = sign_record(self.profile(), &record)?;
        let published = self.publish(&PublishApp { manifest: app.manifest.clone(), record: signed }).await?;
        if published.digest != app.digest {
            return Err(PublishError::OtherDigest(published.digest).into());
        }
        let publisher = self.profile().key_hash();
        self.profile().remember(|memory| {
            memory.published(app.name.clone(), app.version.clone(), app.digest, publisher);
            // What the server has on record now: where it was published before, with the time of then.
            vouch(memory, &app.name, &published, Wanted::Named).map(drop).map_err(Error::from)
        })?;
        Ok(Published { record, publisher, files: app.files(), uploaded: missing.len() })
    }
}
