//! The one place for header rules: what the app gets to see of a request, and the client of a response.
//!
//! Invariant: a header that says something in our name, or about the connection, is never one that the other side
//! sent. Rules: RFC 9110 7.6, RFC 9112 6, RFC 9113 8. Nothing here does I/O.

use http::header::{
    ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{Method, Uri, Version};

/// Header lines of one request or response.
pub const MAX_LINES: usize = 100;
/// Bytes of all header names and values together.
pub const MAX_BYTES: usize = 32 * 1024;

/// The user id of the token, for the app.
pub const USER: HeaderName = HeaderName::from_static("x-sealwright-user");
/// The id under which the facade logs the request, for the app and in the answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-sealwright-request-id");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Why a request's headers are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRefusal {
    /// More lines or bytes than [`MAX_LINES`] and [`MAX_BYTES`].
    #[error("too many or too large header fields")]
    TooLarge,
    /// `Connection` is not a list of tokens, or names a field that must reach its reader.
    #[error("Connection names a field that it must not name")]
    Connection,
    /// Any transfer coding but the one line `chunked`, which is the only one we undo.
    #[error("transfer coding not supported")]
    TransferEncoding,
    /// More than one length, or not a plain number.
    #[error("Content-Length must be one number")]
    ContentLength,
    /// No host, two hosts, or hosts that differ.
    #[error("the request must name one host")]
    Host,
    /// Another host than this enclave.
    #[error("this connection is not for that host")]
    WrongHost,
    /// Two `Authorization` lines or another scheme than `Bearer`.
    #[error("Authorization must be one Bearer token")]
    Authorization,
    /// Not a path.
    #[error("the request target must be a path")]
    Target,
}

/// What the app is told about a request beside the client's own headers.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// As the client wrote it, checked by [`authority`].
    pub authority: &'a str,
    /// User id of the token.
    pub user: &'a str,
    /// Id of the request.
    pub request_id: &'a str,
    /// Protocol version in which the request arrived.
    pub version: Version,
}

/// Whether this exchange may become a tunnel of another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// It stays HTTP.
    None,
    /// To a WebSocket (RFC 6455), if the app agrees.
    WebSocket,
}

/// The authority that the request is for: `host` or `host:port` with exactly the given host.
///
/// # Errors
/// [`HeaderRefusal::Host`] where it is not clear which host is meant, [`HeaderRefusal::WrongHost`] where it is.
pub fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap, host: &str) -> Result<&'a str, HeaderRefusal> {
    let mut lines = headers.get_all(HOST).iter();
    let line = lines.next().map(HeaderValue::to_str).transpose().map_err(|_| HeaderRefusal::Host)?;
    if lines.next().is_some() {
        return Err(HeaderRefusal::Host);
    }
    let target = uri.authority().map(http::uri::Authority::as_str);
    let named = match (target, line) {
        (Some(target), Some(line)) if target != line => return Err(HeaderRefusal::Host),
        (Some(named), _) | (None, Some(named)) => named,
        (None, None) => return Err(HeaderRefusal::Host),
    };
    let port_is_number =
        |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    let ours = named
        .strip_prefix(host)
        .is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(port_is_number));
    let scheme_is_ours = uri.scheme().is_none_or(|scheme| *scheme == http::uri::Scheme::HTTPS);
    if ours && scheme_is_ours { Ok(named) } else { Err(HeaderRefusal::WrongHost) }
}

/// The token of the one `Authorization: Bearer` line (RFC 6750 2.1), `None` where there is no such line.
///
/// # Errors
/// [`HeaderRefusal::Authorization`].
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, HeaderRefusal> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(HeaderRefusal::Authorization);
    }
    let text = line.to_str().map_err(|_| HeaderRefusal::Authorization)?;
    let (scheme, token) = text.split_once(' ').ok_or(HeaderRefusal::Authorization)?;
    // RFC 6750 2.1, b64token.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    let good = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(allowed);
    if good { Ok(Some(token)) } else { Err(HeaderRefusal::Authorization) }
}

/// Whether a request asks for a WebSocket in the one form that we pass on: RFC 6455 4.1, over HTTP/1.1.
#[must_use]
pub fn upgrade(method: &Method, version: Version, headers: &HeaderMap) -> Upgrade {
    let mut wanted = headers.get_all(UPGRADE).iter();
    let websocket = wanted.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let alone = wanted.next().is_none();
    let bodiless = !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING);
    let asks = connection_names(headers).any(|name| name.is_some_and(|name| name == UPGRADE));
    let whole =
        websocket && alone && bodiless && asks && *method == Method::GET && version == Version::HTTP_11;
    if whole { Upgrade::WebSocket } else { Upgrade::None }
}

/// The headers that the app gets.
///
/// # Errors
/// [`HeaderRefusal`], where passing the request on could mean different things to us and to the app.
pub fn to_app(received: &HeaderMap, told: &Told<'_>, upgrade: Upgrade) -> Result<HeaderMap, HeaderRefusal> {
    check_size(received)?;
    check_framing(received)?;
    let named = checked_connection_names(received)?;
    let mut sent = HeaderMap::with_capacity(received.len() + 8);
    for (name, value) in received {
        let ours = is_reserved(name) || *name == HOST || *name == AUTHORIZATION || *name == COOKIE;
        // We answer an expectation ourselves, by reading the body (RFC 9110 10.1.1).
        if !ours && !is_hop_by_hop(name) && !named.contains(name) && *name != EXPECT {
            sent.append(name, value.clone());
        }
    }
    if let Some(cookies) = one_cookie_line(received) {
        sent.insert(COOKIE, cookies);
    }
    tell(&mut sent, told);
    ask_for(&mut sent, upgrade);
    Ok(sent)
}

