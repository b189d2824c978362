//! What of a guest's request goes to the enclave, and what of the answer to the guest.
//!
//! Invariant: fields about a connection stay on that connection (RFC 9110, 7.6.1), the door's own secrets stay here, and
//! the host is the enclave's.

use ::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, LOCATION, ORIGIN, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, REFERER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADES: HeaderValue = HeaderValue::from_static("upgrade");

/// Whether an exchange may become a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// It stays HTTP.
    None,
    /// To a WebSocket (RFC 6455, 4.1), if the enclave agrees.
    WebSocket,
}

/// What a request asks for.
pub(super) fn upgrade(method: &Method, version: Version, headers: &HeaderMap) -> Upgrade {
    let mut wanted = headers.get_all(UPGRADE).iter();
    let websocket = wanted.next().is_some_and(is_websocket) && wanted.next().is_none();
    let bodiless = !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING);
    let asks = named(headers).any(|name| name.eq_ignore_ascii_case("upgrade"));
    match websocket && bodiless && asks && *method == Method::GET && version == Version::HTTP_11 {
        true => Upgrade::WebSocket,
        false => Upgrade::None,
    }
}

/// Whether an answer agrees to a WebSocket.
pub(super) fn is_websocket(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"websocket")
}

/// What goes to the enclave, but for the token.
pub(super) fn to_enclave(
    received: &HeaderMap,
    host: &HeaderValue,
    own_cookie: Option<&str>,
    upgrade: Upgrade,
) -> HeaderMap {
    let mut sent = kept(received, |name| *name == HOST || *name == AUTHORIZATION);
    if let Some(own) = own_cookie {
        strip_cookie(&mut sent, own);
        tell_enclaves_own(received, &mut sent, host);
    }
    sent.insert(HOST, host.clone());
    ask_for(&mut sent, upgrade);
    sent
}

/// What goes to the guest.
pub(super) fn to_guest(
    received: &HeaderMap,
    host: &HeaderValue,
    own_cookie: Option<&str>,
    upgrade: Upgrade,
) -> HeaderMap {
    let mut sent = kept(received, |_| false);
    if let Some(own) = own_cookie {
        let ours = |value: &HeaderValue| {
            value
                .as_bytes()
                .split(|b| *b == b'=')
                .next()
                .is_some_and(|name| name.trim_ascii() == own.as_bytes())
        };
        let others: Vec<HeaderValue> =
            sent.get_all(SET_COOKIE).iter().filter(|v| !ours(v)).cloned().collect();
        sent.remove(SET_COOKIE);
        for other in others {
            sent.append(SET_COOKIE, other);
        }
        // Behind the door the enclave's own addresses lead nowhere.
        if let Some(path) = local_part(sent.get(LOCATION), host, "https://") {
            sent.insert(LOCATION, path);
        }
    }
    ask_for(&mut sent, upgrade);
    sent
}

/// Every field that is not about the connection.
fn kept(received: &HeaderMap, drop: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named: Vec<&str> = named(received).collect();
    let mut sent = HeaderMap::with_capacity(received.len() + 4);
    for (name, value) in received {
        let of_connection =
            is_hop_by_hop(name) || named.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()));
        // The length belongs to the message, whatever `Connection` says.
        if (!of_connection || *name == CONTENT_LENGTH) && !drop(name) {
            sent.append(name, value.clone());
        }
    }
    sent
}

