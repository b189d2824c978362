//! What a request over TCP has to show, besides coming from a socket of this user: the door's own name (DNS rebinding), no
//! page of another site behind it, and the secret of this run.
//!
//! A browser of this user is as much this user's process as any other: Host, Origin and Sec-Fetch-Site tell whose page asks.

use std::net::SocketAddr;
use std::sync::Mutex;

use ::http::header::{
    AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use ::names::hex;
use api::Secret;
use bytes::Bytes;
use subtle::ConstantTimeEq;

use super::forward::{Answer, whole};
use super::problem::Refusal;

/// The address that turns its key into a cookie, once.
const OPEN_PATH: &str = "/.sealwright/open";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The secrets of one run of one door.
pub struct Keys {
    bearer: Secret,
    cookie: Secret,
    open: Secret,
    address: SocketAddr,
}

impl Keys {
    /// For programs: `Authorization: Bearer …`.
    #[must_use]
    pub const fn bearer(&self) -> &Secret {
        &self.bearer
    }

    /// For a browser: an address that works once, and leaves a cookie that no script can read.
    #[must_use]
    pub fn open_url(&self) -> Secret {
        Secret::new(format!("http://{}{OPEN_PATH}?key={}", self.address, self.open.expose()))
    }
}

/// What becomes of a request.
pub(super) enum Admission {
    /// It is passed on.
    Pass,
    /// It brought the key of the address: this is the answer.
    Welcome(Answer),
    /// It is not.
    Refuse(Refusal),
}

/// The gate of one door.
pub(super) struct Gate {
    keys: Keys,
    cookie_name: String,
    hosts: Vec<String>,
    opened: Mutex<Opened>,
}

/// Whether the address's key was used.
#[derive(Clone, Copy, PartialEq)]
enum Opened {
    NotYet,
    Once,
}

fn secret() -> Option<Secret> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(Secret::new(hex(&bytes)))
}

impl Gate {
    /// New secrets; `None` where the operating system gives none.
    pub(super) fn new(address: SocketAddr) -> Option<Self> {
        let keys = Keys { bearer: secret()?, cookie: secret()?, open: secret()?, address };
        let port = address.port();
        // RFC 9110, 4.2.1: the default port may be left out.
        let mut hosts = vec![address.to_string(), format!("localhost:{port}")];
        if port == 80 {
            hosts.extend([address.ip().to_string(), "localhost".into()]);
        }
        let cookie_name = format!("sealwright-{port}");
        Some(Self { keys, cookie_name, hosts, opened: Mutex::new(Opened::NotYet) })
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn cookie_name(&self) -> &str {
        &self.cookie_name
    }

    /// A request for a path of this server, in the one form that is passed on (RFC 9112, 3.2.1).
    pub(super) fn form<B>(request: &Request<B>) -> Admission {
        let uri = request.uri();
        let path = uri.authority().is_none() && uri.scheme().is_none() && uri.path().starts_with('/');
        match path && request.method() != Method::CONNECT {
            true => Admission::Pass,
            false => Admission::Refuse(Refusal::Request),
        }
    }

    pub(super) fn admit<B>(&self, request: &Request<B>) -> Admission {
        if let refused @ Admission::Refuse(_) = Self::form(request) {
            return refused;
        }
        let headers = request.headers();
        let Some(host) = only(headers, &HOST).filter(|host| self.hosts.iter().any(|ours| ours == host))
        else {
            return Admission::Refuse(Refusal::Host);
        };
        if !same_site(headers, host) {
            return Admission::Refuse(Refusal::Origin);
        }
        if request.uri().path() == OPEN_PATH {
            return self.open(request);
        }
        match self.shows_secret(headers) {
            true => Admission::Pass,
            false => Admission::Refuse(Refusal::Secret),
        }
    }

    fn shows_secret(&self, headers: &HeaderMap) -> bool {
        let bearer = only(headers, &AUTHORIZATION)
            .and_then(|line| line.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .is_some_and(|(_, token)| same(token, &self.keys.bearer));
        let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        bearer || cookies.any(|(name, value)| name == self.cookie_name && same(value, &self.keys.cookie))
    }

    /// The address of the terminal, opened in a browser. Whoever guesses does not use the key up.
    fn open<B>(&self, request: &Request<B>) -> Admission {
        let key = request.uri().query().and_then(|query| query.strip_prefix("key="));
        if request.method() != Method::GET || !key.is_some_and(|key| same(key, &self.keys.open)) {
            return Admission::Refuse(Refusal::Secret);
        }
        let mut opened = self.opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if std::mem::replace(&mut *opened, Opened::Once) == Opened::Once {
            return Admission::Refuse(Refusal::KeyUsed);
        }
        // RFC 6265, 4.1. The port is in the name: cookies of one host are shared by all its ports.
        let cookie =
            format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name, self.keys.cookie.expose());
        let Ok(mut cookie) = HeaderValue::from_str(&cookie) else {
            return Admission::Refuse(Refusal::Secret);
        };
        cookie.set_sensitive(true);
        let mut answer = Response::new(whole(Bytes::new()));
        *answer.status_mut() = StatusCode::SEE_OTHER;
        let headers = answer.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_static("/"));
        headers.insert(SET_COOKIE, cookie);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Admission::Welcome(answer)
    }
}

fn same(shown: &str, secret: &Secret) -> bool {
    shown.as_bytes().ct_eq(secret.expose().as_bytes()).into()
}

