//! Bodies on their way through: never buffered, bounded in length and in silence.
//!
//! Invariant: a body keeps its companion (a place in a bound, a clock) until its last frame or its drop.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::headers::clean_trailers;

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the bound.
    #[error("body larger than the bound")]
    TooLarge,
    /// No frame within the idle time.
    #[error("body stood still")]
    Silent,
    /// The connection that it comes from broke.
    #[error("body broke off")]
    Broken(#[source] hyper::Error),
}

/// A body that is answered with: ours, or the app's on its way through.
pub type AnswerBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

/// A whole body of ours.
#[must_use]
pub fn whole(bytes: Bytes) -> AnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Goes along with a body until its end or its drop.
pub trait Companion: Unpin {
    /// A frame has passed.
    fn moved(&self);
}

/// A body from one connection on its way to another.
#[derive(Debug)]
pub struct Passing<G> {
    inner: Incoming,
    left: u64,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    companion: Option<G>,
}

impl<G: Companion> Passing<G> {
    /// Passes at most `limit` bytes and waits at most `idle` for each frame.
    pub const fn new(inner: Incoming, limit: u64, idle: Duration, companion: G) -> Self {
        Self { inner, left: limit, idle, silence: None, companion: Some(companion) }
    }

    /// The clock runs only while we wait; a frame that is there costs no timer.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        let silence =
            self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
        silence.as_mut().poll(context)
    }
}

impl<G: Companion> Body for Passing<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let outcome = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Pending => match this.poll_silence(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => Some(Err(BodyError::Silent)),
            },
            Poll::Ready(None) => None,
            Poll::Ready(Some(Err(error))) => Some(Err(BodyError::Broken(error))),
            Poll::Ready(Some(Ok(mut frame))) => {
                this.silence = None;
                if let Some(trailers) = frame.trailers_mut() {
                    clean_trailers(trailers);
                }
                let bytes = frame.data_ref().map_or(0, Buf::remaining) as u64;
                match this.left.checked_sub(bytes) {
                    Some(left) => {
                        this.left = left;
                        Some(Ok(frame))
                    }
                    None => Some(Err(BodyError::TooLarge)),
                }
            }
        };
        if let Some(companion) = &this.companion {
            companion.moved();
        }
        if !matches!(outcome, Some(Ok(_))) {
            this.companion = None;
        }
        Poll::Ready(outcome)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
