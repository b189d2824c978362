//! What passes between client and app, and what happens when one of them goes away.

use std::time::Duration;

use attested_tls::Application::{Http1, Http2};
use bytes::Bytes;
use facade::limits::Limits;
use facade::upstream::Address;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use server::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::apps;
use crate::http::{Client, empty, full};
use crate::world::{HOST, USER, World};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn real() -> World {
    World::start(apps::real(&Tasks::new()).await).await
}

#[tokio::test]
async fn path_query_and_body_arrive_untouched_and_headers_by_the_rules() {
    let world = real().await;
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        let path = "//a/../b%2f?q=%20&q=1";
        let request = client
            .request("PUT", path, &world.token())
            .header("x-app", "1")
            .header("x-sealwright-user", "root")
            .header("x_sealwright_user", "root")
            .header("x-forwarded-for", "192.0.2.1")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(full("body"))
            .unwrap();
        let response = client.send(request).await.unwrap();
        for gone in ["x-sealwright-user", "alt-svc", "x-hop", "connection"] {
            assert!(!response.headers().contains_key(gone), "{gone} {application:?}");
        }
        assert_eq!(
            (&response.headers()["x-app"], &response.headers()["set-cookie"]),
            (&"1".parse().unwrap(), &"a=1".parse().unwrap())
        );
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let seen: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (&seen["method"], &seen["uri"], &seen["body"]),
            (&"PUT".into(), &path.into(), &"body".into())
        );
        let headers = &seen["headers"];
        assert_eq!(headers["host"], serde_json::json!([HOST]));
        assert_eq!(headers["x-sealwright-user"], serde_json::json!([USER]));
        assert_eq!(headers["x-forwarded-proto"], serde_json::json!(["https"]));
        assert_eq!(headers["cookie"], serde_json::json!(["a=1; b=2"]));
        assert_eq!(headers["x-app"], serde_json::json!(["1"]));
        for gone in ["authorization", "x_sealwright_user", "x-forwarded-for", "te", "upgrade"] {
            assert_eq!(headers.get(gone), None, "{gone}");
        }
    }
}

#[tokio::test]
async fn large_bodies_stream_both_ways_with_little_memory_held() {
    const MEBIBYTES: usize = 64;
    let world = real().await;
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        let pieces = (0..MEBIBYTES).map(|_| Ok(Frame::data(Bytes::from_static(&[1; 1 << 20]))));
        let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed();
        let request = client.request("POST", "/sum", &world.token()).body(body).unwrap();
        let answer = client.send(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(answer, (MEBIBYTES << 20).to_string());
        let request = client.request("GET", &format!("/stream/{MEBIBYTES}"), &world.token());
        let mut body = client.send(request.body(empty()).unwrap()).await.unwrap().into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        assert_eq!(bytes, MEBIBYTES << 20);
    }
}

/// An event must arrive before the stream ends.
#[tokio::test]
async fn nothing_is_buffered() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world = World::start(app).await;
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        let request = client.request("GET", "/events", &world.token()).body(empty()).unwrap();
        let answering = tokio::spawn(async move {
            let response = client.send(request).await.unwrap();
            (client, response)
        });
        let mut app = connections.recv().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        apps::answer(&mut app, head).await;
        let (_client, response) = answering.await.unwrap();
        let mut body = response.into_body();
        for event in ["one", "two"] {
            app.write_all(format!("3\r\n{event}\r\n").as_bytes()).await.unwrap();
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), event);
        }
        drop(app);
        assert!(body.frame().await.unwrap().is_err(), "a broken answer does not look whole");
    }
}

#[tokio::test]
async fn trailers_pass_without_what_trailers_must_not_say() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world = World::start(app).await;
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
    let app = tokio::spawn(async move {
        let mut app = connections.recv().await.unwrap();
        let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                        2\r\nok\r\n0\r\nx-sum: 1\r\nx-sealwright-user: root\r\n\r\n";
        apps::answer(&mut app, response).await;
        app
    });
    let collected = client.send(request).await.unwrap().into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["x-sum"], "1");
    assert!(!trailers.contains_key("x-sealwright-user"));
    drop(app.await);
}

#[tokio::test]
async fn redirects_are_the_clients_business() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world = World::start(app).await;
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
    tokio::spawn(async move {
        let mut app = connections.recv().await.unwrap();
        apps::answer(&mut app, "HTTP/1.1 302 Found\r\nlocation: http://evil/\r\ncontent-length: 0\r\n\r\n")
            .await;
    });
    let response = client.send(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (302, &"http://evil/".parse().unwrap())
    );
}

