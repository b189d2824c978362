//! The door itself: a Unix socket that only this user can reach, or a port of the loopback interface.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::either::Either;

use super::gate::{Admission, Gate, Keys};
use super::peer;
use super::problem::{Refusal, Trouble};
use crate::files::{self, FileError};

/// Longest path of a Unix socket: `sun_path` of Linux, unix(7), with its end.
const SOCKET_PATH_BYTES: usize = 107;
/// Pause after the kernel could not give a connection: too many open files pass.
const BREATH: Duration = Duration::from_millis(50);
/// What somebody who is turned away gets to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where a door is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An address of the loopback interface; port 0 is any free one.
    Tcp(SocketAddr),
}

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Somebody listens there already.
    #[error("{0} is in use")]
    InUse(String),
    /// There is something else than a socket.
    #[error("{} is there, and is no socket", .0.display())]
    NotASocket(PathBuf),
    /// The path is longer than the kernel takes.
    #[error("{} is longer than {SOCKET_PATH_BYTES} bytes, too long for a socket", .0.display())]
    TooLong(PathBuf),
    /// An address that others than this machine can reach.
    #[error("{0} is no address of the loopback interface")]
    NotLoopback(SocketAddr),
    /// The operating system says no.
    #[error("{what} can't be opened")]
    Io {
        /// Which place.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder can't be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operating system gives no random bytes.
    #[error("no random bytes for a secret")]
    Random,
}

/// A connection by the door.
pub(super) type Stream = Either<UnixStream, TcpStream>;

/// Somebody who came in.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) guest: Guest,
    pub(super) room: OwnedSemaphorePermit,
}

/// Somebody who did not.
pub(super) struct TurnedAway {
    pub(super) stream: Stream,
    pub(super) refusal: Refusal,
}

/// What a guest still has to show with each request.
pub(super) enum Guest {
    /// Nothing: the kernel says whose it is.
    Known,
    /// What the gate asks for.
    AtGate(Arc<Gate>),
}

impl Guest {
    pub(super) fn admit<B>(&self, request: &::http::Request<B>) -> Admission {
        match self {
            Self::Known => Gate::form(request),
            Self::AtGate(gate) => gate.admit(request),
        }
    }

    /// The cookie that is ours and not the enclave's.
    pub(super) fn cookie(&self) -> Option<&str> {
        match self {
            Self::Known => None,
            Self::AtGate(gate) => Some(gate.cookie_name()),
        }
    }
}

/// An open door. Dropped, it is closed, and its socket gone.
pub struct Door {
    listener: Listener,
    user: u32,
}

enum Listener {
    Unix { listener: UnixListener, file: SocketFile },
    Tcp { listener: TcpListener, address: SocketAddr, gate: Arc<Gate> },
}

impl Door {
    /// Opens a door.
    ///
    /// # Errors
    /// [`DoorError`].
    pub async fn open(place: &Place) -> Result<Self, DoorError> {
        let listener = match place {
            Place::Unix(path) => {
                let (listener, file) = SocketFile::bind(path).await?;
                Listener::Unix { listener, file }
            }
            Place::Tcp(address) if !address.ip().is_loopback() => {
                return Err(DoorError::NotLoopback(*address));
            }
            Place::Tcp(address) => {
                let fault = |source: io::Error| match source.kind() {
                    io::ErrorKind::AddrInUse => DoorError::InUse(address.to_string()),
                    _ => DoorError::Io { what: address.to_string(), source },
                };
                let listener = TcpListener::bind(address).await.map_err(fault)?;
                let address = listener.local_addr().map_err(fault)?;
                let gate = Arc::new(Gate::new(address).ok_or(DoorError::Random)?);
                Listener::Tcp { listener, address, gate }
            }
        };
        Ok(Self { listener, user: rustix::process::geteuid().as_raw() })
    }

    /// Where it is: a path, or `http://ADDRESS`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.listener {
            Listener::Unix { file, .. } => file.path.display().to_string(),
            Listener::Tcp { address, .. } => format!("http://{address}"),
        }
    }

    /// The secrets of a door that has some.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        match &self.listener {
            Listener::Unix { .. } => None,
            Listener::Tcp { gate, .. } => Some(gate.keys()),
        }
    }

    /// The next one who comes, as soon as there is room. Others than this user are turned away.
    pub(super) async fn accept(&self, rooms: &Arc<Semaphore>) -> Result<Accepted, TurnedAway> {
        // The semaphore is never closed.
        let room = loop {
            if let Ok(room) = Arc::clone(rooms).acquire_owned().await {
                break room;
            }
        };
        loop {
            let (stream, guest, user) = match &self.listener {
                Listener::Unix { listener, .. } => match listener.accept().await {
                    Ok((stream, _)) => {
                        let user = stream.peer_cred().ok().map(|peer| peer.uid());
                        (Either::Left(stream), Guest::Known, user)
                    }
                    Err(_) => {
                        tokio::time::sleep(BREATH).await;
                        continue;
                    }
                },
                Listener::Tcp { listener, address, gate } => match listener.accept().await {
                    Ok((stream, peer)) => {
                        let address = *address;
                        let owner = tokio::task::spawn_blocking(move || peer::owner_of(peer, address)).await;
                        let user = owner.ok().and_then(Result::ok).flatten();
                        // Small answers should not wait for more. Where it can't be set they only do.
                        let _ = stream.set_nodelay(true);
                        (Either::Right(stream), Guest::AtGate(Arc::clone(gate)), user)
                    }
                    Err(_) => {
                        tokio::time::sleep(BREATH).await;
                        continue;
                    }
                },
            };
            return match user == Some(self.user) {
                true => Ok(Accepted { stream, guest, room }),
                false => Err(TurnedAway { stream, refusal: Refusal::Peer }),
            };
        }
    }
}