/// The value of a header that comes once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok())?
}

/// Whether no page of somebody else is behind it: Fetch Standard, 3.2 (Origin), and Fetch Metadata (Sec-Fetch-Site). A page
/// on another port of this host is somebody else's, and only `same-origin` tells so.
fn same_site(headers: &HeaderMap, host: &str) -> bool {
    let origin = match headers.contains_key(ORIGIN) {
        false => true,
        true => only(headers, &ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(host),
    };
    let site = match headers.contains_key(SEC_FETCH_SITE) {
        false => true,
        true => matches!(only(headers, &SEC_FETCH_SITE), Some("same-origin" | "none")),
    };
    origin && site
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn gate() -> Gate {
        Gate::new("127.0.0.1:4000".parse().unwrap()).unwrap()
    }

    fn outcome(gate: &Gate, target: &str, headers: &[(&str, &str)]) -> Result<Option<Answer>, Refusal> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match gate.admit(&request.body(()).unwrap()) {
            Admission::Pass => Ok(None),
            Admission::Welcome(answer) => Ok(Some(answer)),
            Admission::Refuse(refusal) => Err(refusal),
        }
    }

    fn refusal(headers: &[(&str, &str)]) -> Option<Refusal> {
        let gate = gate();
        let bearer = format!("Bearer {}", gate.keys.bearer.expose());
        let headers = [headers, &[("authorization", bearer.as_str())]].concat();
        outcome(&gate, "/", &headers).err()
    }

    const HOST_LINE: (&str, &str) = ("host", "127.0.0.1:4000");

    #[test]
    fn only_the_doors_own_names_are_hosts() {
        for good in ["127.0.0.1:4000", "localhost:4000"] {
            assert_eq!(refusal(&[("host", good)]), None, "{good}");
        }
        for bad in [
            "evil.example:4000",
            "127.0.0.1",
            "127.0.0.1:4001",
            "localhost",
            "127.0.0.1:4000.evil.example",
            "",
        ] {
            assert_eq!(refusal(&[("host", bad)]), Some(Refusal::Host), "{bad}");
        }
        assert_eq!(refusal(&[]), Some(Refusal::Host));
        assert_eq!(refusal(&[HOST_LINE, ("host", "evil.example")]), Some(Refusal::Host));
    }

    #[test]
    fn a_page_of_another_site_is_turned_away() {
        for good in [
            ("origin", "http://127.0.0.1:4000"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(refusal(&[HOST_LINE, good]), None, "{good:?}");
        }
        for bad in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "https://127.0.0.1:4000"),
            ("origin", "http://127.0.0.1:4001"),
            ("origin", "http://localhost:4000"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(refusal(&[HOST_LINE, bad]), Some(Refusal::Origin), "{bad:?}");
        }
        let twice = [HOST_LINE, ("origin", "http://127.0.0.1:4000"), ("origin", "http://127.0.0.1:4000")];
        assert_eq!(refusal(&twice), Some(Refusal::Origin));
    }

    #[test]
    fn without_the_secret_nothing_passes() {
        let gate = gate();
        let other = Gate::new("127.0.0.1:4000".parse().unwrap()).unwrap();
        let foreign = format!("Bearer {}", other.keys.bearer.expose());
        let as_bearer = format!("Bearer {}", gate.keys.cookie.expose());
        let as_cookie = format!("sealwright-4000={}", gate.keys.bearer.expose());
        let other_port = format!("sealwright-4001={}", gate.keys.cookie.expose());
        for headers in [
            &[][..],
            &[("authorization", foreign.as_str())],
            &[("authorization", "Bearer ")],
            &[("authorization", as_bearer.as_str())],
            &[("cookie", as_cookie.as_str())],
            &[("cookie", other_port.as_str())],
        ] {
            let headers = [&[HOST_LINE], headers].concat();
            assert_eq!(outcome(&gate, "/", &headers).err(), Some(Refusal::Secret), "{headers:?}");
        }
        let cookie = format!("a=b; sealwright-4000={}", gate.keys.cookie.expose());
        assert!(outcome(&gate, "/", &[HOST_LINE, ("cookie", &cookie)]).unwrap().is_none());
    }

    #[test]
    fn the_address_opens_once_and_leaves_a_cookie_that_scripts_do_not_see() {
        let gate = gate();
        let url = gate.keys.open_url();
        let target = url.expose().strip_prefix("http://127.0.0.1:4000").unwrap();
        let guess = format!("{OPEN_PATH}?key={}", "0".repeat(64));
        assert_eq!(outcome(&gate, &guess, &[HOST_LINE]).err(), Some(Refusal::Secret));
        let answer = outcome(&gate, target, &[HOST_LINE]).unwrap().unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[LOCATION]),
            (303, &HeaderValue::from_static("/"))
        );
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains(gate.keys.bearer.expose()));
        assert_eq!(outcome(&gate, target, &[HOST_LINE]).err(), Some(Refusal::KeyUsed));
    }

    #[test]
    fn only_paths_are_passed_on() {
        let gate = gate();
        for target in ["http://127.0.0.1:4000/", "http://evil.example/", "*"] {
            assert_eq!(outcome(&gate, target, &[HOST_LINE]).err(), Some(Refusal::Request), "{target}");
        }
        let connect = Request::connect("evil.example:443").body(()).unwrap();
        assert!(matches!(gate.admit(&connect), Admission::Refuse(Refusal::Request)));
    }
}
