//! Words to the service manager (sd_notify(3)): one datagram to the socket that it named, nothing where it named none.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where systemd says its notification socket is.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// All parts answer.
///
/// # Errors
/// Where there is a socket that does not take it.
pub fn ready() -> io::Result<()> {
    tell("READY=1")
}

/// The drain has begun.
///
/// # Errors
/// As [`ready`].
pub fn stopping() -> io::Result<()> {
    tell("STOPPING=1")
}

fn tell(word: &str) -> io::Result<()> {
    let Some(path) = env::var_os(VARIABLE) else { return Ok(()) };
    send(path.as_encoded_bytes(), word)
}

fn send(path: &[u8], word: &str) -> io::Result<()> {
    let address = match path.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        Some((b'/', _)) => SocketAddr::from_pathname(std::ffi::OsStr::new(
            std::str::from_utf8(path).map_err(io::Error::other)?,
        ))?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is no socket's address")),
    };
    UnixDatagram::unbound()?.send_to_addr(word.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_manager_hears_it_on_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.to_str().unwrap().as_bytes(), "READY=1").unwrap();
        let mut heard = [0; 32];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(heard.get(..length), Some(b"READY=1".as_slice()));
    }

    #[test]
    fn an_address_of_another_kind_is_an_error() {
        assert_eq!(send(b"vsock:2", "READY=1").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(send(b"/nowhere/at/all", "READY=1").is_err());
    }
}
