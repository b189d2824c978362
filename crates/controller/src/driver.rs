//! What a platform must do for enclaves. The process driver is the first; Kubernetes will be the second.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use names::{Digest, EnclaveId};
use server::trace::TraceContext;
use tokio::sync::watch;
use tokio::time::Instant;
use workload::Manifest;
use workload::launch::FacadeExit;

/// A future of a trait object's method.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The enclave.
    pub id: EnclaveId,
    /// Counter of its starts.
    pub incarnation: u64,
    /// Its version digest; names the measured copy.
    pub version: Digest,
    /// What the version consists of.
    pub manifest: Manifest,
    /// Its one host name.
    pub host: String,
    /// SHA-256 of the owner's key.
    pub owner: Digest,
    /// The span that its facade's spans belong into, where the start is traced.
    pub trace: Option<TraceContext>,
}

/// How an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As its facade says.
    Facade(FacadeExit),
    /// Its app used up its memory, and the kernel killed it.
    OutOfMemory,
    /// Killed, or with a code that is none of ours.
    Unknown,
}

/// An isolation step that this machine does not allow, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The stable code of the step, [`sandbox::Feature::code`].
    pub step: &'static str,
    /// Why, in words.
    pub reason: String,
}

/// The causes that a start may have below its reason; beside these the steps of isolation, the agent's and the signer's codes, and how
/// the app ended: `exit-N`, `signal-N`, `unknown`.
pub const CODES: &[&str] = &[
    "agent-unreachable",
    "blob-changed",
    "blob-missing",
    "control-groups",
    "disk-full",
    "folder-closed",
    "no-user-id",
    "unknown",
];

/// Why the platform did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The measured copy.
    #[error("the measured copy")]
    Copy(#[from] packing::CopyError),
    /// The files of the apps.
    #[error("the apps' files")]
    Blobs(#[from] packing::BlobError),
    /// A file or folder of the enclave.
    #[error("{what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The processes did not start.
    #[error("start the enclave's processes")]
    Spawn(#[source] std::io::Error),
    /// What a former run left over.
    #[error("end process {pid} of a former run")]
    Reap {
        /// Its process id.
        pid: u32,
        /// What the system says.
        source: std::io::Error,
    },
    /// This machine lacks what keeps apps apart. `dangerous_unisolated_apps` runs them all the same.
    #[error("apps are not run here without isolation: {} is missing ({})", .0.step, .0.reason)]
    NotIsolated(Missing),
    /// The control groups that bound its app.
    #[error("bound the app")]
    Groups(#[from] sandbox::GroupsError),
    /// Root's enclaves are users of their own or do not run: root without capabilities still owns the machine's sysctls.
    #[error("no user id is free for the enclave")]
    NoUid,
    /// As [`Self::NoUid`]: the enclave's user could not reach what it needs.
    #[error("{} is closed to the enclave's user: let others pass it (chmod o+x), or use a folder elsewhere", path.display())]
    Closed {
        /// The folder or file.
        path: PathBuf,
    },
    /// The launch file can't be written as text.
    #[error("the launch file")]
    Launch(#[from] serde_json::Error),
    /// A thread of the driver has ended.
    #[error("the driver has stopped")]
    Stopped,
}

impl DriverError {
    /// The stable code below the step that failed, where there is one.
    #[must_use]
    pub fn cause(&self) -> Option<&'static str> {
        let of_io = |error: &std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Some("disk-full"),
            _ => None,
        };
        let of_blob = |error: &packing::BlobError| match error {
            packing::BlobError::Missing(_) => Some("blob-missing"),
            packing::BlobError::Mismatch { .. } | packing::BlobError::TooLarge => Some("blob-changed"),
            packing::BlobError::Io { source, .. } => of_io(source),
        };
        match self {
            Self::Copy(packing::CopyError::Blob(error)) | Self::Blobs(error) => of_blob(error),
            Self::Copy(packing::CopyError::Content { .. } | packing::CopyError::Differs(_)) => {
                Some("blob-changed")
            }
            Self::Copy(packing::CopyError::Io { source, .. }) | Self::File { source, .. } => of_io(source),
            Self::Spawn(error) => of_io(error),
            Self::NoUid => Some("no-user-id"),
            Self::Closed { .. } => Some("folder-closed"),
            Self::NotIsolated(missing) => Some(missing.step),
            Self::Groups(_) => Some("control-groups"),
            Self::Reap { .. } | Self::Launch(_) | Self::Stopped => None,
        }
    }
}

/// A running instance. Dropping it ends it, hard.
pub trait Instance: Send + Sync {
    /// The process that holds it.
    fn process(&self) -> store::Process;

    /// Waits for the instance's word that it is ready; `Err` is how it ended instead.
    fn ready(&mut self) -> Pending<'_, Result<(), Exit>>;

    /// When it was last used, as its facade says. Only its owner is harmed by a lie.
    fn activity(&self) -> watch::Receiver<Instant>;

    /// The stable code that its facade gave for its end, if it gave one.
    fn cause(&self) -> Option<String>;

    /// Waits until it has ended by itself.
    fn ended(&mut self) -> Pending<'_, Exit>;

    /// Ends it: asks first, then by force.
    fn stop(&mut self) -> Pending<'_, ()>;
}

/// A platform for enclaves.
pub trait Driver: Send + Sync {
    /// What enclaves lack here, the same for all of them.
    fn missing(&self) -> &[Missing];

    /// Makes the measured copy of a version. Refuses where enclaves may not run here at all.
    ///
    /// # Errors
    /// [`DriverError`].
    fn prepare<'a>(&'a self, plan: &'a Plan) -> Pending<'a, Result<(), DriverError>>;

    /// Removes the copies that nobody has needed for this long, besides these versions; how many. Blocks.
    ///
    /// # Errors
    /// [`DriverError`].
    fn sweep(&self, in_use: &BTreeSet<Digest>, unused: Duration) -> Result<usize, DriverError>;

    /// SHA-256 of the facade that it starts.
    ///
    /// # Errors
    /// [`DriverError::File`].
    fn facade_digest(&self) -> Result<Digest, DriverError>;

    /// Starts the processes.
    ///
    /// # Errors
    /// [`DriverError`]; then nothing runs.
    fn start<'a>(&'a self, plan: &'a Plan) -> Pending<'a, Result<Box<dyn Instance>, DriverError>>;

    /// Ends what a former run left over, if it is still that very process.
    ///
    /// # Errors
    /// [`DriverError::Reap`]: it may still run.
    fn reap(&self, leftover: store::Process) -> Result<(), DriverError>;

    /// Where the edge finds the enclave.
    fn address(&self, id: &EnclaveId) -> PathBuf;

    /// The last bytes of the app's output.
    ///
    /// # Errors
    /// [`DriverError::File`].
    fn output(&self, id: &EnclaveId, max_bytes: u32) -> Result<Vec<u8>, DriverError>;

    /// Removes what is left of an enclave that has ended.
    ///
    /// # Errors
    /// [`DriverError::File`].
    fn remove(&self, id: &EnclaveId) -> Result<(), DriverError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_a_listed_code() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let digest = Digest::of(b"x");
        let errors = [
            DriverError::Spawn(full()),
            DriverError::Blobs(packing::BlobError::Missing(digest)),
            DriverError::Blobs(packing::BlobError::TooLarge),
            DriverError::NoUid,
            DriverError::Closed { path: PathBuf::from("/root") },
        ];
        for error in errors {
            let cause = error.cause();
            assert!(cause.is_some_and(|cause| CODES.contains(&cause)), "{error}: {cause:?}");
        }
    }
}
