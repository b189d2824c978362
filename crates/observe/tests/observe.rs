//! What a monitoring system and a collector see.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use observe::config::Traces;
use observe::listener::Shown;
use observe::{Check, Config, Listener, Metrics, Readiness, collector};
use serde_json::Value;
use server::Tasks;
use server::trace::{Recorder, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn health_readiness_and_metrics_are_answered_and_a_drain_is_seen() {
    let tasks = Tasks::new();
    let config = Config { listen: Some("127.0.0.1:0".parse().unwrap()), ..Config::default() };
    let listener = Listener::bind(&config).await.unwrap();
    let address = listener.address().unwrap();
    let readiness = Readiness::of(vec![Check::new("database", || async { Ok(()) })]);
    let gauges = |metrics: &Metrics| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        metrics.set("enclaves", "running", 2);
        Box::pin(async {})
    };
    let shown = Shown { metrics: Metrics::new(), gauges: Arc::new(gauges), readiness: readiness.clone() };
    listener.serve(&shown, &tasks);

    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    let ready = get(address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains(r#""status":"ready""#), "{ready}");
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains(r#"sealwright_state{kind="enclaves",state="running"} 2"#), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(get(address, "/etc/passwd").await.starts_with("HTTP/1.1 404"));
    let post =
        ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(post.await.starts_with("HTTP/1.1 405"));

    readiness.drain();
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(tasks.drain().await);
}

/// A collector that keeps the body of one export.
async fn collected(listener: &TcpListener) -> Value {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    loop {
        let mut more = [0; 4096];
        let length = stream.read(&mut more).await.unwrap();
        assert!(length > 0, "the export broke off");
        seen.extend_from_slice(&more[..length]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let declared = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() < declared.parse().unwrap() {
            continue;
        }
        assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        return serde_json::from_str(body).unwrap();
    }
}

#[tokio::test]
async fn a_request_arrives_at_the_collector_under_its_own_id() {
    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sink, exporter) = collector::channel(&Traces { collector: listener.local_addr().unwrap() });
    let sink: Arc<dyn Sink> = Arc::new(sink);
    let subscriber = tracing_subscriber::registry().with(Recorder::into_sink(Arc::clone(&sink)));
    tracing::subscriber::with_default(subscriber, || {
        info_span!("request", trace.id = ID, method = "POST")
            .in_scope(|| info_span!("store").in_scope(|| ()));
    });
    drop(sink);
    let tasks = Tasks::new();
    tasks.spawn(exporter.run());
    let body = collected(&listener).await;
    let spans = body.pointer("/resourceSpans/0/scopeSpans/0/spans").and_then(Value::as_array).unwrap();
    let [child, request] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((&request["traceId"], &child["traceId"]), (&Value::from(ID), &Value::from(ID)));
    assert_eq!(child["parentSpanId"], request["spanId"]);
    assert_eq!(request["attributes"][0]["value"]["stringValue"], "POST");
    // All senders are gone: the exporter has sent what there was and ends.
    assert!(tasks.drain().await);
}

/// A metric whose event was renamed would stay at nothing, and nobody would notice.
#[test]
fn every_metric_has_its_event_in_the_source() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for row in observe::metrics::TABLE {
        let found = sources(&crates.join(row.source).join("src"));
        let literal = format!("\"{}\"", row.message);
        assert!(
            found.iter().any(|text| text.contains(&literal)),
            "{}: no event {literal} in {}",
            row.name,
            row.source
        );
    }
}

fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// Nobody waits for a collector, and one that is away costs no memory beyond the bound.
#[tokio::test]
async fn a_collector_that_is_away_loses_spans_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = listener.local_addr().unwrap();
    drop(listener);
    let (sink, exporter) = collector::channel(&Traces { collector: nowhere });
    let subscriber = tracing_subscriber::registry().with(Recorder::into_sink(Arc::new(sink)));
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..10_000 {
            info_span!("request", trace.id = "4bf92f3577b34da6a3ce929d0e0e4736").in_scope(|| ());
        }
    });
    let tasks = Tasks::new();
    tasks.spawn(exporter.run());
    assert!(tasks.drain().await);
}
