//! The PROXY protocol, version 2: a load balancer says whose connection it passes on, ahead of the TLS bytes.
//!
//! TLS ends here, so no header of HTTP can say it. Who may is a list: a listed peer has to say it, and from anybody else those bytes
//! are no TLS and end the connection, so nobody chooses the address that limits and audit log see.
//! Format: haproxy's doc/proxy-protocol.txt, 2.2.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

/// For the whole header, which comes in one piece with the connection.
const DEADLINE: Duration = Duration::from_secs(5);
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// Addresses and what may stand behind them: 2.2 asks receivers for no more than 520 bytes after the fixed part.
const MAX_REST: usize = 520;
/// Most networks in a list.
pub(crate) const MAX_NETWORKS: usize = 64;

/// Addresses that begin alike: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not an address, or not `ADDRESS/BITS`.
    #[error("not an address or ADDRESS/BITS")]
    Form,
    /// More bits than the address has.
    #[error("the address has not that many bits")]
    Bits,
    /// Bits behind the network's part: probably another network was meant.
    #[error("the address has bits outside of the network")]
    Host,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NetworkError::Form)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(NetworkError::Bits);
        }
        let network = Self { address, bits };
        if network.prefix(address) == number(address) { Ok(network) } else { Err(NetworkError::Host) }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        format!("{}/{}", network.address, network.bits)
    }
}

/// The address as a number, its first bit the highest of 128.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Network {
    fn prefix(&self, address: IpAddr) -> u128 {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        number(address) & mask
    }

    /// Whether an address is in it; an IPv4 address that came over IPv6 is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.prefix(address) == number(self.address)
    }
}

/// Why a connection of a listed peer is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    /// It did not come in time, or not whole.
    #[error("read the PROXY header")]
    Read(#[from] io::Error),
    /// The bytes are something else, or version 1.
    #[error("the connection does not begin with a PROXY header of version 2")]
    Signature,
    /// A command, family or protocol that is none for us.
    #[error("PROXY header with command or family {0:#04x}")]
    Kind(u8),
    /// Shorter than its addresses, or longer than any.
    #[error("PROXY header of {0} bytes")]
    Length(usize),
}

/// Reads the header and nothing behind it. None where the balancer speaks for itself: a health check.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, HeaderError> {
    let read = async {
        let mut fixed = [0; FIXED];
        stream.read_exact(&mut fixed).await?;
        let (kind, length) = kind(&fixed)?;
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        kind.source(&rest)
    };
    tokio::time::timeout(DEADLINE, read)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    Tcp4,
    Tcp6,
}

/// The fixed part: whose the addresses are, and how many bytes follow.
fn kind(fixed: &[u8; FIXED]) -> Result<(Kind, usize), HeaderError> {
    let Some(&[command, family, high, low]) = fixed.strip_prefix(&SIGNATURE) else {
        return Err(HeaderError::Signature);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_REST {
        return Err(HeaderError::Length(length));
    }
    match (command, family) {
        // LOCAL: what follows is to be skipped whatever it says.
        (0x20, _) => Ok((Kind::Local, length)),
        // PROXY, of a family that the balancer can't tell: it is itself all that is known.
        (0x21, 0x00) => Ok((Kind::Local, length)),
        (0x21, 0x11) => Ok((Kind::Tcp4, length)),
        (0x21, 0x21) => Ok((Kind::Tcp6, length)),
        (0x21, other) => Err(HeaderError::Kind(other)),
        (other, _) => Err(HeaderError::Kind(other)),
    }
}

impl Kind {
    /// The source address, first of what follows.
    fn source(self, rest: &[u8]) -> Result<Option<IpAddr>, HeaderError> {
        let short = HeaderError::Length(rest.len());
        match self {
            Self::Local => Ok(None),
            // Two addresses and two ports.
            Self::Tcp4 => match rest.first_chunk::<12>().and_then(|addresses| addresses.first_chunk::<4>()) {
                Some(source) => Ok(Some(IpAddr::V4(Ipv4Addr::from(*source)))),
                None => Err(short),
            },
            Self::Tcp6 => {
                match rest.first_chunk::<36>().and_then(|addresses| addresses.first_chunk::<16>()) {
                    Some(source) => Ok(Some(IpAddr::V6(Ipv6Addr::from(*source)))),
                    None => Err(short),
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[command, family]);
        bytes.extend_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    const TCP4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x10, 0, 0x01, 0xbb];

    #[tokio::test]
    async fn the_source_is_read_and_what_follows_is_left() {
        let mut with_more = TCP4.to_vec();
        with_more.extend_from_slice(&[0x04, 0, 1, 0]); // a TLV, PP2_TYPE_NOOP
        for rest in [&TCP4[..], &with_more] {
            let mut bytes = header(0x21, 0x11, rest);
            bytes.extend_from_slice(b"\x16\x03\x01");
            let mut stream = bytes.as_slice();
            assert_eq!(read(&mut stream).await.unwrap(), Some("192.0.2.7".parse().unwrap()));
            assert_eq!(stream, b"\x16\x03\x01");
        }
        let mut tcp6 = [0; 36];
        tcp6[..2].copy_from_slice(&[0x20, 0x01]);
        let bytes = header(0x21, 0x21, &tcp6);
        assert_eq!(read(&mut bytes.as_slice()).await.unwrap(), Some("2001::".parse().unwrap()));
        for (command, family) in [(0x20, 0x00), (0x20, 0x11), (0x21, 0x00)] {
            let bytes = header(command, family, &TCP4);
            assert_eq!(read(&mut bytes.as_slice()).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let mut cut = header(0x21, 0x11, &TCP4);
        cut.pop();
        let cases = [
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4096 443\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaa".to_vec(),
            header(0x11, 0x11, &TCP4),
            header(0x22, 0x11, &TCP4),
            header(0x21, 0x12, &TCP4),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x11, &TCP4[..11]),
            header(0x21, 0x21, &TCP4),
            header(0x20, 0x00, &[0; MAX_REST + 1]),
            cut,
            vec![],
        ];
        for case in cases {
            assert!(read(&mut case.as_slice()).await.is_err(), "{case:02x?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_is_not_waited_for() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        assert!(
            matches!(read(&mut ours).await, Err(HeaderError::Read(error)) if error.kind() == io::ErrorKind::TimedOut)
        );
    }

    #[test]
    fn networks_have_one_meaning() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("192.0.2.7", "::ffff:192.0.2.7") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && !contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001:db8::1") && contains("0.0.0.0/0", "192.0.2.7"));
        for (text, error) in [
            ("10.0.0.1/8", NetworkError::Host),
            ("10.0.0.0/33", NetworkError::Bits),
            ("10.0.0/8", NetworkError::Form),
            ("10.0.0.0/", NetworkError::Form),
            ("proxy.example", NetworkError::Form),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
        assert_eq!(String::from("10.0.0.0/8".parse::<Network>().unwrap()), "10.0.0.0/8");
    }
}
