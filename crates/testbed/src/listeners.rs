//! Listening TCP sockets of processes, each in its own network namespace, from `/proc/PID/net/tcp` and `tcp6`: proc(5).

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::processes::Found;

/// State `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Who has it.
    pub process: Found,
    /// Where it listens.
    pub address: SocketAddr,
    /// The network namespace in which that is.
    pub network: PathBuf,
}

/// The listening TCP sockets of these processes.
#[must_use]
pub fn listeners(processes: &[Found]) -> Vec<Listener> {
    processes.iter().flat_map(of_process).collect()
}

fn of_process(process: &Found) -> Vec<Listener> {
    let proc = PathBuf::from(format!("/proc/{}", process.process.pid));
    let Ok(network) = fs::read_link(proc.join("ns/net")) else { return Vec::new() };
    let open = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
    let sockets: BTreeSet<String> = open
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut found = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        let table = fs::read_to_string(proc.join(table)).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (Some(local), Some(&LISTEN), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            if sockets.contains(*inode) {
                let address = address(local).expect("the kernel writes addresses in hex");
                found.push(Listener { process: process.clone(), address, network: network.clone() });
            }
        }
    }
    found
}

/// `0100007F:1F90`: words of the address in the machine's byte order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Option<Vec<u8>> = (0..ip.len() / 8)
        .map(|index| u32::from_str_radix(ip.get(index * 8..index * 8 + 8)?, 16).ok())
        .try_fold(Vec::new(), |mut bytes, word| {
            bytes.extend_from_slice(&word?.to_ne_bytes());
            Some(bytes)
        });
    let bytes = words?;
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let cases =
            [("0100007F:1F90", "127.0.0.1:8080"), ("00000000000000000000000001000000:0050", "[::1]:80")];
        for (text, expected) in cases {
            assert_eq!(address(text), expected.parse().ok());
        }
        assert_eq!(address("7F:1F90"), None);
    }
}
