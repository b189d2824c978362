//! The gateway's client: sessions are refreshed once and by one, errors keep their code, nothing is believed too early.

use std::collections::VecDeque;
use std::time::Duration;

use api::{Code, Problem, Secret};
use attested_tls::{ClientCertificates, LocalKey};
use client::{Error, Fault, Gateway, SignIn};
use forge::World;
use names::{Part, TrustDomain};
use pki::SigningKey;

use crate::stage::{Machine, Seen, TlsServer, answer, read_request};

/// One scripted answer: status, media type, body.
struct Scripted(&'static str, &'static str, String);

fn json(status: &'static str, body: impl serde::Serialize) -> Scripted {
    Scripted(status, "application/json", serde_json::to_string(&body).unwrap())
}

fn problem(code: Code) -> Scripted {
    let body = Problem::new(code, "what happened".into(), "request-7".into());
    let status = match code.status() {
        401 => "401 Unauthorized",
        404 => "404 Not Found",
        409 => "409 Conflict",
        other => panic!("{other}"),
    };
    Scripted(status, "application/problem+json", serde_json::to_string(&body).unwrap())
}

fn tokens(number: u32, expires_in: u64) -> Scripted {
    let user = serde_json::json!({"id": "1", "name": "alice"});
    json(
        "200 OK",
        serde_json::json!({
            "access_token": format!("access-{number}"),
            "refresh_token": format!("refresh-{number}"),
            "expires_in": expires_in,
            "user": user,
        }),
    )
}

fn me() -> Scripted {
    json("200 OK", serde_json::json!({"id": "1", "name": "alice"}))
}

/// A gateway with a certificate of the part `gateway`, valid now.
struct Scene {
    server: TlsServer,
    machine: Machine,
}

impl Scene {
    async fn of_part(part: Part) -> Self {
        let domain: TrustDomain = "sealwright.internal".parse().unwrap();
        let (root_key, key) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
        let validity = || pki::Validity::starting(client::time::now(), 3600);
        let serial = |byte| pki::Serial::from_random([byte; 16]);
        let root =
            pki::profile::Root { common_name: "root" }.issue(&root_key, validity(), serial(1)).unwrap();
        let issuing_key = LocalKey::generate().unwrap();
        let issuing = {
            let issuer = pki::Issuer::new(&root, &root_key).unwrap();
            let profile = pki::profile::Issuing { common_name: "issuing" };
            profile.issue(&issuer, issuing_key.public_key_spki(), validity(), serial(2)).unwrap()
        };
        let issuer = pki::Issuer::new(&issuing, &issuing_key).unwrap();
        let profile = pki::profile::Part { part, trust_domain: &domain, dns_names: &["localhost"] };
        let leaf = profile.issue(&issuer, key.public_key_spki(), validity(), serial(3)).unwrap();
        let chain = [leaf.der().to_vec(), issuing.der().to_vec()];
        let server = TlsServer::new(&key, &chain, ClientCertificates::Optional).await;
        let mut machine = Machine::new(&World::new(), server.address());
        machine.context.anchors[0].certificate = root.der().to_vec();
        machine.context.save(&machine.path()).unwrap();
        Self { server, machine }
    }

    async fn new() -> Self {
        Self::of_part(Part::Gateway).await
    }

    fn gateway(&self) -> Gateway {
        Gateway::new(&self.machine.context, self.machine.profile("alice")).unwrap()
    }

    /// Answers by the script, on as many connections as it takes, and returns what was asked.
    async fn serve(&self, script: Vec<Scripted>) -> Vec<Seen> {
        let (mut script, mut seen) = (VecDeque::from(script), Vec::new());
        while !script.is_empty() {
            let mut connection = self.server.accept().await;
            while let Some(request) = read_request(&mut connection.stream).await {
                seen.push(request);
                let Scripted(status, media_type, body) = script.pop_front().expect("no more requests");
                answer(&mut connection.stream, status, media_type, body.as_bytes()).await;
                if script.is_empty() {
                    break;
                }
            }
        }
        seen
    }

