//! What the first process of an enclave does for its namespaces before it starts the app.

use std::fs;
use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};
use workload::Endpoint;
use workload::launch::Isolation;

const LOW_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
const FIRST_HIGH_PORT: u16 = 1024;

/// Why the enclave's namespaces can't be used.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// The loopback interface stays down.
    #[error("bring the loopback interface up")]
    Loopback(#[source] io::Error),
    /// Ports below 1024 stay closed.
    #[error("open ports below 1024 ({LOW_PORTS})")]
    LowPorts(#[source] io::Error),
}

/// Brings the loopback interface up and opens low ports, where the enclave has a network of its own.
///
/// # Errors
/// [`InsideError`].
pub fn prepare_enclave(isolation: &Isolation, endpoint: &Endpoint) -> Result<(), InsideError> {
    if !isolation.enclave.network {
        return Ok(());
    }
    loopback_up().map_err(InsideError::Loopback)?;
    match (fs::write(LOW_PORTS, "0"), endpoint) {
        (Err(error), Endpoint::Port(..FIRST_HIGH_PORT)) => Err(InsideError::LowPorts(error)),
        (Ok(()) | Err(_), Endpoint::Port(_) | Endpoint::Socket(_)) => Ok(()),
    }
}

// rtnetlink(7), netlink(7): struct nlmsghdr, struct ifinfomsg, struct nlmsgerr; numbers in the machine's byte order.
const RTM_NEWLINK: u16 = 16;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const IFF_UP: u32 = 1;
const LOOPBACK_INDEX: i32 = 1;
const MESSAGE_LENGTH: u32 = 32;

fn loopback_up() -> io::Result<()> {
    let mut message = Vec::with_capacity(MESSAGE_LENGTH as usize);
    message.extend_from_slice(&MESSAGE_LENGTH.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message.extend_from_slice(&[0; 8]); // sequence, port
    message.extend_from_slice(&[0; 4]); // family, padding, type
    message.extend_from_slice(&LOOPBACK_INDEX.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes()); // flags
    message.extend_from_slice(&IFF_UP.to_ne_bytes()); // which flags change

    // No protocol means 0, which is NETLINK_ROUTE.
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0u8; 512];
    let (_, length) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let answer = answer.get(..length).unwrap_or_default();
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(io::Error::from_raw_os_error(-error)),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}
