//! The origin that browsers know us by, and the refusal of requests that pages of other origins send.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use api::Code;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::refusal::Refusal;
use crate::shared::Shared;

/// Longest origin, in bytes.
const LONGEST: usize = 300;

/// `https://HOST` or `https://HOST:PORT`, lower case, without a path: the host of links and pages, and the site that passkeys are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: usize,
}

/// The text is no such origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is https://HOST or https://HOST:PORT, the host in lower case, and nothing after it")]
pub struct NotAnOrigin;

const SCHEME: &str = "https://";

impl Origin {
    /// Of a port of this machine, as browsers on it know it.
    #[must_use]
    pub fn localhost(port: u16) -> Self {
        Self { text: format!("{SCHEME}localhost:{port}"), host: "localhost".len() }
    }

    /// The whole origin, as browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host alone: what passkeys are bound to (WebAuthn L3, 5.1.2, `rp.id`).
    #[must_use]
    pub fn host(&self) -> &str {
        self.text.get(SCHEME.len()..SCHEME.len() + self.host).unwrap_or_default()
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;
    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let rest = text.strip_prefix(SCHEME).filter(|_| text.len() <= LONGEST).ok_or(NotAnOrigin)?;
        let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // 443 is never written: browsers leave it out, and origins are compared as text.
        let port = port.is_none_or(|port| {
            port.parse::<u16>().is_ok_and(|number| number.to_string() == port && number != 443 && number != 0)
        });
        let good = host.split('.').all(label) && port;
        good.then(|| Self { text: text.to_owned(), host: host.len() }).ok_or(NotAnOrigin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A layer: what may change something is refused when a browser says that a page of another origin sends it (CVE-2024-28233, CVE-2026-40864).
/// Programs that are no browsers send neither header.
pub(crate) async fn refuse_cross_site(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || is_ours(request.headers(), &shared.origin) {
        return next.run(request).await;
    }
    Refusal::new(Code::CrossSite, "only pages of this site may send this").into_response()
}

/// Each header that is there has to say so; one that comes twice says nothing good.
fn is_ours(headers: &HeaderMap, origin: &Origin) -> bool {
    let only = |name, value: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_none_or(|first| first.as_bytes() == value.as_bytes() && values.next().is_none())
    };
    only(header::ORIGIN, origin.as_str())
        && only(header::HeaderName::from_static("sec-fetch-site"), "same-origin")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn origins_are_hosts_with_or_without_a_port() {
        for (text, host) in [
            ("https://localhost:8443", "localhost"),
            ("https://portal.example", "portal.example"),
            ("https://a-b.c.example:8000", "a-b.c.example"),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!((origin.as_str(), origin.host()), (text, host));
        }
        for bad in [
            "",
            "https://",
            "http://portal.example",
            "portal.example",
            "https://portal.example/",
            "https://Portal.example",
            "https://portal.example:443",
            "https://portal.example:0",
            "https://portal.example:080",
            "https://portal.example:",
            "https://user@portal.example",
            "https://portal..example",
            "https://-a.example",
            "https://[::1]:8443",
            "https://portal.example?x",
            "https://portal.example\\",
            "https://portal.example:1:2",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(NotAnOrigin), "{bad}");
        }
    }

    #[test]
    fn a_request_of_a_page_is_ours_only_when_every_header_says_so() {
        let origin = Origin::localhost(8443);
        let check = |headers: &[(&'static str, &'static str)], ours: bool| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_ours(&map, &origin), ours, "{headers:?}");
        };
        check(&[], true);
        check(&[("origin", "https://localhost:8443"), ("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "https://localhost:8443")], true);
        for bad in [
            "null",
            "https://evil.example",
            "https://localhost",
            "https://localhost:8444",
            "https://localhost:8443.evil.example",
            "http://localhost:8443",
            "",
        ] {
            check(&[("origin", bad)], false);
        }
        for bad in ["cross-site", "same-site", "none", "", "same-origin, cross-site"] {
            check(&[("sec-fetch-site", bad)], false);
        }
        check(&[("origin", "https://localhost:8443"), ("origin", "https://evil.example")], false);
        check(
            &[
                ("origin", "https://localhost:8443"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
            false,
        );
    }
}