    /// Logs in with a session whose access token lives this long.
    async fn logged_in(&self, expires_in: u64) -> Gateway {
        let mut gateway = self.gateway();
        let sign_in = SignIn { password: Secret::new("correct horse battery".into()), second_factor: None };
        let path = self.machine.path();
        let (session, seen) =
            tokio::join!(gateway.log_in(&path, &sign_in), self.serve(vec![tokens(1, expires_in)]));
        session.unwrap();
        assert!(seen[0].header("authorization").is_none());
        // The scripted server has left the connection; the next call makes its own.
        self.gateway()
    }
}

#[tokio::test]
async fn a_login_is_kept_and_used() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let (user, seen) = tokio::join!(gateway.me(), scene.serve(vec![me()]));
    assert_eq!(user.unwrap().name, "alice");
    assert_eq!(seen[0].header("authorization"), Some("Bearer access-1"));
}

#[tokio::test]
async fn an_access_token_that_has_ended_is_exchanged_once_and_kept() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let script = vec![problem(Code::TokenExpired), tokens(2, 300), me(), me()];
    let asks = async { (gateway.me().await, gateway.me().await) };
    let ((first, second), seen) = tokio::join!(asks, scene.serve(script));
    first.unwrap();
    second.unwrap();
    let lines: Vec<&str> = seen.iter().map(|request| request.line.as_str()).collect();
    let get_me = "GET /v1/me HTTP/1.1";
    assert_eq!(lines, [get_me, "POST /v1/sessions/refresh HTTP/1.1", get_me, get_me]);
    assert_eq!(seen[1].body, br#"{"refresh_token":"refresh-1"}"#);
    assert_eq!(seen[2].header("authorization"), Some("Bearer access-2"));
    assert_eq!(seen[3].header("authorization"), Some("Bearer access-2"));
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_exchanged_before_it_is_used() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(1).await;
    let (user, seen) = tokio::join!(gateway.me(), scene.serve(vec![tokens(2, 300), me()]));
    user.unwrap();
    assert_eq!(seen[0].line, "POST /v1/sessions/refresh HTTP/1.1");
    assert_eq!(seen[1].header("authorization"), Some("Bearer access-2"));
}

#[tokio::test]
async fn a_second_refusal_after_the_exchange_is_final() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let script = vec![problem(Code::TokenExpired), tokens(2, 300), problem(Code::TokenExpired)];
    let (user, seen) = tokio::join!(gateway.me(), scene.serve(script));
    assert_eq!(user.unwrap_err().fault(), Fault::LogInFirst);
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn an_ended_session_is_forgotten() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let script = vec![problem(Code::TokenExpired), problem(Code::SessionRevoked)];
    let (user, _) = tokio::join!(gateway.me(), scene.serve(script));
    assert!(matches!(user, Err(Error::NotLoggedIn(_))));
    assert!(gateway.profile().session().unwrap().is_none());
}

#[tokio::test]
async fn a_revoked_session_is_not_exchanged() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let (user, seen) = tokio::join!(gateway.me(), scene.serve(vec![problem(Code::SessionRevoked)]));
    assert_eq!(user.unwrap_err().code(), Some("session_revoked"));
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn two_commands_at_once_exchange_the_refresh_token_once() {
    let scene = Scene::new().await;
    let _ = scene.logged_in(1).await;
    let (mut one, mut two) = (scene.gateway(), scene.gateway());
    let asks = async { tokio::join!(one.me(), two.me()) };
    let (count, mut counted) = tokio::sync::mpsc::unbounded_channel();
    let serve = async {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let mut connection = scene.server.accept().await;
            let count = count.clone();
            connections.spawn(async move {
                while let Some(request) = read_request(&mut connection.stream).await {
                    let refresh = request.line.contains("refresh");
                    let Scripted(status, media_type, body) = if refresh { tokens(2, 300) } else { me() };
                    count.send(request.line).unwrap();
                    answer(&mut connection.stream, status, media_type, body.as_bytes()).await;
                }
            });
        }
    };
    let (first, second) = tokio::select! {
        both = asks => both,
        () = serve => unreachable!("it serves for ever"),
    };
    first.unwrap();
    second.unwrap();
    let seen: Vec<String> = std::iter::from_fn(|| counted.try_recv().ok()).collect();
    assert_eq!(seen.iter().filter(|line| line.contains("refresh")).count(), 1, "{seen:?}");
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_problem_keeps_its_code_and_request_id() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let name = "notes".parse().unwrap();
    let (shown, _) = tokio::join!(gateway.enclave(&name), scene.serve(vec![problem(Code::NotFound)]));
    let error = shown.unwrap_err();
    assert_eq!((error.fault(), error.code()), (Fault::NotFound, Some("not_found")));
    assert_eq!(error.request_id(), Some("request-7"));
}