/// The fields that `Connection` names.
fn named(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

fn ask_for(sent: &mut HeaderMap, upgrade: Upgrade) {
    if upgrade == Upgrade::WebSocket {
        sent.insert(CONNECTION, UPGRADES);
        sent.insert(UPGRADE, WEBSOCKET);
    }
}

fn strip_cookie(sent: &mut HeaderMap, own: &str) {
    let is_own = |pair: &str| pair.trim().split_once('=').is_some_and(|(name, _)| name == own);
    let lines: Vec<HeaderValue> = sent.get_all(COOKIE).iter().cloned().collect();
    sent.remove(COOKIE);
    for line in lines {
        match line.to_str() {
            // Not text: none of ours.
            Err(_) => drop(sent.append(COOKIE, line)),
            Ok(text) => {
                let others: Vec<&str> = text.split(';').filter(|pair| !is_own(pair)).map(str::trim).collect();
                if let Ok(value) = HeaderValue::from_str(&others.join("; "))
                    && !others.is_empty()
                {
                    sent.append(COOKIE, value);
                }
            }
        }
    }
}

/// The door's origin becomes the enclave's, which is what an app compares its host with. The gate saw to it that there is
/// no other.
fn tell_enclaves_own(received: &HeaderMap, sent: &mut HeaderMap, host: &HeaderValue) {
    let (Some(own), Ok(host)) = (received.get(HOST), host.to_str()) else { return };
    for name in [ORIGIN, REFERER] {
        let path = local_part(sent.get(&name), own, "http://");
        let path = path.as_ref().and_then(|path| path.to_str().ok());
        let path = path.map(|path| if name == ORIGIN { "" } else { path });
        if let Some(value) =
            path.and_then(|path| HeaderValue::from_str(&format!("https://{host}{path}")).ok())
        {
            sent.insert(name, value);
        }
    }
}

/// The path of an address on this host; `/` where it has none.
fn local_part(address: Option<&HeaderValue>, host: &HeaderValue, scheme: &str) -> Option<HeaderValue> {
    let rest = address?.to_str().ok()?.strip_prefix(scheme)?.strip_prefix(host.to_str().ok()?)?;
    match rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        true if rest.starts_with('/') => HeaderValue::from_str(rest).ok(),
        true => HeaderValue::from_str(&format!("/{rest}")).ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ENCLAVE: HeaderValue = HeaderValue::from_static("notes-alice.enclaves.localhost");

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn lines(map: &HeaderMap) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let mut lines: Vec<_> = map.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        lines.sort();
        lines
    }

    fn sent(received: &[(&str, &str)]) -> Vec<(String, String)> {
        lines(&to_enclave(&map(received), &ENCLAVE, Some("sealwright-4000"), Upgrade::None))
    }

    fn with_host(others: &[(&str, &str)]) -> Vec<(String, String)> {
        lines(&map(&[&[("host", ENCLAVE.to_str().unwrap())], others].concat()))
    }

    #[test]
    fn the_doors_own_secrets_stay_here() {
        let received = [
            ("host", "127.0.0.1:4000"),
            ("authorization", "Bearer secret"),
            ("cookie", "a=1; sealwright-4000=secret; b=2"),
            ("cookie", "sealwright-4000=secret"),
        ];
        assert_eq!(sent(&received), with_host(&[("cookie", "a=1; b=2")]));
    }

    #[test]
    fn fields_of_the_connection_stay_on_it() {
        let received = [
            ("host", "127.0.0.1:4000"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic x"),
            ("upgrade", "h2c"),
            ("x-public", "1"),
        ];
        assert_eq!(sent(&received), with_host(&[("x-public", "1")]));
    }

    #[test]
    fn a_length_can_not_be_named_away() {
        let received =
            [("host", "127.0.0.1:4000"), ("connection", "content-length"), ("content-length", "3")];
        assert_eq!(sent(&received), with_host(&[("content-length", "3")]));
    }

    #[test]
    fn the_app_sees_its_own_origin() {
        let received = [
            ("host", "127.0.0.1:4000"),
            ("origin", "http://127.0.0.1:4000"),
            ("referer", "http://127.0.0.1:4000/a?b"),
        ];
        let expected = [
            ("origin", "https://notes-alice.enclaves.localhost"),
            ("referer", "https://notes-alice.enclaves.localhost/a?b"),
        ];
        assert_eq!(sent(&received), with_host(&expected));
    }

    #[test]
    fn the_enclave_can_not_set_the_doors_cookie_and_its_redirects_lead_back() {
        let received = map(&[
            ("set-cookie", "sealwright-4000=mine; Path=/"),
            ("set-cookie", "a=b"),
            ("location", "https://notes-alice.enclaves.localhost/next"),
            ("connection", "close"),
        ]);
        let sent = to_guest(&received, &ENCLAVE, Some("sealwright-4000"), Upgrade::None);
        assert_eq!(lines(&sent), lines(&map(&[("set-cookie", "a=b"), ("location", "/next")])));
        let elsewhere = map(&[("location", "https://notes-alice.enclaves.localhost.evil.example/")]);
        assert_eq!(lines(&to_guest(&elsewhere, &ENCLAVE, Some("c"), Upgrade::None)), lines(&elsewhere));
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        let is = |lines: &[(&str, &str)]| upgrade(&Method::GET, Version::HTTP_11, &map(lines));
        let asked = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        assert_eq!(is(&asked), Upgrade::WebSocket);
        assert_eq!(is(&[("connection", "upgrade"), ("upgrade", "h2c")]), Upgrade::None);
        assert_eq!(is(&[("upgrade", "websocket")]), Upgrade::None);
        assert_eq!(is(&[&asked[..], &[("content-length", "1")]].concat()), Upgrade::None);
        assert_eq!(upgrade(&Method::POST, Version::HTTP_11, &map(&asked)), Upgrade::None);
    }
}
