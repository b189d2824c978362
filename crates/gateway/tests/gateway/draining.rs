//! The end of a gateway that has something to do.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::enclaves::{alice, create};
use crate::rig::{PASSWORD, get, rig};

const DEADLINE: Duration = Duration::from_secs(10);

/// A request that is half sent when the service stops is answered, its connection ends then, nobody new comes in, and a stream of events ends as a
/// whole message does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_is_answered_and_nothing_new_comes_in() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    // Nobody takes this start, so its stream stays open.
    rig.controller.stop().await;
    create(&alice, "notes").await;
    let watching = get("/v1/enclaves/notes/stages", Some(alice.access_token()));
    let stream = rig.open(alice.identity.as_ref(), watching).await;
    assert_eq!(stream.status(), 200);

    let body = json!({"name": "bob", "password": PASSWORD}).to_string();
    let (first, second) = body.split_at(20);
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut half = rig.connection().await.stream;
    let mut idle = rig.connection().await.stream;
    half.write_all(head.as_bytes()).await.unwrap();
    half.flush().await.unwrap();
    let mut answer = Vec::new();
    // The gateway says this when it begins to read the body.
    while !answer.ends_with(b"HTTP/1.1 100 Continue\r\n\r\n") {
        assert!(half.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    half.write_all(first.as_bytes()).await.unwrap();
    half.flush().await.unwrap();

    let meanwhile = async {
        let began = Instant::now();
        while TcpStream::connect(rig.address).await.is_ok() {
            assert!(began.elapsed() < DEADLINE, "new connections are taken");
            tokio::task::yield_now().await;
        }
        half.write_all(second.as_bytes()).await.unwrap();
        half.flush().await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(DEADLINE, half.read_to_end(&mut answer)).await.unwrap().ok();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert!(answer.contains("\"name\":\"bob\""), "{answer}");
        let mut rest = Vec::new();
        tokio::time::timeout(DEADLINE, idle.read_to_end(&mut rest)).await.unwrap().ok();
        assert!(rest.is_empty(), "nothing was asked there");
        let told = tokio::time::timeout(DEADLINE, stream.into_body().collect()).await.unwrap();
        told.expect("the stream is cut off in the middle of its message");
    };
    let (drained, ()) = tokio::join!(rig.drain(), meanwhile);
    assert!(drained);
    assert!(rig.store.user_by_name("bob").await.unwrap().is_some());
}
