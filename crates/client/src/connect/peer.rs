//! Who is at the other end of a connection on this machine.
//!
//! Over a Unix socket the kernel says it. Over loopback TCP the kernel's table of sockets does: the row whose local address
//! is our peer's address belongs to the peer, and names its user. What is in no table is nobody.

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

/// Largest table that is read.
const TABLE_BYTES: u64 = 64 << 20;
/// `TCP_ESTABLISHED` of Linux, include/net/tcp_states.h.
const ESTABLISHED: &str = "01";

/// The user id that owns the socket at `peer`, connected to our `local`; `None` where there is no such socket.
pub(super) fn owner_of(peer: SocketAddr, local: SocketAddr) -> io::Result<Option<u32>> {
    // A socket of IPv6 can speak IPv4: then it is in the other table, its addresses mapped (RFC 4291, 2.5.5.2).
    let tables = [("/proc/self/net/tcp", peer, local), ("/proc/self/net/tcp6", mapped(peer), mapped(local))];
    for (table, peer, local) in tables {
        let mut text = String::new();
        match fs::File::open(table) {
            Ok(file) => file.take(TABLE_BYTES).read_to_string(&mut text)?,
            // A kernel without IPv6 has no table of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Some(owner) = find(&text, peer, local) {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// proc_pid_net(5): `sl local_address rem_address st tx:rx tr:when retrnsmt uid …`.
fn find(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let (peer, local) = (written(peer), written(local));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (here, there, state) = (fields.next()?, fields.next()?, fields.next()?);
        let owner = fields.nth(3)?;
        (here == peer && there == local && state == ESTABLISHED).then(|| owner.parse().ok())?
    })
}

/// An address as the tables have it: 32-bit words of the address as this machine reads them, in hex.
fn written(address: SocketAddr) -> String {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let ip = match address.ip() {
        IpAddr::V4(ip) => word(ip.octets()),
        IpAddr::V6(ip) => ip.octets().as_chunks::<4>().0.iter().map(|bytes| word(*bytes)).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     7        0 562 1 0 100 0 0 10 0
   1: 0100007F:D431 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   2: 0100007F:D431 0100007F:1F91 01 00000000:00000000 00:00000000 00000000  1001        0 563 1 0
   3: 0100007F:D432 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 564 1 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn only_the_established_socket_between_both_addresses_counts() {
        let local: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(find(TABLE, "127.0.0.1:54322".parse().unwrap(), local), Some(1000));
        assert_eq!(
            find(TABLE, "127.0.0.1:54321".parse().unwrap(), local),
            None,
            "closing, or to another port"
        );
        assert_eq!(find(TABLE, "127.0.0.1:1".parse().unwrap(), local), None);
        assert_eq!(find("", local, local), None);
        assert_eq!(find("x\n0: a\n", local, local), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_written_as_the_kernel_does() {
        for (address, text) in [
            ("127.0.0.1:80", "0100007F:0050"),
            ("[::1]:80", "00000000000000000000000001000000:0050"),
            ("[::ffff:127.0.0.1]:80", "0000000000000000FFFF00000100007F:0050"),
        ] {
            assert_eq!(written(address.parse().unwrap()), text);
        }
    }

    #[test]
    fn the_kernel_knows_whose_our_own_connection_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_server, peer) = listener.accept().unwrap();
        let found = owner_of(peer, client.peer_addr().unwrap()).unwrap();
        assert_eq!(found, Some(rustix::process::geteuid().as_raw()));
        let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert_eq!(owner_of(nobody, client.peer_addr().unwrap()).unwrap(), None);
    }
}
