#![allow(clippy::unwrap_used)]
use super::*;

const TOLD: Told<'_> =
    Told { authority: "a.localhost:8443", user: "u-1", request_id: "0123", version: Version::HTTP_11 };

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// What reaches the app of the client's own lines, without what the facade adds.
fn passed(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    let added = to_app(&HeaderMap::new(), &TOLD, Upgrade::None).unwrap();
    let sent = to_app(&map(lines), &TOLD, Upgrade::None).unwrap();
    let fresh = |name: &HeaderName, value: &HeaderValue| !added.get_all(name).iter().any(|old| old == value);
    sent.iter()
        .filter(|(name, value)| fresh(name, value))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

fn check_passed(lines: &[(&str, &str)], expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> = expected.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    assert_eq!(passed(lines), expected, "{lines:?}");
}

#[test]
fn ordinary_fields_pass_in_order_and_repeated() {
    check_passed(
        &[("accept", "a"), ("x-app", "1"), ("x-app", "2"), ("content-length", "3"), ("trailer", "x-sum")],
        &[("accept", "a"), ("x-app", "1"), ("x-app", "2"), ("content-length", "3"), ("trailer", "x-sum")],
    );
}

#[test]
fn fields_of_the_connection_stop_here() {
    check_passed(
        &[
            ("connection", "close, x-hop"),
            ("connection", "X-Second"),
            ("x-hop", "1"),
            ("x-second", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("x-stays", "1"),
        ],
        &[("x-stays", "1")],
    );
}

#[test]
fn nobody_speaks_in_our_name() {
    for name in [
        "x-sealwright-user",
        "x-sealwright-anything",
        "X_Sealwright_User",
        "x-sealwright_user",
        "x.sealwright.user",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x_forwarded_for",
        "x-real-ip",
        "authorization",
        "content_length",
        "transfer_encoding",
    ] {
        check_passed(&[(name, "evil")], &[]);
    }
    let sent =
        to_app(&map(&[("x-sealwright-user", "root"), ("host", "evil")]), &TOLD, Upgrade::None).unwrap();
    for (name, value) in [
        ("host", "a.localhost:8443"),
        ("x-sealwright-user", "u-1"),
        ("x-sealwright-request-id", "0123"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.localhost:8443"),
        ("forwarded", "for=unknown;host=\"a.localhost:8443\";proto=https"),
        ("via", "1.1 sealwright"),
    ] {
        let values: Vec<_> = sent.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
}

#[test]
fn via_is_appended() {
    let sent = to_app(&map(&[("via", "1.0 fred")]), &TOLD, Upgrade::None).unwrap();
    let values: Vec<_> = sent.get_all(VIA).iter().collect();
    assert_eq!(values, ["1.0 fred", "1.1 sealwright"]);
}

#[test]
fn split_cookies_are_joined() {
    check_passed(&[("cookie", "a=1"), ("cookie", "b=2")], &[("cookie", "a=1; b=2")]);
}

#[test]
fn ambiguous_requests_are_refused() {
    use HeaderRefusal::*;
    let many: Vec<(&str, &str)> = std::iter::repeat_n(("a", "b"), MAX_LINES + 1).collect();
    let large = "x".repeat(MAX_BYTES);
    for (lines, refusal) in [
        (&[("transfer-encoding", "gzip, chunked")][..], TransferEncoding),
        (&[("transfer-encoding", "identity")], TransferEncoding),
        (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], TransferEncoding),
        (&[("transfer-encoding", "chunked"), ("content-length", "1")], TransferEncoding),
        (&[("content-length", "1"), ("content-length", "1")], ContentLength),
        (&[("content-length", "1"), ("content-length", "2")], ContentLength),
        (&[("content-length", "+1")], ContentLength),
        (&[("content-length", "1, 1")], ContentLength),
        (&[("content-length", "0x1")], ContentLength),
        (&[("content-length", "")], ContentLength),
        (&[("connection", "content-length")], Connection),
        (&[("connection", "close"), ("connection", "keep-alive, Authorization")], Connection),
        (&[("connection", "cookie")], Connection),
        (&[("connection", "x-sealwright-user")], Connection),
        (&[("connection", "x_forwarded_for")], Connection),
        (&[("connection", "not a token")], Connection),
        (&many, TooLarge),
        (&[("a", large.as_str())], TooLarge),
    ] {
        assert_eq!(to_app(&map(lines), &TOLD, Upgrade::None).unwrap_err(), refusal, "{refusal:?}");
    }
}

#[test]
fn a_request_is_for_exactly_our_host() {
    use HeaderRefusal::{Host, WrongHost};
    let check = |uri: &str, lines: &[(&str, &str)], expected: Result<&str, HeaderRefusal>| {
        let (uri, headers) = (uri.parse::<Uri>().unwrap(), map(lines));
        assert_eq!(authority(&uri, &headers, "a.localhost"), expected, "{uri} {lines:?}");
    };
    check("/x", &[("host", "a.localhost")], Ok("a.localhost"));
    check("/x", &[("host", "a.localhost:8443")], Ok("a.localhost:8443"));
    check("https://a.localhost/x", &[], Ok("a.localhost"));
    check("https://a.localhost:1/x", &[("host", "a.localhost:1")], Ok("a.localhost:1"));
    check("/x", &[], Err(Host));
    check("/x", &[("host", "a.localhost"), ("host", "a.localhost")], Err(Host));
    check("https://a.localhost/x", &[("host", "b.localhost")], Err(Host));
    check("http://a.localhost/x", &[], Err(WrongHost));
    for wrong in [
        "b.localhost",
        "A.localhost",
        "a.localhost.",
        "a.localhost:",
        "a.localhost:x",
        "a.localhost:123456",
        "x.a.localhost",
        "a.localhost.evil",
        "a.localhost@evil",
        "user@a.localhost",
        "",
    ] {
        check("/x", &[("host", wrong)], Err(WrongHost));
    }
}

#[test]
fn one_bearer_token_and_nothing_else_is_a_token() {
    let check = |lines: &[(&str, &str)], expected: Result<Option<&str>, HeaderRefusal>| {
        assert_eq!(bearer(&map(lines)), expected, "{lines:?}");
    };
    let refused = Err(HeaderRefusal::Authorization);
    check(&[], Ok(None));
    check(&[("authorization", "Bearer abc.def")], Ok(Some("abc.def")));
    check(&[("authorization", "bearer abc")], Ok(Some("abc")));
    check(&[("authorization", "Basic abc")], refused);
    check(&[("authorization", "Bearer")], refused);
    check(&[("authorization", "Bearer ")], refused);
    check(&[("authorization", "Bearer  abc")], refused);
    check(&[("authorization", "Bearer a b")], refused);
    check(&[("authorization", "Bearer a"), ("authorization", "Bearer a")], refused);
}

#[test]
fn only_a_whole_websocket_request_upgrades() {
    let whole = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    let check = |method, version, lines: &[(&str, &str)], expected| {
        assert_eq!(upgrade(&method, version, &map(lines)), expected, "{lines:?}");
    };
    check(Method::GET, Version::HTTP_11, &whole, Upgrade::WebSocket);
    check(Method::POST, Version::HTTP_11, &whole, Upgrade::None);
    check(Method::GET, Version::HTTP_2, &whole, Upgrade::None);
    check(Method::GET, Version::HTTP_10, &whole, Upgrade::None);
    check(Method::GET, Version::HTTP_11, &[("upgrade", "websocket")], Upgrade::None);
    check(Method::GET, Version::HTTP_11, &[("connection", "upgrade"), ("upgrade", "h2c")], Upgrade::None);
    let two = [("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")];
    check(Method::GET, Version::HTTP_11, &two, Upgrade::None);
    let body = [("connection", "upgrade"), ("upgrade", "websocket"), ("content-length", "5")];
    check(Method::GET, Version::HTTP_11, &body, Upgrade::None);
    let sent = to_app(&map(&whole), &TOLD, Upgrade::WebSocket).unwrap();
    assert_eq!(
        (sent["connection"].as_bytes(), sent["upgrade"].as_bytes()),
        (&b"upgrade"[..], &b"websocket"[..])
    );
}

#[test]
fn responses_lose_what_is_ours_or_the_connections() {
    let received = map(&[
        ("connection", "x-hop, close"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("alt-svc", "h3=\":443\""),
        ("x-sealwright-user", "x"),
        ("x_sealwright_evidence", "x"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("content-length", "4"),
    ]);
    let sent = to_client(&received, Upgrade::None);
    let names: Vec<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["set-cookie", "set-cookie", "content-length"]);
}

#[test]
fn trailers_change_no_framing_and_no_identity() {
    let mut trailers = map(&[
        ("grpc-status", "0"),
        ("content-length", "4"),
        ("transfer-encoding", "chunked"),
        ("authorization", "Bearer x"),
        ("host", "b"),
        ("x-sealwright-user", "root"),
    ]);
    clean_trailers(&mut trailers);
    assert_eq!(trailers, map(&[("grpc-status", "0")]));
}
