//! Unix listeners whose peers are known: each connection carries who opened it.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

pub use sandbox::{is_below, status as process};
use tokio::net::{UnixListener, UnixStream};

/// Who opened a connection, as the kernel says (`SO_PEERCRED`), with the process's start time so that a reused pid is
/// another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Process id in our pid namespace.
    pub pid: u32,
    /// User id in our user namespace.
    pub uid: u32,
    /// Start time of that process in clock ticks after boot (`/proc/PID/stat` field 22).
    pub start_time: u64,
}

/// Listens on a path with the given mode. A stale socket is replaced; anything else at the path is an error.
///
/// # Errors
/// What the file system or the kernel says.
pub fn listen(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "path is in use and not a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// The peer of a connection.
///
/// # Errors
/// Where the kernel does not say, or the process is gone already.
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    let unknown = || io::Error::new(io::ErrorKind::PermissionDenied, "peer process is not known");
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let pid = pid.ok_or_else(unknown)?;
    Ok(Peer { pid, uid: credentials.uid(), start_time: process(pid)?.start_time })
}

/// Whether a peer may speak to the control plane at all: nobody in a pid namespace below ours may, whoever its user is. Where
/// the controller is a plain user, a facade is the same user and the socket's mode does not keep it away.
///
/// # Errors
/// `PermissionDenied` for an enclave's process; an error too where the peer has ended by now.
pub fn no_enclaves(stream: &UnixStream) -> io::Result<()> {
    // A process that is not in or below our namespace has no number here: it can't be an enclave's.
    let Some(pid) = stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
    else {
        return Ok(());
    };
    if is_below(pid)? {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the peer is a process of an enclave"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The original asked nobody who called its inner services (portal.md 1.1, defect 7).
    #[tokio::test]
    async fn the_peer_of_a_connection_is_this_process() {
        let (left, _right) = UnixStream::pair().unwrap();
        let peer = peer(&left).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.start_time, process(peer.pid).unwrap().start_time);
        assert_eq!(process(peer.pid).unwrap().parent, std::os::unix::process::parent_id());
        no_enclaves(&left).unwrap();
    }
}
