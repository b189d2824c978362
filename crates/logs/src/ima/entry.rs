//! One entry of an IMA list and the hashes over its template data
//! (Linux, `security/integrity/ima/ima_template.c`, `ima_template_lib.c`, `ima_crypto.c`).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{MAX_ALGORITHM, MAX_EXTRA, MAX_FILE_DIGEST, MAX_PATH, PCR};
use crate::bank::{Bank, Value};

/// Bytes of a template hash in a list: always SHA-1.
pub(super) const TEMPLATE_HASH: usize = 20;
/// The `ima` template hashes the name padded with zeros to this size, and so can hold one byte less.
const OLD_NAME: usize = 256;
/// The `ima` template has a digest of this size, whatever hashed the file.
pub(super) const OLD_DIGEST: usize = 20;

/// Why an entry is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// The list ends inside it.
    #[error("the list ends inside it")]
    Truncated,
    /// It lacks a field, has one too many, or one that is not what the template says.
    #[error("its fields are not those of its template")]
    Fields,
    /// It is extended into another PCR than 10.
    #[error("it is not in PCR {PCR}")]
    Pcr,
    /// A template that is not read here.
    #[error("its template is unknown")]
    Template,
    /// The file digest has no algorithm, or not its algorithm's size.
    #[error("its file digest is malformed")]
    Digest,
    /// The path is empty, longer than [`MAX_PATH`] (255 in the `ima` template), or contains a NUL.
    #[error("its path is empty, too long or contains a NUL")]
    Path,
    /// The signature or buffer is larger than [`MAX_EXTRA`].
    #[error("its signature or buffer is larger than {MAX_EXTRA}")]
    ExtraTooLarge,
    /// The recorded template hash is not the hash of the recorded fields.
    #[error("its template hash does not recompute")]
    TemplateHash,
}

/// The layout of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Template {
    /// `ima`: SHA-1 (or MD5, padded) digest and name.
    Ima,
    /// `ima-ng`: digest with its algorithm, path.
    ImaNg,
    /// `ima-sig`: the same and a signature, which may be empty.
    ImaSig,
    /// `ima-buf`: the same and a measured buffer (keys, command lines).
    ImaBuf,
}

impl Template {
    /// The name in lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ima => "ima",
            Self::ImaNg => "ima-ng",
            Self::ImaSig => "ima-sig",
            Self::ImaBuf => "ima-buf",
        }
    }

    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        let all = [Self::Ima, Self::ImaNg, Self::ImaSig, Self::ImaBuf];
        all.into_iter().find(|template| template.as_str().as_bytes() == name)
    }

    pub(super) const fn has_extra(self) -> bool {
        match self {
            Self::Ima | Self::ImaNg => false,
            Self::ImaSig | Self::ImaBuf => true,
        }
    }
}

/// What a file's content hashed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest<'a> {
    algorithm: &'a str,
    size: usize,
    bytes: [u8; MAX_FILE_DIGEST],
}

impl<'a> FileDigest<'a> {
    /// A digest by the kernel's name of its algorithm. For algorithms that are not known here only the bounds are
    /// checked: such a digest equals no reference value, but must not make a list unreadable.
    #[must_use]
    pub fn new(algorithm: &'a str, digest: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_FILE_DIGEST];
        bytes.get_mut(..digest.len())?.copy_from_slice(digest);
        Self::of_size(algorithm, bytes, digest.len())
    }

    /// As [`Self::new`]; the bytes past the size are zero.
    pub(super) fn of_size(algorithm: &'a str, bytes: [u8; MAX_FILE_DIGEST], size: usize) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = match algorithm {
            "md5" => size == 16,
            "sha1" => size == 20,
            "sha224" => size == 28,
            "sha256" => size == 32,
            "sha384" => size == 48,
            "sha512" => size == 64,
            unknown => {
                (1..=MAX_ALGORITHM).contains(&unknown.len())
                    && unknown.bytes().all(is_plain)
                    && (1..=MAX_FILE_DIGEST).contains(&size)
            }
        };
        fits.then_some(Self { algorithm, size, bytes })
    }

    /// The kernel's name of the algorithm. The `ima` template does not tell it; `sha1` then means 20 bytes.
    #[must_use]
    pub const fn algorithm(&self) -> &'a str {
        self.algorithm
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }

    /// Whether it is this SHA-256 digest.
    #[must_use]
    pub fn is_sha256(&self, digest: &names::Digest) -> bool {
        self.algorithm == "sha256" && self.as_bytes() == digest.as_bytes()
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    template: Template,
    template_hash: [u8; TEMPLATE_HASH],
    digest: FileDigest<'a>,
    path: &'a [u8],
    extra: Cow<'a, [u8]>,
}

/// What both forms of a list say about an entry, not yet compared with each other.
pub(super) struct Fields<'a> {
    pub(super) template: Template,
    pub(super) digest: FileDigest<'a>,
    pub(super) path: &'a [u8],
    pub(super) extra: Cow<'a, [u8]>,
}

impl<'a> Entry<'a> {
    /// An `ima-ng` entry for a file with a SHA-256 digest: what a kernel would add. Spaces in the path become
    /// underscores, as in the kernel, before this is called.
    ///
    /// # Errors
    /// [`EntryFault::Path`].
    pub fn measured(path: &'a [u8], digest: &names::Digest) -> Result<Self, EntryFault> {
        let digest = FileDigest::new("sha256", digest.as_bytes()).ok_or(EntryFault::Digest)?;
        let fields = Fields { template: Template::ImaNg, digest, path, extra: Cow::Borrowed(&[]) };
        let unhashed = Self::unhashed(fields, [0; TEMPLATE_HASH])?;
        let hash = unhashed.template_data_hash(Bank::Sha1, &mut Vec::new());
        let template_hash = hash.as_bytes().first_chunk().ok_or(EntryFault::TemplateHash)?;
        Ok(Self { template_hash: *template_hash, ..unhashed })
    }

