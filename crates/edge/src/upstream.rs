//! The way to a facade's socket, which lies in a folder that the enclave itself can write.
//!
//! Invariant: who listens there is the user whom that folder belongs to. A facade that went bad could put a symlink, or a
//! hard link, to another service's socket in its place, and the edge may be root; the kernel says who really listens.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::net::UnixStream;

/// Connects to a facade.
///
/// # Errors
/// What the system says; `PermissionDenied` where somebody else than the folder's owner listens.
pub(crate) async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let folder = socket.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let owner = std::fs::symlink_metadata(folder)?.uid();
    let facade = UnixStream::connect(socket).await?;
    if facade.peer_cred()?.uid() == owner { Ok(facade) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{chown, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_socket_of_another_user_is_not_dialled_through_a_symlink_of_the_enclave() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("admin.sock"), dir.path().join("run"));
        let _listener = UnixListener::bind(&ours).unwrap();
        std::fs::create_dir(&theirs).unwrap();
        symlink(&ours, theirs.join("tls")).unwrap();
        assert!(connect(&theirs.join("tls")).await.is_ok(), "one user, one boundary");
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "only root has enclaves of other users");
            eprintln!("NOT CHECKED: only root has enclaves of other users");
            return;
        }
        chown(&theirs, Some(3_200_000_000), None).unwrap();
        let refused = connect(&theirs.join("tls")).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
