//! `enclave connect`: a door on this machine that leads into one enclave, and to nobody else.
//!
//! Invariant: what comes in by the door is forwarded only over a connection that was proved, by evidence bound to that very
//! connection, not longer ago than [`Options::proof_age`]. A check that fails is answered here; not a byte goes on.
//!
//! Who may use the door is the user of this process alone: by the owner of the peer's socket, and over TCP by a secret of
//! this run, and never on behalf of a web page of somebody else.

mod door;
mod forward;
mod gate;
mod headers;
mod peer;
mod problem;
mod upstream;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::gateway::Gateway;
use crate::names::EnclaveName;
use crate::profile::Profile;
use crate::references::{Expected, Trust};
use door::{Accepted, Guest, TurnedAway};
use forward::Tunnel;
use upstream::Upstream;

pub use door::{Door, DoorError, Place};
pub use gate::Keys;
pub use problem::Refusal;

/// Connections by the door at one time, tunnels included. More wait.
const CONNECTIONS: usize = 128;
/// The head of a request: longest time, largest size, most lines. The facade's bounds are smaller.
const HEAD_TIME: Duration = Duration::from_secs(30);
const HEAD_BYTES: usize = 64 << 10;
const HEAD_LINES: usize = 100;
/// Those who are told why they are turned away, at one time. More are not told.
const TURNED_AWAY: usize = 8;
/// What open exchanges get to end, after the door is closed.
const DRAIN: Duration = Duration::from_secs(3);

/// How the door is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which enclave.
    pub name: EnclaveName,
    /// What is accepted of it.
    pub trust: Trust,
    /// How old a proof may be.
    pub proof_age: Duration,
}

/// What happened, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The enclave was proved for the first time, or for the first time after it could not be.
    Proved {
        /// Which start of it.
        incarnation: u64,
        /// What the proof is worth.
        level: ::names::Level,
        /// Number of things that are not proved.
        gaps: usize,
    },
    /// The enclave was started again since, and proved again.
    Restarted {
        /// The start that was proved before.
        before: u64,
        /// The start that is proved now.
        now: u64,
    },
    /// It could not be proved, and everything over it is cut.
    Lost {
        /// What went wrong.
        message: String,
        /// The stable reason code.
        reason: Option<String>,
    },
    /// Somebody was turned away at the door.
    TurnedAway(Refusal),
}

/// Hears of each event as it happens.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// An enclave that was proved, and a way to it that stays proved.
pub struct Bridge {
    upstream: Arc<Upstream>,
    listener: Listener,
}

impl Bridge {
    /// Proves the enclave once, before anything is opened on this machine.
    ///
    /// # Errors
    /// Why it can't be proved.
    pub async fn to(mut gateway: Gateway, options: Options, listener: Listener) -> Result<Self, Error> {
        let expected: Expected = gateway.expected(&options.name, &options.trust).await?;
        let upstream = Arc::new(Upstream::new(gateway, expected, options.proof_age, Arc::clone(&listener))?);
        upstream.check().await?;
        Ok(Self { upstream, listener })
    }

    /// Lets guests in until `until` ends, or until the user's session does.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`] and its like when the session has ended; [`Error::Unreachable`] never ends it.
    pub async fn serve(self, door: Door, until: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { upstream, listener } = self;
        let rooms = Arc::new(Semaphore::new(CONNECTIONS));
        let porch = Arc::new(Semaphore::new(TURNED_AWAY));
        let mut guests = JoinSet::new();
        let mut until = std::pin::pin!(until);
        let mut keeping = std::pin::pin!(Arc::clone(&upstream).keep());
        let ended = loop {
            // Those who have left.
            while guests.try_join_next().is_some() {}
            tokio::select! {
                () = &mut until => break Ok(()),
                error = &mut keeping => break Err(error),
                accepted = door.accept(&rooms) => match accepted {
                    Ok(Accepted { stream, guest, room }) => {
                        let visit = visit(Arc::clone(&upstream), Arc::clone(&listener), stream, guest);
                        guests.spawn(async move {
                            visit.await;
                            drop(room);
                        });
                    }
                    Err(away) => {
                        listener(Event::TurnedAway(away.refusal));
                        if let Ok(place) = Arc::clone(&porch).try_acquire_owned() {
                            guests.spawn(async move {
                                TurnedAway::farewell(away).await;
                                drop(place);
                            });
                        }
                    }
                },
            }
        };
        drop(door);
        if ended.is_ok() {
            let all = async { while guests.join_next().await.is_some() {} };
            // What does not end by itself is cut.
            let _ = tokio::time::timeout(DRAIN, all).await;
        }
        guests.shutdown().await;
        // An exchange with the gateway that is cut in the middle could be a refresh.
        let _ = tokio::time::timeout(DRAIN, upstream.settle()).await;
        ended
    }
}

/// One connection by the door.
async fn visit(upstream: Arc<Upstream>, listener: Listener, stream: door::Stream, guest: Guest) {
    let guest = Arc::new(guest);
    let begun: Arc<Mutex<Option<Tunnel>>> = Arc::default();
    let tunnel = Arc::clone(&begun);
    let service = service_fn(move |request| {
        let (upstream, listener, guest) = (Arc::clone(&upstream), Arc::clone(&listener), Arc::clone(&guest));
        let begun = Arc::clone(&begun);
        async move {
            let answer = match guest.admit(&request) {
                gate::Admission::Pass => forward::pass(&upstream, request, guest.cookie()).await,
                gate::Admission::Welcome(answer) => Ok((answer, None)),
                gate::Admission::Refuse(refusal) => {
                    listener(Event::TurnedAway(refusal));
                    Err(refusal.into())
                }
            };
            let (answer, tunnel) = answer.unwrap_or_else(|trouble| (trouble.answer(), None));
            *begun.lock().unwrap_or_else(PoisonError::into_inner) = tunnel;
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A guest who breaks off has told nobody anything.
    let _ = connection.await;
    let tunnel = tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(tunnel) = tunnel {
        tunnel.await;
    }
}

/// Where sockets of this user are by default: `$XDG_RUNTIME_DIR/sealwright`, or beside the user's key.
#[must_use]
pub fn default_socket(profile: &Profile, name: &EnclaveName) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = runtime.map_or_else(|| profile.folder().join("run"), |folder| folder.join("sealwright"));
    folder.join(format!("{name}.sock"))
}
