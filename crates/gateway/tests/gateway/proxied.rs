//! Connections that a load balancer passes on, with the PROXY protocol ahead of TLS.

use gateway::{Limits, Loopback};
use http::{Method, StatusCode};
use serde_json::json;

use crate::rig::{Answer, Rig, json_request, rig, rig_with};

/// haproxy's doc/proxy-protocol.txt, 2.2: PROXY, TCP over IPv4, from this address.
fn header(source: [u8; 4]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    bytes.extend_from_slice(&source);
    bytes.extend_from_slice(&[198, 51, 100, 1, 0x10, 0, 0x01, 0xbb]);
    bytes
}

async fn sign_up(rig: &Rig, first: &[u8], name: &str) -> Option<Answer> {
    let body = json!({"name": name, "password": crate::rig::PASSWORD});
    rig.send_after(first, json_request(Method::POST, "/v1/users", None, &body)).await
}

#[tokio::test]
async fn limits_are_those_of_the_client_that_the_proxy_names() {
    let rig = rig_with(|config| {
        config.settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.settings.limits = Limits { sign_up_burst: 2, loopback: Loopback::Exempt, ..Limits::default() };
    })
    .await;
    let (one, other) = (header([192, 0, 2, 7]), header([192, 0, 2, 8]));
    for name in ["alice", "bob"] {
        sign_up(&rig, &one, name).await.unwrap().expect(StatusCode::CREATED);
    }
    sign_up(&rig, &one, "carol").await.unwrap().refused("too_many_attempts");
    sign_up(&rig, &other, "carol").await.unwrap().expect(StatusCode::CREATED);
}

#[tokio::test]
async fn a_proxy_that_names_nobody_is_not_served() {
    let rig = rig_with(|config| config.settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    for first in [&b""[..], b"PROXY TCP4 192.0.2.7 198.51.100.1 4096 443\r\n", &header([192, 0, 2, 7])[..20]]
    {
        assert!(sign_up(&rig, first, "alice").await.is_none(), "{first:02x?}");
    }
}

/// Otherwise anybody chose the address that is counted.
#[tokio::test]
async fn nobody_else_names_an_address() {
    for rig in [
        rig().await,
        rig_with(|config| config.settings.trusted_proxies = vec!["192.0.2.1".parse().unwrap()]).await,
    ] {
        assert!(sign_up(&rig, &header([192, 0, 2, 7]), "alice").await.is_none());
        sign_up(&rig, b"", "alice").await.unwrap().expect(StatusCode::CREATED);
    }
}
