//! An upgraded connection, watched: its bytes are activity, and it ends by itself.
//!
//! The rule: a tunnel was opened with a token that was valid at that moment, and carries no later one. So it lives for
//! [`Limits::tunnel_life`](crate::limits::Limits) at most, ends when no byte went through it for `tunnel_idle`, and ends with
//! its enclave. Whoever signs out and wants it gone before stops the enclave.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tracing::debug;

use crate::activity::{Activity, Frames};
use crate::limits::Limits;

/// Bytes held per direction of a tunnel.
const BUFFER: usize = 16 * 1024;

/// Connects both sides until one ends, or the rule ends them.
pub async fn connect<A, B>(client: A, app: B, limits: &Limits, activity: &Activity)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Moved(Arc::new(Mutex::new(Instant::now())));
    let watched = |activity: &Activity| (moved.clone(), activity.clone(), Frames::default());
    let mut client = Watched { stream: client, watch: watched(activity) };
    let mut app = Watched { stream: app, watch: watched(activity) };
    tokio::select! {
        copied = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut app, BUFFER, BUFFER) => match copied {
            Ok((up, down)) => debug!(up, down, "tunnel ended"),
            Err(error) => debug!(%error, "tunnel broke"),
        },
        () = moved.still_for(limits.tunnel_idle) => debug!("tunnel ended: silent for too long"),
        () = tokio::time::sleep(limits.tunnel_life) => debug!("tunnel ended: open for too long"),
    }
}

/// When the last byte went through.
#[derive(Debug, Clone)]
struct Moved(Arc<Mutex<Instant>>);

impl Moved {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn still_for(&self, limit: std::time::Duration) {
        loop {
            let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

/// A stream whose incoming bytes are looked at.
struct Watched<S> {
    stream: S,
    watch: (Moved, Activity, Frames),
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let (moved, activity, frames) = &mut this.watch;
        if let Some(fresh @ [_, ..]) = buffer.filled().get(before..) {
            moved.now();
            if frames.carry_data(fresh) {
                activity.mark();
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const PING: [u8; 2] = [0x89, 0];
    const TEXT: [u8; 3] = [0x81, 1, b'x'];

    fn limits() -> Limits {
        let (tunnel_idle, tunnel_life) = (Duration::from_secs(60), Duration::from_secs(3600));
        Limits { tunnel_idle, tunnel_life, ..Limits::default() }
    }

    /// Both far ends of a tunnel, and its activity.
    fn tunnel() -> (DuplexStream, DuplexStream, Activity) {
        let ((far_client, client), (app, far_app)) = (duplex(1024), duplex(1024));
        let activity = Activity::default();
        let of = activity.clone();
        tokio::spawn(async move { connect(client, app, &limits(), &of).await });
        (far_client, far_app, activity)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_tunnel_ends() {
        let (mut client, _app, _) = tunnel();
        let began = Instant::now();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_with_traffic_is_activity_and_one_with_pings_only_is_not() {
        let (mut client, mut app, activity) = tunnel();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            client.write_all(&PING).await.unwrap();
            app.read_exact(&mut [0; 2]).await.unwrap();
        }
        assert!(!activity.take(), "500 s with pings only");
        app.write_all(&TEXT).await.unwrap();
        client.read_exact(&mut [0; 3]).await.unwrap();
        assert!(activity.take());
    }

    #[tokio::test(start_paused = true)]
    async fn no_tunnel_lives_for_ever() {
        let (mut client, mut app, _) = tunnel();
        let began = Instant::now();
        while client.write_all(&TEXT).await.is_ok() && app.read_exact(&mut [0; 3]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        assert!((3600..3660).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }
}
