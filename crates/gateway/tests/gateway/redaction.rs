//! Every kind of secret that passes the gateway, used while everything is logged that can be logged: none is in the log.

use std::io;
use std::sync::{Arc, Mutex};

use factors::totp::STEP;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::device::{begin, decide};
use crate::rig::{Identity, PASSWORD, get, now, rig};
use crate::second_factors::{present, read_secret, recovery_codes};

const WRONG: &str = "a wrong password that nobody has";
const NEW: &str = "the new password of alice, a long one";
const FOREIGN_CODE: &str = "the-code-of-another-provider-4711";

/// What was logged, by all tests of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// From now on, with the filter that the programs make of `trace`.
    fn begin() -> Self {
        let log = Self::default();
        let filter = EnvFilter::new(server::telemetry::silenced("trace"));
        let subscriber =
            tracing_subscriber::fmt().with_writer(log.clone()).with_env_filter(filter).with_ansi(false);
        subscriber.try_init().unwrap();
        log
    }

    #[track_caller]
    fn lacks(&self, secrets: &[(&str, String)]) {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("session.open") || text.contains("/v1/sessions"), "nothing is logged");
        for (what, secret) in secrets {
            assert!(secret.len() >= 8, "{what} is too short to be looked for: {secret}");
            if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
                panic!("{what} is in the log: {line}");
            }
        }
    }
}

/// What makes a token a token: its signature.
fn signature(token: &str) -> String {
    token.rsplit('.').next().unwrap().to_owned()
}

#[tokio::test]
async fn no_secret_of_any_kind_is_in_the_log_at_its_finest() {
    let log = Log::begin();
    let rig = rig().await;
    let identity = Identity::new("alice");
    let alice = rig.user("alice", Some(&identity)).await;
    let mut secrets: Vec<(&str, String)> = [
        ("a password", PASSWORD),
        ("a wrong password", WRONG),
        ("a new password", NEW),
        ("a provider's code", FOREIGN_CODE),
    ]
    .map(|(what, secret)| (what, secret.to_owned()))
    .into();
    secrets.push(("an access token", signature(alice.access_token())));
    secrets.push(("a refresh token", alice.refresh_token().to_owned()));

    crate::accounts::log_in(&rig, "alice", WRONG).await.refused("bad_credentials");
    let offer = alice.post("/v1/me/totp", json!({"password": PASSWORD})).await.expect(StatusCode::OK);
    let shown = offer["secret"].as_str().unwrap().to_owned();
    let secret = read_secret(&shown);
    let code = secret.code(now() / STEP - 1);
    alice.call(Method::PUT, "/v1/me/totp", json!({"code": *code})).await.expect(StatusCode::NO_CONTENT);
    secrets.push(("a TOTP secret", shown));
    let recovery = recovery_codes(&alice).await;
    for factor in
        [present(&secret), json!({"recovery_code": recovery[0]}), json!({"recovery_code": "not-one-of-them"})]
    {
        let body = json!({"name": "alice", "password": PASSWORD, "second_factor": factor});
        rig.post("/v1/sessions", body).await;
    }
    secrets.extend(recovery.into_iter().map(|code| ("a recovery code", code)));

    let device = begin(&rig, Some(&identity)).await;
    decide(&alice, "approve", &device).await;
    secrets.push(("a device code", device["device_code"].as_str().unwrap().to_owned()));
    secrets.push(("a user code", device["user_code"].as_str().unwrap().to_owned()));

    let refreshed = json!({"refresh_token": alice.refresh_token()});
    let refreshed = rig
        .send(
            Some(&identity),
            crate::rig::json_request(Method::POST, "/v1/sessions/refresh", None, &refreshed),
        )
        .await
        .expect(StatusCode::OK);
    secrets.push(("a new refresh token", refreshed["refresh_token"].as_str().unwrap().to_owned()));
    secrets.push(("a new access token", signature(refreshed["access_token"].as_str().unwrap())));

    // What another provider sends back is in the address of the page.
    let back = format!("/v1/oidc/elsewhere/callback?code={FOREIGN_CODE}&state=the-state-of-nobody");
    rig.send(None, get(&back, None)).await;
    let body = json!({"old_password": PASSWORD, "new_password": NEW});
    alice.call(Method::PUT, "/v1/me/password", body).await;
    alice.call(Method::GET, "/v1/me", Value::Null).await;

    // Keys on disk, as text of any usual kind.
    for name in ["license.key", "factors.key"] {
        let bytes = rig.file(name);
        let end = &bytes[bytes.len().saturating_sub(24)..];
        secrets.push(("a key", end.iter().map(|byte| format!("{byte:02x}")).collect()));
        secrets.push(("a key", end.iter().map(|byte| format!("{byte}, ")).collect()));
    }
    log.lacks(&secrets);
}