    /// The only way from a list to an entry.
    pub(super) fn recomputed(
        fields: Fields<'a>,
        template_hash: [u8; TEMPLATE_HASH],
        scratch: &mut Vec<u8>,
    ) -> Result<Self, EntryFault> {
        let entry = Self::unhashed(fields, template_hash)?;
        let mut recomputes = || entry.template_data_hash(Bank::Sha1, scratch).as_bytes() == template_hash;
        if entry.is_violation() || recomputes() { Ok(entry) } else { Err(EntryFault::TemplateHash) }
    }

    fn unhashed(fields: Fields<'a>, template_hash: [u8; TEMPLATE_HASH]) -> Result<Self, EntryFault> {
        let Fields { template, digest, path, extra } = fields;
        let longest = match template {
            Template::Ima => OLD_NAME.saturating_sub(1),
            Template::ImaNg | Template::ImaSig | Template::ImaBuf => MAX_PATH,
        };
        if !(1..=longest).contains(&path.len()) || path.contains(&0) {
            return Err(EntryFault::Path);
        }
        if extra.len() > MAX_EXTRA {
            return Err(EntryFault::ExtraTooLarge);
        }
        Ok(Self { template, template_hash, digest, path, extra })
    }

    /// The layout.
    #[must_use]
    pub const fn template(&self) -> Template {
        self.template
    }

    /// Whether the kernel could not measure it truly (open-writers, time of measure to time of use). The list then
    /// has zeros for a template hash and the PCR is extended with ones, so that nothing vouches for the path and
    /// the digest beside it.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.template_hash == [0; TEMPLATE_HASH]
    }

    /// The path as the kernel saw it, which need not be UTF-8; for buffers, the event's name.
    #[must_use]
    pub const fn path(&self) -> &'a [u8] {
        self.path
    }

    /// What the file's content hashed to.
    #[must_use]
    pub const fn digest(&self) -> &FileDigest<'a> {
        &self.digest
    }

    /// The signature (`ima-sig`) or buffer (`ima-buf`); empty where there is none.
    #[must_use]
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// What the kernel extends a bank of PCR 10 with: the bank's hash of the template data (since Linux 5.8; older
    /// kernels pad the SHA-1 hash, and their other banks do not replay here), or ones for a violation.
    #[must_use]
    pub fn extension(&self, bank: Bank) -> Value {
        self.extension_with(bank, &mut Vec::new())
    }

    /// As [`Self::extension`], with a buffer that a replay uses again and again.
    pub(super) fn extension_with(&self, bank: Bank, scratch: &mut Vec<u8>) -> Value {
        self.put_template_data(scratch);
        self.extension_of(bank, scratch)
    }

    /// As [`Self::extension`], of template data that is at hand.
    pub(super) fn extension_of(&self, bank: Bank, template_data: &[u8]) -> Value {
        if self.is_violation() {
            return Value::ones(bank);
        }
        match bank {
            Bank::Sha1 => Value::from_bytes(bank, &self.template_hash),
            Bank::Sha256 | Bank::Sha384 | Bank::Sha512 => None,
        }
        .unwrap_or_else(|| bank.hash(&[template_data]))
    }

    fn template_data_hash(&self, bank: Bank, scratch: &mut Vec<u8>) -> Value {
        self.put_template_data(scratch);
        bank.hash(&[scratch])
    }

    /// `ima_calc_field_array_hash_tfm`: each field with its length before it, except in the `ima` template. The data
    /// is put together before it is hashed: hash functions are slow on many small pieces.
    fn put_template_data(&self, scratch: &mut Vec<u8>) {
        scratch.clear();
        if self.template == Template::Ima {
            scratch.extend_from_slice(self.digest.as_bytes());
            scratch.extend_from_slice(self.path);
            scratch.resize(OLD_DIGEST.saturating_add(OLD_NAME), 0);
            return;
        }
        push_field(scratch, &[self.digest.algorithm.as_bytes(), b":\0", self.digest.as_bytes()]);
        push_field(scratch, &[self.path, b"\0"]);
        if self.template.has_extra() {
            push_field(scratch, &[&self.extra]);
        }
    }

    /// The line of `ascii_runtime_measurements`, with its line feed.
    #[must_use]
    pub fn to_ascii(&self) -> Vec<u8> {
        let digest = names::hex(self.digest.as_bytes());
        let hash = names::hex(&self.template_hash);
        let mut line = Vec::new();
        let (algorithm, colon) = match self.template {
            Template::Ima => ("", ""),
            Template::ImaNg | Template::ImaSig | Template::ImaBuf => (self.digest.algorithm, ":"),
        };
        for part in ["10 ", &hash, " ", self.template.as_str(), " ", algorithm, colon, &digest, " "] {
            line.extend_from_slice(part.as_bytes());
        }
        line.extend_from_slice(self.path);
        if self.template.has_extra() {
            line.push(b' ');
            line.extend_from_slice(names::hex(&self.extra).as_bytes());
        }
        line.push(b'\n');
        line
    }
}

/// A field with its length before it. The bounds keep lengths far below `u32::MAX`.
fn push_field(data: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    data.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    parts.iter().for_each(|part| data.extend_from_slice(part));
}
