//! What can be reached over TCP, and that none of it speaks in clear.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use testbed::{World, listeners};

/// Longest time for a listener to refuse.
const REFUSED: Duration = Duration::from_secs(10);

/// The original spoke plain HTTP behind a TLS name, and its inner gRPC was open to the network (portal.md 1.1, defects 2 and 7).
#[test]
fn only_gateway_and_edge_listen_and_both_refuse_plain_http() {
    let world = World::new();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    let gateway: SocketAddr = up.place().url.strip_prefix("https://").unwrap().parse().unwrap();
    let edge: SocketAddr = up.place().edge.parse().unwrap();

    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    let (outside, inside): (Vec<_>, Vec<_>) =
        listeners(&up.tree()).into_iter().partition(|listener| listener.network == ours);
    let app = |address: SocketAddr| address.ip().is_loopback() && address.port() == 8080;
    assert!(inside.iter().all(|listener| app(listener.address)), "{inside:#?}");
    let (of_up, others): (Vec<_>, Vec<_>) =
        outside.into_iter().partition(|listener| listener.process.process.pid == up.place().pid);
    let mut addresses: Vec<SocketAddr> = of_up.iter().map(|listener| listener.address).collect();
    addresses.sort();
    let mut expected = vec![gateway, edge];
    expected.sort();
    assert_eq!(addresses, expected);
    // Where this machine allows no network namespace, the app is on our loopback, and `doctor` says so.
    let without = inside.is_empty();
    assert!(others.iter().all(|listener| without && app(listener.address)), "{others:#?}");

    for address in [gateway, edge] {
        assert!(address.ip().is_loopback(), "{address}");
        for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let answer = plain(address, request);
            assert!(!answer.starts_with(b"HTTP/"), "{address}: {}", String::from_utf8_lossy(&answer));
            // Nothing, or one TLS alert: RFC 8446, 5.1 and 6.
            assert!(answer.is_empty() || answer.first() == Some(&21), "{address}: {answer:?}");
        }
    }
    // They are still there for those who speak TLS.
    alice.get("notes", "/");
}

/// What comes back until the other side closes.
fn plain(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(REFUSED)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("{address} did not refuse: {error}"),
    }
}
