//! Connections to the enclave: proved one by one, used again while the proof is young, cut when it is lost.
//!
//! Invariant: a [`Lease`] is of a connection that was proved not longer than the proof's age ago, in the present epoch. An
//! epoch ends when the enclave can't be proved any more, or is proved to have been started again; all its leases end with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::Secret;
use evidence::Roots;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::problem::Trouble;
use super::{Event, Listener};
use crate::attested::{Connection, Proved, Unproved};
use crate::context::Endpoint;
use crate::enclaves::judge;
use crate::error::{Error, Fault};
use crate::gateway::Gateway;
use crate::profile::Profile;
use crate::references::Expected;
use crate::time;

/// Connections to the enclave at one time.
const CONNECTIONS: usize = 64;
/// Longest wait for one of them.
const QUEUE: Duration = Duration::from_secs(30);
/// Proved connections that wait for the next request.
const IDLE: usize = 16;
/// What a connection gets to be free again after an answer.
const SETTLE: Duration = Duration::from_millis(50);
/// How often the session is looked after.
const TICK: Duration = Duration::from_secs(2);
/// A token that ends within this time is not used any more.
const TOKEN_MARGIN: Duration = Duration::from_secs(20);
/// A token younger than this is not asked for again because the enclave did not like it.
const TOKEN_REST: Duration = Duration::from_secs(10);

/// What is known of the enclave.
#[derive(Debug, Clone, Copy)]
struct Standing {
    epoch: u64,
    /// The start and the key that were proved; none when the proof is lost.
    proved: Option<(u64, ::names::Digest)>,
    /// The highest start that was ever proved here.
    highest: Option<u64>,
    /// When it was proved last.
    at: Instant,
}

struct Idle {
    connection: Connection<Proved>,
    epoch: u64,
    proved: Instant,
}

struct Token {
    token: Secret,
    got: Instant,
    until: Instant,
}

/// The way to one enclave.
pub(super) struct Upstream {
    edge: Endpoint,
    roots: Roots,
    profile: Profile,
    gateway: AsyncMutex<Gateway>,
    expected: Mutex<Expected>,
    proof_age: Duration,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    token: AsyncMutex<Option<Token>>,
    standing: watch::Sender<Standing>,
    listener: Listener,
}

/// A proved connection in use. Given back or dropped: then it is closed.
pub(super) struct Lease {
    pub(super) connection: Connection<Proved>,
    upstream: Arc<Upstream>,
    epoch: u64,
    proved: Instant,
    standing: watch::Receiver<Standing>,
    _place: OwnedSemaphorePermit,
}

/// Ends when a lease's epoch has ended.
pub(super) struct Cut {
    epoch: u64,
    standing: watch::Receiver<Standing>,
}

impl Cut {
    pub(super) async fn over(mut self) {
        let epoch = self.epoch;
        // An error means that the sender is gone: then so is everything else.
        let _ = self.standing.wait_for(|standing| standing.epoch != epoch).await;
    }
}

impl Lease {
    pub(super) fn cut(&self) -> Cut {
        Cut { epoch: self.epoch, standing: self.standing.clone() }
    }

    /// The exchange has ended well: the next one may use the connection.
    pub(super) fn give_back(self) {
        let Self { connection, upstream, epoch, proved, .. } = self;
        upstream.keep_idle(Idle { connection, epoch, proved });
    }
}

impl Upstream {
    pub(super) fn new(
        gateway: Gateway,
        expected: Expected,
        proof_age: Duration,
        listener: Listener,
    ) -> Result<Self, Error> {
        let standing = Standing { epoch: 0, proved: None, highest: None, at: Instant::now() };
        Ok(Self {
            edge: gateway.context().edge.clone(),
            roots: gateway.context().roots()?,
            profile: gateway.profile().again()?,
            gateway: AsyncMutex::new(gateway),
            expected: Mutex::new(expected),
            proof_age,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            idle: Mutex::new(Vec::new()),
            token: AsyncMutex::new(None),
            standing: watch::Sender::new(standing),
            listener,
        })
    }

    fn expected(&self) -> Expected {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A proved connection, as soon as there is a place.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, Trouble> {
        let waiting = Arc::clone(&self.places).acquire_owned();
        let Ok(Ok(place)) = tokio::time::timeout(QUEUE, waiting).await else { return Err(Trouble::Full) };
        let standing = self.standing.subscribe();
        let Idle { connection, epoch, proved } = match self.take_idle().await {
            Some(idle) => idle,
            None => self.dial().await?,
        };
        Ok(Lease { connection, upstream: Arc::clone(self), epoch, proved, standing, _place: place })
    }

    /// One that is free and, where its proof has become old, proved again.
    async fn take_idle(&self) -> Option<Idle> {
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let present = idle.epoch == self.standing.borrow().epoch;
            if !present || !idle.connection.is_open() || !idle.connection.is_free(SETTLE).await {
                continue;
            }
            if idle.proved.elapsed() < self.proof_age {
                return Some(idle);
            }
            let expected = self.expected();
            // Where it does not hold, a new connection shows why.
            let Ok(answered) = idle.connection.doubt().ask(time::now()).await else { continue };
            let Ok(connection) = judge(&self.roots, &self.profile, answered, &expected) else { continue };
            if let Some(epoch) = self.proved(&connection) {
                return Some(Idle { connection, epoch, proved: Instant::now() });
            }
        }
    }

    /// A new connection, proved.
    async fn dial(&self) -> Result<Idle, Error> {
        match self.try_dial().await {
            Ok(idle) => Ok(idle),
            Err(error) => {
                if error.fault() == Fault::Refused {
                    self.lost(&error);
                }
                let name = self.expected().name;
                Err(self.gateway.lock().await.explained(&name, error).await)
            }
        }
    }