fn websocket(client: &Client, token: &str) -> hyper::Request<crate::http::Body> {
    client
        .request("GET", "/socket", token)
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(empty())
        .unwrap()
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: x\r\nx-sealwright-user: root\r\n\r\n";

#[tokio::test]
async fn a_websocket_becomes_a_tunnel_in_both_directions() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world = World::start(app).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let request = websocket(&client, &world.token());
    let app = tokio::spawn(async move {
        let mut app = connections.recv().await.unwrap();
        let head = apps::answer(&mut app, SWITCH).await;
        let mut hello = [0; 5];
        app.read_exact(&mut hello).await.unwrap();
        app.write_all(b"and back").await.unwrap();
        let mut rest = Vec::new();
        app.read_to_end(&mut rest).await.unwrap();
        (head, hello, rest)
    });
    let mut response = client.send(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 101);
    assert!(!response.headers().contains_key("x-sealwright-user"));
    assert_eq!(response.headers()["sec-websocket-accept"], "x");
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    tunnel.write_all(b"hello").await.unwrap();
    let mut back = [0; 8];
    tunnel.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"and back");
    tunnel.write_all(b"end").await.unwrap();
    tunnel.shutdown().await.unwrap();
    let (head, hello, rest) = app.await.unwrap();
    assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
    assert!(head.contains("sec-websocket-key") && !head.contains("uthorization"), "{head}");
    assert_eq!((&hello, rest.as_slice()), (b"hello", &b"end"[..]));
}

#[tokio::test]
async fn an_app_that_declines_an_upgrade_answers_as_usual_and_one_that_invents_it_is_broken() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world = World::start(app).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let (asked, token) = (websocket(&client, &world.token()), world.token());
    let app = tokio::spawn(async move {
        let mut app = connections.recv().await.unwrap();
        apps::answer(&mut app, OK).await;
        // The second request comes on the same or on another connection.
        let head = tokio::select! {
            head = apps::answer(&mut app, SWITCH) => head,
            another = connections.recv() => {
                app = another.unwrap();
                apps::answer(&mut app, SWITCH).await
            }
        };
        (head, app)
    });
    let response = client.send(asked).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    response.into_body().collect().await.unwrap();
    let plain = client.request("GET", "/", &token).header("upgrade", "websocket").body(empty()).unwrap();
    assert_eq!(client.code(plain).await, (502, "app_broken".to_owned()));
    assert!(!app.await.unwrap().0.contains("upgrade"));
}

#[tokio::test]
async fn an_app_that_is_not_there_or_breaks_off_or_is_silent_has_its_codes() {
    let world = World::start(Address::Port(1)).await;
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (502, "app_unreachable".to_owned()));

    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world =
        World::with_limits(app, Limits { answer: Duration::from_millis(300), ..Limits::default() }).await;
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let app = tokio::spawn(async move {
        for response in ["", "HTTP/1.1 200 OK\r\ncont", "nonsense\r\n\r\n"] {
            let mut app = connections.recv().await.unwrap();
            apps::answer(&mut app, response).await;
        }
        connections.recv().await
    });
    for _ in 0..3 {
        let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
        assert_eq!(client.code(request).await, (502, "app_broken".to_owned()));
    }
    let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (504, "app_timeout".to_owned()));
    drop(app.await);
}

#[tokio::test]
async fn bodies_beyond_the_bound_are_refused_announced_or_not() {
    let app = apps::real(&Tasks::new()).await;
    let world = World::with_limits(app, Limits { request_body: 10, ..Limits::default() }).await;
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        let request = client.request("POST", "/sum", &world.token()).body(full("eleven bytes")).unwrap();
        assert_eq!(client.code(request).await, (413, "too_large".to_owned()));
        let mut client = Client::connect(&world, &world.owner, application).await;
        let pieces = ["six by", "tes, twice"].map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed();
        let request = client.request("POST", "/sum", &world.token()).body(body).unwrap();
        assert_eq!(client.code(request).await, (413, "too_large".to_owned()), "{application:?}");
        let mut client = Client::connect(&world, &world.owner, application).await;
        let request = client.request("POST", "/sum", &world.token()).body(full("ten bytes.")).unwrap();
        assert_eq!(client.json(request).await, (200, 10.into()));
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so() {
    let app = apps::real(&Tasks::new()).await;
    let limits = Limits { request_idle: Duration::from_millis(200), ..Limits::default() };
    let world = World::with_limits(app, limits).await;
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let body = StreamBody::new(futures_util::stream::pending()).boxed();
    let request = client.request("POST", "/sum", &world.token()).body(body).unwrap();
    assert_eq!(client.code(request).await, (408, "request_timeout".to_owned()));
}

/// The app must not go on working for nobody.
#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_with_it() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world = World::start(app).await;
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
        let asking = tokio::spawn(async move { client.send(request).await.map(drop) });
        let mut app = connections.recv().await.unwrap();
        apps::read_until(&mut app, "\r\n\r\n").await;
        asking.abort();
        let mut rest = Vec::new();
        app.read_to_end(&mut rest).await.ok();
        assert_eq!(rest, b"", "the app sees the end of the connection");
    }
}

