//! Memory for keys: out of reach of other processes, core dumps and swap, as far as this kernel has it.
//!
//! Best first: memfd_secret(2), pages that the kernel itself no longer maps, so that neither `/proc/PID/mem` nor ptrace of
//! root gets at them (Linux 5.14, and `secretmem.enable=1` before 6.5); pages that are locked and left out of core dumps;
//! plain pages. All are wiped before they are given back. What a key is *used* for may copy it: see
//! `attested_tls::LocalKey`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap};
use zeroize::Zeroize;

/// Bytes of one secret at most; a page on every machine.
pub const MAX_SECRET: usize = 4096;

/// What kind of memory holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custody {
    /// memfd_secret(2): nobody but this process can read it, not through the kernel either.
    SecretMemory,
    /// Locked and left out of core dumps; who may trace this process can read it.
    Locked,
    /// Wiped after use, and no more than that.
    Plain,
}

impl Custody {
    /// The stable word for it in logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::SecretMemory => "memfd_secret",
            Self::Locked => "locked",
            Self::Plain => "plain",
        }
    }
}

/// Why there is no memory for a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is longer than [`MAX_SECRET`].
    #[error("the secret is longer than {MAX_SECRET} bytes")]
    TooLong,
    /// The kernel gives no page.
    #[error("map a page for a secret")]
    Map(#[source] io::Error),
}

/// A secret on a page of its own. No Debug, no Clone, wiped at the end. A forked child does not have it.
pub struct Secret {
    page: NonNull<u8>,
    length: usize,
    custody: Custody,
}

// SAFETY: the page belongs to this value alone and is only read after `new`, so any thread may hold or read it.
unsafe impl Send for Secret {}
// SAFETY: as for Send; there is no way to write through a shared reference.
unsafe impl Sync for Secret {}

impl Secret {
    /// Moves a secret to a page of its own, and wipes where it came from.
    ///
    /// # Errors
    /// [`SecretError`]; what was handed in is wiped all the same.
    pub fn take(from: &mut [u8]) -> Result<Self, SecretError> {
        let page = if from.len() > MAX_SECRET { Err(SecretError::TooLong) } else { map() };
        let taken = page.map(|(page, custody)| {
            // SAFETY: the page is new, writable, nobody else's, and at least MAX_SECRET bytes long.
            unsafe { page.as_ptr().copy_from_nonoverlapping(from.as_ptr(), from.len()) };
            Self { page, length: from.len(), custody }
        });
        from.zeroize();
        taken
    }

    /// The secret. Copy as little of it as you can.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        // SAFETY: `length` bytes of the page were written by `take`, and stay until `drop`.
        unsafe { std::slice::from_raw_parts(self.page.as_ptr(), self.length) }
    }

    /// What kind of memory it is in.
    #[must_use]
    pub const fn custody(&self) -> Custody {
        self.custody
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // SAFETY: the page is this value's, mapped by `map` with this length, and not used afterwards.
        unsafe {
            std::slice::from_raw_parts_mut(self.page.as_ptr(), MAX_SECRET).zeroize();
            munmap(self.page.as_ptr().cast(), MAX_SECRET).ok();
        }
    }
}

/// What kind of memory secrets get on this machine.
///
/// # Errors
/// [`SecretError`].
pub fn custody() -> Result<Custody, SecretError> {
    Secret::take(&mut [0]).map(|secret| secret.custody())
}

fn map() -> Result<(NonNull<u8>, Custody), SecretError> {
    if let Ok(page) = map_secret() {
        return Ok((page, Custody::SecretMemory));
    }
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new private mapping at an address that the kernel chooses.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), MAX_SECRET, access, MapFlags::PRIVATE) };
    let page = page.map_err(|error| SecretError::Map(error.into()))?;
    // SAFETY: the page is ours; it is pinned, and left out of dumps and of forked children.
    let locked = unsafe {
        mlock(page, MAX_SECRET)
            .and_then(|()| madvise(page, MAX_SECRET, Advice::LinuxDontDump))
            .and_then(|()| madvise(page, MAX_SECRET, Advice::LinuxDontFork))
    };
    let custody = if locked.is_ok() { Custody::Locked } else { Custody::Plain };
    let page =
        NonNull::new(page.cast()).ok_or_else(|| SecretError::Map(io::ErrorKind::OutOfMemory.into()))?;
    Ok((page, custody))
}

fn map_secret() -> io::Result<NonNull<u8>> {
    // SAFETY: the call takes a flag and gives a descriptor or -1.
    let raw = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just given us this descriptor.
    let file = unsafe { OwnedFd::from_raw_fd(raw) };
    rustix::fs::ftruncate(&file, MAX_SECRET as u64)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses, of a file that nobody else has.
    let page = unsafe { mmap(std::ptr::null_mut(), MAX_SECRET, access, MapFlags::SHARED, &file, 0) }?;
    // SAFETY: the page is ours.
    unsafe { madvise(page, MAX_SECRET, Advice::LinuxDontFork) }?;
    NonNull::new(page.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// This process leaves no core dump, and no other process of the same user can trace it or read its memory: prctl(2),
/// `PR_SET_DUMPABLE`. Its files in `/proc` belong to root from now on.
///
/// # Errors
/// What the kernel says.
pub fn keep_secrets() -> io::Result<()> {
    no_core_dump()?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// No core dump of this process and of those that it starts.
pub(crate) fn no_core_dump() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_secret_is_kept_and_its_source_is_wiped() {
        let mut source = *b"a secret of thirty-two bytes ...";
        let secret = Secret::take(&mut source).unwrap();
        assert_eq!(secret.expose(), b"a secret of thirty-two bytes ...");
        assert_eq!(source, [0; 32]);
        assert!(matches!(Secret::take(&mut [7; MAX_SECRET + 1]), Err(SecretError::TooLong)));
    }

    /// memfd_secret(2): not even the owner reads it through the kernel.
    #[test]
    fn a_secret_is_not_in_the_memory_that_the_kernel_shows() {
        let secret = Secret::take(&mut [0xa5; 32]).unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut seen = [0; 32];
        let read = memory.read_exact_at(&mut seen, secret.expose().as_ptr().addr() as u64);
        match secret.custody() {
            Custody::SecretMemory => assert!(read.is_err() && seen == [0; 32]),
            other => {
                assert!(std::env::var_os("CI").is_none(), "this kernel has no memfd_secret");
                eprintln!("NOT CHECKED: this kernel has no memfd_secret, secrets are {other:?}");
            }
        }
    }
}
