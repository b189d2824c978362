//! One admitted request on its way to the enclave and back, streaming both ways, or a tunnel.
//!
//! Invariant: no byte of a request is sent before there is a [`Lease`], which only a proved connection gives; and an answer
//! is passed on or replaced by a problem, never half of each: what is cut in the middle is an error to both sides.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::header::{AUTHORIZATION, UPGRADE};
use ::http::{HeaderValue, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::headers::{self, Upgrade};
use super::problem::{Refusal, Trouble};
use super::upstream::{Lease, Upstream};
use crate::http::{Body, Unanswered};

/// How often a request is tried whose connection ended before a byte of it was sent.
const TRIES: usize = 4;
/// Bytes held per direction of a tunnel.
const TUNNEL_BUFFER: usize = 16 << 10;

/// What a guest gets.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// What follows an answer that switched protocols.
pub(super) type Tunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Bytes as an answer's body.
pub(super) fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Passes a request on.
pub(super) async fn pass(
    upstream: &Arc<Upstream>,
    mut request: Request<Incoming>,
    own_cookie: Option<&str>,
) -> Result<(Answer, Option<Tunnel>), Trouble> {
    let upgrade = headers::upgrade(request.method(), request.version(), request.headers());
    let guest = match upgrade {
        Upgrade::None => None,
        Upgrade::WebSocket => Some(hyper::upgrade::on(&mut request)),
    };
    let (parts, body) = request.into_parts();
    let body: Body = body.map_err(io::Error::other).boxed();
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = parts.uri;
    *outgoing.version_mut() = Version::HTTP_11;
    let received = parts.headers;

    for _ in 0..TRIES {
        let mut lease = upstream.lease().await?;
        let host = HeaderValue::from_str(lease.connection.host()).map_err(|_| Refusal::Request)?;
        *outgoing.headers_mut() = headers::to_enclave(&received, &host, own_cookie, upgrade);
        let token = upstream.token().await?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut bearer = bearer.map_err(|_| Refusal::Request)?;
        bearer.set_sensitive(true);
        outgoing.headers_mut().insert(AUTHORIZATION, bearer);
        let cut = lease.cut();
        let answered = tokio::select! {
            answered = lease.connection.stream(outgoing) => answered,
            () = cut.over() => return Err(Trouble::Lost),
        };
        match answered {
            Ok(answer) => return passed(upstream, lease, answer, guest, &host, own_cookie).await,
            Err(Unanswered { unsent: Some(request), .. }) => outgoing = *request,
            Err(Unanswered { unsent: None, error }) => return Err(Trouble::Broken(error)),
        }
    }
    Err(Trouble::Lost)
}

async fn passed(
    upstream: &Arc<Upstream>,
    lease: Lease,
    mut answer: Response<Incoming>,
    guest: Option<OnUpgrade>,
    host: &HeaderValue,
    own_cookie: Option<&str>,
) -> Result<(Answer, Option<Tunnel>), Trouble> {
    let status = answer.status();
    if status == StatusCode::UNAUTHORIZED {
        upstream.doubt_token().await;
    }
    let switched = (status == StatusCode::SWITCHING_PROTOCOLS).then_some(());
    let (upgrade, body, tunnel) = match (switched, guest) {
        (Some(()), Some(guest)) if answer.headers().get(UPGRADE).is_some_and(headers::is_websocket) => {
            let enclave = hyper::upgrade::on(&mut answer);
            (Upgrade::WebSocket, whole(Bytes::new()), Some(tunnel(guest, enclave, lease)))
        }
        // Nobody asked for another protocol.
        (Some(()), _) => return Err(Refusal::Request.into()),
        (None, _) => {
            let headers = headers::to_guest(answer.headers(), host, own_cookie, Upgrade::None);
            let mut outgoing = Response::new(Passing::new(answer.into_body(), lease).boxed_unsync());
            *outgoing.status_mut() = status;
            *outgoing.headers_mut() = headers;
            return Ok((outgoing, None));
        }
    };
    let mut outgoing = Response::new(body);
    *outgoing.status_mut() = status;
    *outgoing.headers_mut() = headers::to_guest(answer.headers(), host, own_cookie, upgrade);
    Ok((outgoing, tunnel))
}

/// Connects both sides once both have switched, until one ends or the proof does.
fn tunnel(guest: OnUpgrade, enclave: OnUpgrade, lease: Lease) -> Tunnel {
    Box::pin(async move {
        let copied = async {
            let (guest, enclave) = tokio::try_join!(guest, enclave).map_err(io::Error::other)?;
            let (mut guest, mut enclave) = (TokioIo::new(guest), TokioIo::new(enclave));
            tokio::io::copy_bidirectional_with_sizes(&mut guest, &mut enclave, TUNNEL_BUFFER, TUNNEL_BUFFER)
                .await
        };
        tokio::select! {
            // Either side may break off; the other sees it end.
            _ = copied => {}
            () = lease.cut().over() => {}
        }
        drop(lease);
    })
}

/// An answer's body as it passes. Its connection is free again after its end.
struct Passing {
    inner: Incoming,
    lease: Option<Lease>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Passing {
    fn new(inner: Incoming, lease: Lease) -> Self {
        let cut = Box::pin(lease.cut().over());
        let mut passing = Self { inner, lease: Some(lease), cut };
        if passing.inner.is_end_stream() {
            passing.ended();
        }
        passing
    }

    fn ended(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.lease.is_some() && self.cut.as_mut().poll(context).is_ready() {
            self.lease = None;
            return Poll::Ready(Some(Err(io::Error::other("the enclave is not proved any more"))));
        }
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        match frame {
            Poll::Ready(None) => self.ended(),
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Ready(Some(Ok(_))) if self.inner.is_end_stream() => self.ended(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame.map_err(io::Error::other)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
