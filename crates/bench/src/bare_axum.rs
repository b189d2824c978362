//! A bare axum route behind the gateway's own TLS acceptor and HTTP settings: one JSON answer, no check of anything. A process of its own.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use attested_tls::{Acceptor, CertificateSlot, ClientCertificates, LocalKey, NoServerName};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::bare_server::certificate;

/// The argument that makes this program the bare route; id and name of the user that it answers with follow.
pub(crate) const ARGUMENT: &str = "serve-bare-axum";

const ALPN_HTTP2: &[u8] = b"h2";

/// Serves until the process is ended.
pub(crate) async fn serve(id: &str, name: &str) -> Result<()> {
    let user = api::accounts::User { id: id.to_owned(), name: name.to_owned() };
    // The JSON is made each time, as the gateway does.
    let me = |State(user): State<Arc<api::accounts::User>>| async move {
        axum::Json(api::accounts::User::clone(&user))
    };
    let router = Router::new().route(api::paths::ME, get(me)).with_state(Arc::new(user));
    let key = LocalKey::generate().context("make a key")?;
    let slot = CertificateSlot::new(NoServerName::Serve);
    slot.install(&key, &[certificate(&key)?.der()])?;
    let acceptor = Acceptor::new(slot, ClientCertificates::Optional)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
    println!("bare axum listens on {}", listener.local_addr().context("listen")?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        // The other end of a bench hangs up as it likes.
        let served = answer(acceptor.clone(), stream, router.clone());
        connections.spawn(async move { drop(served.await) });
    }
}

async fn answer(acceptor: Acceptor, stream: TcpStream, router: Router) -> Result<()> {
    let connection = acceptor.accept(stream).await?;
    let builder = auto::Builder::new(TokioExecutor::new());
    let http2 = connection.application.as_deref() == Some(ALPN_HTTP2);
    let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    let service = TowerToHyperService::new(router);
    let served = builder.serve_connection(TokioIo::new(connection.stream), service).await;
    served.map_err(|error| anyhow::anyhow!("{error}"))
}