    async fn try_dial(&self) -> Result<Idle, Error> {
        loop {
            let expected = self.expected();
            let began = Instant::now();
            let unproved = Connection::<Unproved>::dial(&self.edge, &expected.host, &self.profile).await?;
            let answered = unproved.ask(time::now()).await?;
            let connection = judge(&self.roots, &self.profile, answered, &expected)?.on_a_task();
            // An earlier start than one that was proved meanwhile: once more, with what is expected now.
            if let Some(epoch) = self.proved(&connection) {
                return Ok(Idle { connection, epoch, proved: began });
            }
        }
    }

    /// Notes a proof, and gives the epoch that it belongs to; none if a later start has been proved before.
    fn proved(&self, connection: &Connection<Proved>) -> Option<u64> {
        let claim = connection.trusted().facts().statement.enclave.as_ref();
        let incarnation = claim.map_or(0, |claim| claim.incarnation);
        let now = (incarnation, connection.peer_key());
        let (mut epoch, mut event) = (None, None);
        self.standing.send_modify(|standing| {
            let highest = standing.highest;
            if highest.is_some_and(|highest| incarnation < highest) {
                return;
            }
            if standing.proved != Some(now) {
                standing.epoch += 1;
                event = Some(match highest {
                    Some(before) if before < incarnation => Event::Restarted { before, now: incarnation },
                    Some(_) | None => Event::Proved {
                        incarnation,
                        level: connection.trusted().level(),
                        gaps: connection.report().not_proved.len(),
                    },
                });
            }
            (standing.proved, standing.highest, standing.at) = (Some(now), Some(incarnation), Instant::now());
            epoch = Some(standing.epoch);
        });
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.policy.min_incarnation = expected.policy.min_incarnation.max(incarnation);
        drop(expected);
        if let Some(event) = event {
            (self.listener)(event);
        }
        epoch
    }

    /// The enclave can't be proved: what goes over it is cut.
    fn lost(&self, error: &Error) {
        let mut was_proved = false;
        self.standing.send_modify(|standing| {
            was_proved = standing.proved.take().is_some();
            standing.epoch += 1;
        });
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if was_proved {
            let (message, reason) = (error.to_string(), error.code().map(str::to_owned));
            (self.listener)(Event::Lost { message, reason });
        }
    }

    fn keep_idle(&self, idle: Idle) {
        let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < IDLE && idle.epoch == self.standing.borrow().epoch {
            kept.push(idle);
        }
    }

    /// Proves the enclave now, over a new connection.
    pub(super) async fn check(self: &Arc<Self>) -> Result<(), Error> {
        let idle = self.dial().await?;
        self.keep_idle(idle);
        Ok(())
    }

    /// The token for this enclave: one question at a time, asked to its end even when who waits for it goes away. A refresh
    /// that nobody hears the answer of would end the session.
    pub(super) async fn token(self: &Arc<Self>) -> Result<Secret, Error> {
        let this = Arc::clone(self);
        let asked = tokio::spawn(async move {
            let mut held = this.token.lock().await;
            if let Some(held) = held.as_ref().filter(|held| held.until > Instant::now()) {
                return Ok(held.token.clone());
            }
            let name = this.expected().name;
            let fresh = this.gateway.lock().await.enclave_token(&name).await?;
            let got = Instant::now();
            let life = Duration::from_secs(fresh.expires_in);
            let until = got + life.saturating_sub(TOKEN_MARGIN).max(life / 2);
            *held = Some(Token { token: fresh.token.clone(), got, until });
            Ok(fresh.token)
        });
        asked.await.unwrap_or_else(|_| Err(Error::NotLoggedIn(self.profile.user().clone())))
    }

    /// The enclave answered 401: perhaps the token is not good any more.
    pub(super) async fn doubt_token(&self) {
        let mut held = self.token.lock().await;
        if held.as_ref().is_some_and(|held| held.got.elapsed() > TOKEN_REST) {
            *held = None;
        }
    }

    /// Looks after the session, and after the proof while somebody relies on it. Ends when the session does.
    pub(super) async fn keep(self: Arc<Self>) -> Error {
        let mut asked = Instant::now();
        loop {
            tokio::time::sleep(TICK).await;
            if matches!(self.profile.session(), Ok(None)) {
                return Error::NotLoggedIn(self.profile.user().clone());
            }
            if asked.elapsed() > self.proof_age / 2 {
                asked = Instant::now();
                if let Err(error) = self.session().await
                    && error.fault() == Fault::LogInFirst
                {
                    return error;
                }
            }
            let age = self.standing.borrow().at.elapsed();
            if self.places.available_permits() < CONNECTIONS && age > self.proof_age / 2 {
                self.prove_again(age).await;
            }
        }
    }

    async fn prove_again(&self, age: Duration) {
        match self.try_dial().await {
            Ok(idle) => self.keep_idle(idle),
            // Nobody answers: what was proved counts as long as a proof does.
            Err(error) if error.fault() == Fault::Refused || age > self.proof_age => self.lost(&error),
            Err(_) => {}
        }
    }

    /// Whether the gateway still knows the session; asked to its end, as [`Upstream::token`] is.
    async fn session(self: &Arc<Self>) -> Result<(), Error> {
        let this = Arc::clone(self);
        let asked = tokio::spawn(async move { this.gateway.lock().await.me().await.map(drop) });
        asked.await.unwrap_or(Ok(()))
    }

    /// Waits until no question to the gateway is under way.
    pub(super) async fn settle(&self) {
        drop(self.gateway.lock().await);
    }
}
