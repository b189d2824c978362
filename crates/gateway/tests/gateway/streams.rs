//! Server-sent events of a start as they come over the wire (HTML Living Standard, 9.2).

use std::time::Duration;

use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::enclaves::{alice, create};
use crate::rig::{Rig, Session, get, rig_with};

/// Longest wait for anything here.
const SOON: Duration = Duration::from_secs(30);
const STAGES: &str = "/v1/enclaves/slow/stages";

/// Streams that say after a second that they live.
async fn rig() -> Rig {
    rig_with(|config| config.settings.timeouts.head = 2).await
}

async fn watch(rig: &Rig, session: &Session<'_>) -> http::Response<Incoming> {
    let request = get(STAGES, Some(session.access_token()));
    let response = rig.open(session.identity.as_ref(), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    response
}

/// Reads until the text so far has what is looked for.
async fn read_until(body: &mut Incoming, so_far: &mut String, looked_for: &str) {
    let read = async {
        while !so_far.contains(looked_for) {
            let frame =
                body.frame().await.unwrap_or_else(|| panic!("no {looked_for:?} in {so_far:?}")).unwrap();
            so_far.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(SOON, read)
        .await
        .unwrap_or_else(|_| panic!("no {looked_for:?} in time: {so_far:?}"));
}

#[tokio::test]
async fn events_come_while_the_start_goes_on_and_the_stream_ends_with_it() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "slow").await;
    let response = watch(&rig, &alice).await;
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert!(!headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::CONTENT_ENCODING));
    let mut body = response.into_body();
    let mut text = String::new();
    // The start waits: what has come is not held back, and silence is a comment.
    read_until(&mut body, &mut text, "\"prepare\"").await;
    read_until(&mut body, &mut text, ":\n\n").await;
    assert!(!text.contains("ready"), "{text}");
    rig.controller.release();
    read_until(&mut body, &mut text, "\"ready\"").await;
    // And nothing after the terminal event.
    let rest = tokio::time::timeout(SOON, body.collect()).await.unwrap().unwrap().to_bytes();
    text.push_str(std::str::from_utf8(&rest).unwrap());
    assert!(text.ends_with("\n\n"), "{text:?}");

    let events: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty() && *event != ":").collect();
    let mut stages = Vec::new();
    for event in &events {
        let (id, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(id, format!("id: {}", data["seq"]));
        assert!(data["message"].is_string() && data["progress"].as_u64().unwrap() <= 100, "{data}");
        stages.push(data["name"].clone());
    }
    assert_eq!(stages, [json!("prepare"), json!("ready")]);
}

#[tokio::test]
async fn a_failed_start_ends_the_stream_with_its_reason() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "broken").await;
    let stages = alice.stages("broken").await;
    let last = stages.last().unwrap();
    assert_eq!(
        (&last["name"], &last["reason"], &last["progress"]),
        (&json!("failed"), &json!("spawn"), &json!(100))
    );
}

/// What was read before the connection broke is not told again.
#[tokio::test]
async fn a_watcher_that_was_cut_goes_on_after_the_last_event() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "slow").await;
    let mut body = watch(&rig, &alice).await.into_body();
    let mut text = String::new();
    read_until(&mut body, &mut text, "\n\n").await;
    let last = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(body);
    rig.controller.release();
    let rest = alice.with(Method::GET, STAGES, &[("last-event-id", &last)], Value::Null).await;
    let rest = String::from_utf8(rest.body.to_vec()).unwrap();
    assert!(rest.contains("\"ready\"") && !rest.contains("\"prepare\""), "{rest}");
}

/// Whoever goes away in the middle leaves nothing behind: the places of its connections are free again.
#[tokio::test]
async fn watchers_that_are_cut_free_their_places() {
    let few = 4;
    let rig = rig_with(|config| config.settings.connections = few).await;
    let alice = alice(&rig).await;
    create(&alice, "slow").await;
    for _ in 0..5 {
        let mut watchers = Vec::new();
        for _ in 0..few - 1 {
            let mut body = watch(&rig, &alice).await.into_body();
            read_until(&mut body, &mut String::new(), "\"prepare\"").await;
            watchers.push(body);
        }
        drop(watchers);
        let served = tokio::time::timeout(SOON, alice.get("/v1/enclaves/slow")).await;
        assert_eq!(served.unwrap().expect(StatusCode::OK)["state"], "starting");
    }
    rig.controller.release();
    assert_eq!(alice.stages("slow").await.last().unwrap()["name"], "ready");
}