/// The headers that the client gets of the app's response.
#[must_use]
pub fn to_client(received: &HeaderMap, upgrade: Upgrade) -> HeaderMap {
    let named: Vec<HeaderName> = connection_names(received).flatten().collect();
    let mut sent = HeaderMap::with_capacity(received.len() + 1);
    for (name, value) in received {
        // The app must not send the client to another place of the network for this name (RFC 7838).
        if !is_hop_by_hop(name) && !is_ours(name) && !named.contains(name) && *name != ALT_SVC {
            sent.append(name, value.clone());
        }
    }
    ask_for(&mut sent, upgrade);
    sent
}

/// Trailers with the fields taken out that trailers must not change (RFC 9110 6.5.1).
pub fn clean_trailers(trailers: &mut HeaderMap) {
    let forbidden: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| {
            is_hop_by_hop(name)
                || is_reserved(name)
                || [HOST, AUTHORIZATION, COOKIE, CONTENT_LENGTH, ALT_SVC].contains(name)
        })
        .cloned()
        .collect();
    for name in forbidden {
        trailers.remove(name);
    }
}

/// Fields about one connection only. `Trailer` is not one of them: trailers pass.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

/// Fields that only we may set, and other spellings of fields that decide something: an app must not read
/// `content_length` as the length.
fn is_reserved(name: &HeaderName) -> bool {
    let respelled = |known: &str| name.as_str() != known && reads_as(name, known);
    is_ours(name)
        || starts_as(name, "x-forwarded-")
        || reads_as(name, "forwarded")
        || reads_as(name, "x-real-ip")
        || DECISIVE.iter().any(|known| respelled(known))
}

const DECISIVE: [&str; 8] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
];

fn is_ours(name: &HeaderName) -> bool {
    starts_as(name, "x-sealwright-")
}

/// Whether CGI and its heirs (RFC 3875 4.1.18) would take a name for a known one: they read `_` and, some of them,
/// any other mark as `-`.
fn reads_as(name: &HeaderName, known: &str) -> bool {
    name.as_str().len() == known.len() && starts_as(name, known)
}

fn starts_as(name: &HeaderName, known: &str) -> bool {
    let canonical = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let start = name.as_str().as_bytes().get(..known.len()).unwrap_or_default();
    !start.is_empty() && start.iter().zip(known.bytes()).all(|(byte, known)| canonical(*byte) == known)
}

/// Every name in every `Connection` line; `None` for what is no name.
fn connection_names(headers: &HeaderMap) -> impl Iterator<Item = Option<HeaderName>> {
    headers.get_all(CONNECTION).iter().flat_map(|line| {
        let members = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        // Empty members are allowed (RFC 9110 5.6.1).
        members.filter(|member| !member.is_empty()).map(|member| HeaderName::from_bytes(member).ok())
    })
}

/// Stripping by `Connection` is an attack where it hides what the next reader decides by.
fn checked_connection_names(headers: &HeaderMap) -> Result<Vec<HeaderName>, HeaderRefusal> {
    let mut names = Vec::new();
    for name in connection_names(headers) {
        let name = name.ok_or(HeaderRefusal::Connection)?;
        let must_arrive = is_reserved(&name)
            || [HOST, AUTHORIZATION, COOKIE, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name);
        if must_arrive {
            return Err(HeaderRefusal::Connection);
        }
        names.push(name);
    }
    Ok(names)
}

fn check_size(headers: &HeaderMap) -> Result<(), HeaderRefusal> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() <= MAX_LINES && bytes <= MAX_BYTES { Ok(()) } else { Err(HeaderRefusal::TooLarge) }
}

/// hyper has refused what is ambiguous in HTTP/1.1 already; these hold for HTTP/2, too, and for what hyper lets pass.
fn check_framing(headers: &HeaderMap) -> Result<(), HeaderRefusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || codings.next().is_some() || headers.contains_key(CONTENT_LENGTH) {
            return Err(HeaderRefusal::TransferEncoding);
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let number =
            !length.is_empty() && length.len() <= 19 && length.as_bytes().iter().all(u8::is_ascii_digit);
        if !number || lengths.next().is_some() {
            return Err(HeaderRefusal::ContentLength);
        }
    }
    Ok(())
}

/// HTTP/2 may split cookies; HTTP/1.1 wants them in one line (RFC 9113 8.2.3).
fn one_cookie_line(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() { None } else { HeaderValue::from_bytes(&lines.join(&b"; "[..])).ok() }
}

/// What the app can rely on. Values that can't be a header are left out: they come from checked parts of the request.
fn tell(sent: &mut HeaderMap, told: &Told<'_>) {
    let by = if told.version == Version::HTTP_2 { "2 sealwright" } else { "1.1 sealwright" };
    sent.append(VIA, HeaderValue::from_static(by));
    sent.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    // RFC 7239 6.2: where the client came from is not known here, the edge passes bytes.
    let forwarded = format!("for=unknown;host=\"{}\";proto=https", told.authority);
    for (name, text) in [
        (HOST, told.authority),
        (FORWARDED_HOST, told.authority),
        (FORWARDED, forwarded.as_str()),
        (USER, told.user),
        (REQUEST_ID, told.request_id),
    ] {
        if let Ok(value) = HeaderValue::from_str(text) {
            sent.insert(name, value);
        }
    }
}

fn ask_for(sent: &mut HeaderMap, upgrade: Upgrade) {
    match upgrade {
        Upgrade::None => {}
        Upgrade::WebSocket => {
            sent.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            sent.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
    }
}

#[cfg(test)]
mod tests;
