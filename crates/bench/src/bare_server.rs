//! A bare hyper proxy behind the facade's own TLS: passes requests on and checks nothing. What any front would cost.
//! A process of its own, so that its memory can be compared.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use attested_tls::{Acceptor, CertificateSlot, ClientCertificates, LocalKey, NoServerName};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The argument that makes this program the bare proxy; the app's port follows.
pub(crate) const ARGUMENT: &str = "serve-bare";

/// A self-signed certificate, which nobody trusts.
pub(crate) fn certificate(key: &LocalKey) -> Result<pki::Certificate> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("draw a serial number")?;
    let now = client::time::now();
    let subject = pki::profile::User { common_name: "bench" };
    Ok(subject.issue(key, pki::Validity::starting(now, 3600), pki::Serial::from_random(random))?)
}

/// Serves until the process is ended: each connection has one of its own to the app.
pub(crate) async fn serve(app: u16) -> Result<()> {
    let key = LocalKey::generate().context("make a key")?;
    let slot = CertificateSlot::new(NoServerName::Serve);
    slot.install(&key, &[certificate(&key)?.der()])?;
    let acceptor = Acceptor::new(slot, ClientCertificates::Required)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
    println!("bare hyper proxy listens on {}", listener.local_addr().context("listen")?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true).context("accept")?;
        let acceptor = acceptor.clone();
        // The other end of a bench hangs up as it likes.
        connections.spawn(async move { drop(pass(acceptor, stream, app).await) });
    }
}

async fn pass(acceptor: Acceptor, stream: TcpStream, app: u16) -> Result<()> {
    let connection = acceptor.accept(stream).await?;
    let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, app)).await?;
    upstream.set_nodelay(true)?;
    let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(upstream)).await?;
    let sender = Arc::new(Mutex::new(sender));
    let forward = |request: Request<Incoming>| {
        let sender = Arc::clone(&sender);
        async move {
            let mut sender = sender.lock().await;
            sender.ready().await?;
            sender.send_request(request).await
        }
    };
    let served = http1::Builder::new().serve_connection(TokioIo::new(connection.stream), service_fn(forward));
    tokio::select! {
        served = served => Ok(served?),
        driven = driver => Ok(driven?),
    }
}