#[tokio::test]
async fn an_answer_that_is_not_the_api_is_an_error() {
    for scripted in [
        Scripted("200 OK", "text/html", "<html>".into()),
        Scripted("502 Bad Gateway", "text/html", "<html>".into()),
        Scripted("401 Unauthorized", "text/html", "<html>".into()),
    ] {
        let scene = Scene::new().await;
        let mut gateway = scene.logged_in(300).await;
        let (user, _) = tokio::join!(gateway.me(), scene.serve(vec![scripted]));
        assert!(matches!(user, Err(Error::Answer { .. })));
    }
}

#[tokio::test]
async fn another_part_can_not_pose_as_the_gateway() {
    let scene = Scene::of_part(Part::Edge).await;
    let mut gateway = scene.gateway();
    let sign_in = SignIn { password: Secret::new("correct horse battery".into()), second_factor: None };
    let accept = async {
        // The client ends the handshake.
        let refused = tokio::time::timeout(Duration::from_secs(5), scene.server.try_accept()).await;
        assert!(refused.unwrap().is_none());
    };
    let (user, ()) = tokio::join!(gateway.sign_up(&sign_in), accept);
    assert_eq!(user.unwrap_err().fault(), Fault::Unreachable);
}

#[tokio::test]
async fn without_a_session_nothing_is_sent() {
    let scene = Scene::new().await;
    let error = scene.gateway().me().await.unwrap_err();
    assert!(matches!(error, Error::NotLoggedIn(_)));
}

#[tokio::test]
async fn stages_are_handed_on_until_the_enclave_is_ready() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let stage = |name: &str, progress: u32| {
        format!("data: {}\n\n", serde_json::json!({"name": name, "message": "m", "progress": progress}))
    };
    let body = stage("prepare", 10) + &stage("spawn", 60) + &stage("ready", 100);
    let script = vec![Scripted("200 OK", "text/event-stream", body)];
    let mut seen = Vec::new();
    let name = "notes".parse().unwrap();
    let follow = gateway.follow(&name, Duration::from_secs(10), |stage| seen.push(stage.name.clone()));
    let (followed, _) = tokio::join!(follow, scene.serve(script));
    followed.unwrap();
    assert_eq!(seen, ["prepare", "spawn", "ready"]);
}

#[tokio::test]
async fn a_failed_stage_is_the_reason() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let body = r#"data: {"name":"failed","message":"the app ended","reason":"app_ended","progress":60}"#;
    let script = vec![Scripted("200 OK", "text/event-stream", format!("{body}\n\n"))];
    let name = "notes".parse().unwrap();
    let follow = gateway.follow(&name, Duration::from_secs(10), |_| {});
    let (followed, _) = tokio::join!(follow, scene.serve(script));
    assert_eq!(followed.unwrap_err().code(), Some("app_ended"));
}

#[tokio::test]
async fn a_stream_that_ends_early_is_an_error() {
    let scene = Scene::new().await;
    let mut gateway = scene.logged_in(300).await;
    let script = vec![Scripted("200 OK", "text/event-stream", ": nothing\n\n".into())];
    let name = "notes".parse().unwrap();
    let follow = gateway.follow(&name, Duration::from_secs(10), |_| {});
    let (followed, _) = tokio::join!(follow, scene.serve(script));
    assert!(matches!(followed, Err(Error::Answer { .. })));
}