#[tokio::test]
async fn requests_at_the_app_are_bounded() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let world = World::with_limits(app, Limits { requests: 1, ..Limits::default() }).await;
    let mut first = Client::connect(&world, &world.owner, Http2).await;
    let request = first.request("GET", "/", &world.token()).body(empty()).unwrap();
    let asking = tokio::spawn(async move { first.send(request).await.map(|answer| (answer, first)) });
    let mut app = connections.recv().await.unwrap();
    let mut second = Client::connect(&world, &world.owner, Http2).await;
    let request = second.request("GET", "/", &world.token()).body(empty()).unwrap();
    assert_eq!(second.code(request).await, (503, "busy".to_owned()));
    apps::answer(&mut app, OK).await;
    let (answer, _first) = asking.await.unwrap().unwrap();
    answer.into_body().collect().await.unwrap();
    let request = second.request("GET", "/", &world.token()).body(empty()).unwrap();
    let asking =
        tokio::spawn(async move { second.send(request).await.map(|answer| (answer.status(), second)) });
    tokio::select! {
        _ = apps::answer(&mut app, OK) => {}
        another = connections.recv() => { apps::answer(&mut another.unwrap(), OK).await; }
    }
    assert_eq!(asking.await.unwrap().unwrap().0, 200);
}

/// Something that answers `text` at a socket.
fn answering(socket: &std::path::Path, text: &'static str) {
    let listener = UnixListener::bind(socket).unwrap();
    let router = axum::Router::new().fallback(move || async move { text });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
}

#[tokio::test]
async fn an_app_on_a_unix_socket_is_reached_also_by_a_long_path() {
    let folder = tempfile::TempDir::new().unwrap();
    let deep = folder.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let short = folder.path().join("s");
    answering(&short, "here");
    std::fs::rename(&short, deep.join("app.sock")).unwrap();
    let world = World::start(Address::Socket { root: deep, path: "app.sock".into() }).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
    let answer = client.send(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.to_bytes(), "here");
}

/// An app may write where its socket is. If it could name the agent's there, its user would ask the agent in the
/// facade's name.
#[tokio::test]
async fn a_socket_of_the_node_is_not_reached_through_a_symlink_of_the_app() {
    let (node, root) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
    let (agent, run) = (node.path().join("agent.sock"), root.path().join("run"));
    answering(&agent, "agent");
    std::fs::create_dir(&run).unwrap();
    let up = format!("../../..{}", agent.display());
    for target in [agent.to_str().unwrap(), &up] {
        std::os::unix::fs::symlink(target, run.join("app.sock")).unwrap();
        std::os::unix::fs::symlink(node.path(), run.join("folder")).unwrap();
        for path in ["run/app.sock", "run/folder/agent.sock", "run/../run/app.sock"] {
            let address = Address::Socket { root: root.path().to_owned(), path: path.into() };
            assert!(address.connect().await.is_err(), "{path} to {target}");
        }
        std::fs::remove_file(run.join("app.sock")).unwrap();
        std::fs::remove_file(run.join("folder")).unwrap();
    }
    // A symlink that stays in the app's own file system means there what the app means by it.
    answering(&run.join("real.sock"), "app");
    std::os::unix::fs::symlink("/run/real.sock", run.join("app.sock")).unwrap();
    let world =
        World::start(Address::Socket { root: root.path().to_owned(), path: "run/app.sock".into() }).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
    let answer = client.send(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.to_bytes(), "app");
}

#[tokio::test]
async fn idle_connections_end_and_stopping_lets_requests_finish() {
    let (app, mut connections) = apps::raw(&Tasks::new()).await;
    let limits = Limits { connection_idle: Duration::from_millis(200), ..Limits::default() };
    let world = World::with_limits(app, limits).await;
    let (mut stream, _, _) = world.tls(&world.owner, Http1).await;
    assert_eq!(crate::http::read_to_end(&mut stream).await, "");

    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.request("GET", "/", &world.token()).body(empty()).unwrap();
    let asking = tokio::spawn(async move {
        let response = client.send(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    });
    let mut app = connections.recv().await.unwrap();
    apps::read_until(&mut app, "\r\n\r\n").await;
    world.tasks.stop();
    app.write_all(OK.as_bytes()).await.unwrap();
    assert_eq!(asking.await.unwrap(), "ok");
    assert!(world.tasks.drain().await);
}

#[tokio::test]
async fn connections_are_bounded() {
    let world = World::with_limits(Address::Port(1), Limits { connections: 1, ..Limits::default() }).await;
    let first = world.tls(&world.owner, Http1).await;
    let stream = tokio::net::UnixStream::connect(world.path("facade.sock")).await.unwrap();
    let shown = world.owner.key.certified_key(&[world.owner.certificate.der()]).unwrap();
    let connector = attested_tls::AttestedConnector::new(shown, Http1).unwrap();
    assert!(connector.connect(HOST, stream).await.is_err());
    drop(first);
}