impl TurnedAway {
    /// Says why, for those who listen, and hangs up.
    pub(super) async fn farewell(self) {
        let Self { mut stream, refusal } = self;
        let json = Trouble::from(refusal).json();
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            api::paths::PROBLEM_MEDIA_TYPE,
            json.len()
        );
        let say = async {
            stream.write_all(&[head.as_bytes(), &json].concat()).await?;
            stream.shutdown().await?;
            // What was sent meanwhile is read and forgotten; closed with it unread, the answer would be lost.
            let mut ignored = [0; 512];
            while stream.read(&mut ignored).await? > 0 {}
            io::Result::Ok(())
        };
        // Who does not listen is not waited for.
        let _ = tokio::time::timeout(FAREWELL, say).await;
    }
}

/// A socket in the file system, removed with this.
struct SocketFile {
    path: PathBuf,
    /// Device and inode: what is removed is what was made.
    made: (u64, u64),
}

impl SocketFile {
    /// Binds where nobody else can reach it, and puts it in place then: mode 0600 from the first moment on.
    async fn bind(path: &Path) -> Result<(UnixListener, Self), DoorError> {
        let fault = |source| DoorError::Io { what: path.display().to_string(), source };
        let path = std::path::absolute(path).map_err(fault)?;
        if let Some(folder) = path.parent() {
            files::make_private_folder(folder)?;
        }
        make_way(&path).await?;
        let private = path.with_extension(format!("{}", std::process::id()));
        let inner = private.join("s");
        if path.as_os_str().len().max(inner.as_os_str().len()) > SOCKET_PATH_BYTES {
            return Err(DoorError::TooLong(path));
        }
        // A leftover of an earlier process with this number.
        let _ = fs::remove_file(&inner).and_then(|()| fs::remove_dir(&private));
        files::make_private_folder(&private)?;
        let bound = UnixListener::bind(&inner).and_then(|listener| {
            fs::set_permissions(&inner, fs::Permissions::from_mode(0o600))?;
            let found = fs::symlink_metadata(&inner)?;
            fs::rename(&inner, &path)?;
            Ok((listener, (found.dev(), found.ino())))
        });
        let _ = fs::remove_file(&inner);
        let _ = fs::remove_dir(&private);
        let (listener, made) =
            bound.map_err(|source| DoorError::Io { what: path.display().to_string(), source })?;
        Ok((listener, Self { path, made }))
    }
}

/// Removes a socket that nobody answers at.
async fn make_way(path: &Path) -> Result<(), DoorError> {
    let fault = |source| DoorError::Io { what: path.display().to_string(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(DoorError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fault)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fault(error)),
        Ok(_) => Err(DoorError::InUse(path.display().to_string())),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.made);
        if ours {
            // Where it can't be removed, the next door makes its way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_and_gone_with_its_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/notes.sock");
        let door = Door::open(&Place::Unix(path.clone())).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let inner = path.parent().unwrap();
        assert_eq!(fs::metadata(inner).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(inner).unwrap().count(), 1, "nothing is left beside it");
        drop(door);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_makes_way_a_living_one_and_a_file_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let place = Place::Unix(path.clone());
        let door = Door::open(&place).await.unwrap();
        assert!(matches!(Door::open(&place).await, Err(DoorError::InUse(_))));
        drop(door);
        fs::write(&path, "mine").unwrap();
        assert!(matches!(Door::open(&place).await, Err(DoorError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn a_socket_of_somebody_else_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.sock");
        let door = Door::open(&Place::Unix(path.clone())).await.unwrap();
        fs::remove_file(&path).unwrap();
        let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(door);
        assert!(path.exists());
        drop(other);
    }

    #[tokio::test]
    async fn a_door_is_never_open_to_other_machines() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let opened = Door::open(&Place::Tcp(address.parse().unwrap())).await;
            assert!(matches!(opened, Err(DoorError::NotLoopback(_))), "{address}");
        }
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_told_as_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(120));
        assert!(matches!(Door::open(&Place::Unix(path)).await, Err(DoorError::TooLong(_))));
    }
}
