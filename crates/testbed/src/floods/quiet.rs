//! Another user, who only wants to be served.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::line::{self, Answer, Line, LineError};

/// The address of whom no flood comes from.
const SOURCE: u8 = 1;
/// Between two questions: a person, not a load.
const PAUSE: Duration = Duration::from_millis(10);

/// A user with a session of their own.
#[derive(Debug, Clone)]
pub struct OtherUser {
    gateway: SocketAddr,
    bearer: String,
}

impl OtherUser {
    /// Signs up and logs in.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn sign_up(gateway: SocketAddr, name: &str, password: &str) -> Result<Self, LineError> {
        let mut line = Line::to_gateway(gateway, SOURCE).await?;
        let body = format!(r#"{{"name":"{name}","password":"{password}"}}"#);
        for path in ["/v1/users", "/v1/sessions"] {
            line.send(&line::post(path, "application/json", body.as_bytes())).await?;
            let Answer { status, body, .. } = line.answer().await?;
            if path == "/v1/sessions" && (200..300).contains(&status) {
                let token = serde_json::from_slice::<serde_json::Value>(&body).ok();
                let token = token.and_then(|token| token["access_token"].as_str().map(str::to_owned));
                return Ok(Self { gateway, bearer: token.ok_or(LineError::Malformed)? });
            }
        }
        Err(LineError::Malformed)
    }

    /// Is served on a new connection; how long it took, the handshake included.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn arrives(&self) -> Result<Duration, LineError> {
        let began = Instant::now();
        let mut line = Line::to_gateway(self.gateway, SOURCE).await?;
        self.ask(&mut line).await?;
        Ok(began.elapsed())
    }

    /// Asks one question after the other on one connection for this long: how long each took.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn times(&self, time: Duration) -> Result<Vec<Duration>, LineError> {
        let (until, mut times) = (Instant::now() + time, Vec::new());
        let mut line = Line::to_gateway(self.gateway, SOURCE).await?;
        while Instant::now() < until {
            let began = Instant::now();
            self.ask(&mut line).await?;
            times.push(began.elapsed());
            sleep(PAUSE).await;
        }
        Ok(times)
    }

    async fn ask(&self, line: &mut Line) -> Result<(), LineError> {
        let bearer = format!("Authorization: Bearer {}\r\n", self.bearer);
        line.send(&line::get("/v1/me", "localhost", &bearer)).await?;
        match line.answer().await?.status {
            200 => Ok(()),
            _ => Err(LineError::Malformed),
        }
    }
}

/// The time below which this share of a sample lies (nearest rank).
#[must_use]
pub fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort();
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
