//! What an application is: its manifest, the version digest over it, and how an enclave of it is launched.
//!
//! A [`Manifest`] is the whole of what runs: command, arguments, environment, the one endpoint, and every file of the
//! file system. Its digest is what a publisher signs ([`VersionRecord`]) and what a statement carries in field 10.
//! [`launch`] is the configuration that the controller hands to a facade.
//!
//! Not here: reading `app.yaml` and files (crate `packing`), starting anything (crate `sandbox`).
//! The packer, the gateway, the controller, the facade and the client call it.
#![no_std]
extern crate alloc;

mod canonical;
mod entry;
pub mod launch;
mod manifest;
mod path;
mod record;

pub use canonical::VERSION_MAGIC;
pub use entry::Entry;
pub use manifest::{
    Endpoint, MAX_ARGUMENTS, MAX_ENTRIES, MAX_ENVIRONMENT, MAX_TEXT, MAX_TOTAL_SIZE, MAX_WRITABLE, Manifest,
    ManifestError, ManifestParts, Resources,
};
pub use path::{FilePath, MAX_PATH, PathError};
pub use record::{AppName, AppVersion, RecordError, VersionRecord};

/// SHA-256 over a manifest's canonical bytes.
pub type VersionDigest = names::Digest;
