//! From `app.yaml` to manifest and blobs, and from blobs to a measured file system.
//!
//! [`AppSpec`] is what a publisher writes; [`pack`] resolves it to a [`workload::Manifest`] and the files behind it;
//! [`Blobs`] keeps files by their SHA-256; [`materialise`] builds the read-only copy that an enclave runs from.
//!
//! Not here: the digest's definition (crate `workload`), mounts and processes (crate `sandbox`), signatures.
//! The CLI packs, the gateway stores blobs, the controller materialises.

mod blobs;
mod copy;
mod elf;
mod libraries;
mod pack;
mod plan;
mod spec;

pub use blobs::{Aside, BlobError, BlobWriter, Blobs};
pub use copy::{
    CopyError, Materialised, discard_copy, materialise, remove_copy, remove_leftovers, rootfs, verify_copy,
};
pub use pack::{Packed, Progress, pack};
pub use plan::PackError;
pub use spec::{AppSpec, FileSpec, SpecError};

use std::io::Read;

use names::Digest;
use sha2::Digest as _;

const CHUNK: usize = 64 * 1024;

/// Reads to the end, hands every chunk to `each`, and returns length and SHA-256.
fn hash_chunks(
    mut reader: impl Read,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<(u64, Digest)> {
    let mut hash = sha2::Sha256::new();
    let mut chunk = vec![0u8; CHUNK];
    let mut size: u64 = 0;
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return Ok((size, Digest::from_bytes(hash.finalize().into()))),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = chunk.get(..read).unwrap_or_default();
        hash.update(bytes);
        each(bytes)?;
        size = size.saturating_add(read as u64);
    }
}
