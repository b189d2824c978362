//! The canonical bytes of a manifest: one manifest, one byte string, on any machine and in any language.
//!
//! ```text
//! bytes     = "sealwright/version/v1" command args env endpoint entries writable resources      (nothing after it)
//! text      = u32 length | UTF-8 bytes              list(x) = u32 count | that many x
//! command   = text
//! args      = list(text)                            in the order of the call
//! env       = list(text name | text value)          sorted by the name's bytes, names unique
//! endpoint  = u8 1 | u16 port                       TCP on 127.0.0.1
//!           | u8 2 | text path                      Unix stream socket
//! entries   = list(text path | kind)                sorted by the path's bytes, paths unique, "/" not among them
//! kind      = u8 1                                  directory
//!           | u8 2 | u8 executable | u64 size | 32 bytes SHA-256     file; executable is 0 or 1
//!           | u8 3 | text target                    symlink
//! writable  = list(text path)                       sorted by the path's bytes, paths unique
//! resources = optional u64 memory in bytes | optional u32 processes       optional = u8 0, or u8 1 | the value
//! ```
//! All integers are big-endian. Name and version are not in it: the publisher's signed record binds them to the digest.

use alloc::vec::Vec;

use names::Digest;
use sha2::Digest as _;

use crate::{Endpoint, Entry, Manifest};

/// The first bytes of the canonical form.
pub const VERSION_MAGIC: &[u8] = b"sealwright/version/v1";

impl Manifest {
    /// The canonical bytes, as documented at the top of this module.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION_MAGIC.to_vec();
        text(&mut bytes, self.command().as_str());
        list(&mut bytes, self.args(), |bytes, arg| text(bytes, arg));
        count(&mut bytes, self.env().len());
        for (name, value) in self.env() {
            text(&mut bytes, name);
            text(&mut bytes, value);
        }
        match self.endpoint() {
            Endpoint::Port(port) => {
                bytes.push(1);
                bytes.extend_from_slice(&port.to_be_bytes());
            }
            Endpoint::Socket(path) => {
                bytes.push(2);
                text(&mut bytes, path.as_str());
            }
        }
        list(&mut bytes, self.entries(), entry);
        list(&mut bytes, self.writable(), |bytes, path| text(bytes, path.as_str()));
        optional(&mut bytes, self.resources().memory.map(u64::to_be_bytes));
        optional(&mut bytes, self.resources().processes.map(u32::to_be_bytes));
        bytes
    }

    /// SHA-256 over the canonical bytes: statement field 10.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(sha2::Sha256::digest(self.canonical_bytes()).into())
    }
}

fn entry(bytes: &mut Vec<u8>, entry: &Entry) {
    text(bytes, entry.path().as_str());
    match entry {
        Entry::Directory { .. } => bytes.push(1),
        Entry::File { executable, size, sha256, .. } => {
            bytes.push(2);
            bytes.push(u8::from(*executable));
            bytes.extend_from_slice(&size.to_be_bytes());
            bytes.extend_from_slice(sha256.as_bytes());
        }
        Entry::Symlink { target, .. } => {
            bytes.push(3);
            text(bytes, target);
        }
    }
}

// Every length is far below u32::MAX: the bounds of `Manifest` hold here.
fn count(bytes: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&count.to_be_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    count(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn list<T>(bytes: &mut Vec<u8>, items: &[T], item: impl Fn(&mut Vec<u8>, &T)) {
    count(bytes, items.len());
    for each in items {
        item(bytes, each);
    }
}

fn optional<const N: usize>(bytes: &mut Vec<u8>, value: Option<[u8; N]>) {
    match value {
        None => bytes.push(0),
        Some(value) => {
            bytes.push(1);
            bytes.extend_from_slice(&value);
        }
    }
}
