//! Bare hyper behind the facade's own TLS: what TLS and HTTP alone cost. A process of its own, so that its memory can
//! be compared.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use attested_tls::{Acceptor, CertificateSlot, ClientCertificates, LocalKey, NoServerName};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The argument that makes this program the bare server.
pub(crate) const ARGUMENT: &str = "serve-bare";
/// As long as the example app's answer.
const ANSWER: [u8; 128] = [b'.'; 128];

/// A self-signed certificate, which nobody trusts.
pub(crate) fn certificate(key: &LocalKey) -> Result<pki::Certificate> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("draw a serial number")?;
    let now = client::time::now();
    let subject = pki::profile::User { common_name: "bench" };
    Ok(subject.issue(key, pki::Validity::starting(now, 3600), pki::Serial::from_random(random))?)
}

/// Serves until the process is ended.
pub(crate) async fn serve() -> Result<()> {
    let key = LocalKey::generate().context("make a key")?;
    let slot = CertificateSlot::new(NoServerName::Serve);
    slot.install(&key, &[certificate(&key)?.der()])?;
    let acceptor = Acceptor::new(slot, ClientCertificates::Required)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
    println!("bare hyper listens on {}", listener.local_addr().context("listen")?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true).context("accept")?;
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            let Ok(connection) = acceptor.accept(stream).await else { return };
            let answer = |_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&ANSWER)))) };
            let served = http1::Builder::new().serve_connection(TokioIo::new(connection.stream), service_fn(answer));
            // The other end of a bench hangs up as it likes.
            drop(served.await);
        });
    }
}
