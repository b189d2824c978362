//! What this machine knows about one server: where it is, which anchors count and for how much.
//!
//! The file holds nothing secret and nothing that the client learns by itself; that is in the [`crate::Profile`]s beside it.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ::names::{Level, TrustDomain};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::files::{self, FileError};
use crate::names::UserName;

/// Largest context file.
const CONTEXT_BYTES: u64 = 1 << 20;
/// Largest file that names a user.
const CURRENT_USER_BYTES: u64 = 128;
const FORMAT: &str = "sealwright/context/v1";

/// Why there is no usable context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is no such file.
    #[error("there is no context at {}", .0.display())]
    Missing(PathBuf),
    /// Neither `SEALWRIGHT_CONTEXT` nor `XDG_CONFIG_HOME` nor `HOME` says where contexts are.
    #[error("no folder for the configuration: neither XDG_CONFIG_HOME nor HOME is set")]
    NoFolder,
    /// The current context is a file of its own, not a link that may be replaced.
    #[error("{} is a file of its own, not a link to one: it is not replaced", .0.display())]
    NotALink(PathBuf),
    /// A context of this name is there.
    #[error("there is a context {0} already")]
    Exists(crate::contexts::ContextName),
    /// An anchor's certificate can't be read.
    #[error("the certificate of anchor {0} can't be read")]
    Anchor(String),
    /// The file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Whether the level `simulated` is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Simulated {
    /// It is refused.
    Refused,
    /// It is accepted, and said each time.
    Allowed,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// The host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Reads `https://HOST:PORT`, nothing after it but one slash.
    #[must_use]
    pub fn from_url(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://")?;
        rest.strip_suffix('/').unwrap_or(rest).parse().ok()
    }

    /// The form that [`Endpoint::from_url`] reads.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{self}")
    }
}

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;
    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let (host, port) = text.rsplit_once(':').ok_or(NotAnEndpoint)?;
        let port: u16 = port.parse().map_err(|_| NotAnEndpoint)?;
        let bare = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => {
                address.parse::<std::net::Ipv6Addr>().map(|_| address).map_err(|_| NotAnEndpoint)?
            }
            None => host,
        };
        let name = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        let good = port != 0 && !bare.is_empty() && bare.len() <= 253;
        match good && (host != bare || bare.bytes().all(name)) {
            true => Ok(Self { host: bare.to_owned(), port }),
            false => Err(NotAnEndpoint),
        }
    }
}

/// A text is not `HOST:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not HOST:PORT")]
pub struct NotAnEndpoint;

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A certificate that chains may end in, and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// For people.
    pub name: String,
    /// DER.
    #[serde(with = "base64_bytes")]
    pub certificate: Vec<u8>,
    /// What a chain that ends here is worth at most.
    pub level: Level,
}

/// One server, as this machine knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    format: Format,
    /// Where the gateway answers.
    #[serde(with = "gateway_url")]
    pub gateway: Endpoint,
    /// Where the edge answers; the enclave's host name is only the TLS server name.
    pub edge: Endpoint,
    /// The domain of the SPIFFE ids.
    pub trust_domain: TrustDomain,
    /// Where every chain has to end: facades, attestation keys, verdicts, the gateway.
    pub anchors: Vec<Anchor>,
    /// Whether the level `simulated` is accepted without a flag.
    pub simulated: Simulated,
}

impl Context {
    /// A context that refuses the level `simulated`.
    #[must_use]
    pub fn new(gateway: Endpoint, edge: Endpoint, trust_domain: TrustDomain, anchors: Vec<Anchor>) -> Self {
        Self { format: Format, gateway, edge, trust_domain, anchors, simulated: Simulated::Refused }
    }

    /// Reads a context file.
    ///
    /// # Errors
    /// [`ContextError`]: missing, unreadable, or not a context.
    pub fn load(path: &Path) -> Result<Self, ContextError> {
        let bytes = files::read_bounded(path, CONTEXT_BYTES)?
            .ok_or_else(|| ContextError::Missing(path.to_owned()))?;
        let context = serde_json::from_slice(&bytes)
            .map_err(|error| FileError::Malformed { path: path.to_owned(), problem: error.to_string() })?;
        Ok(context)
    }

    /// Writes the context file, and its folder if need be.
    ///
    /// # Errors
    /// [`ContextError::File`].
    pub fn save(&self, path: &Path) -> Result<(), ContextError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            files::make_private_folder(folder)?;
        }
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| FileError::Malformed { path: path.to_owned(), problem: error.to_string() })?;
        bytes.push(b'\n');
        Ok(files::write_private(path, &bytes)?)
    }

    /// The anchors as a trust store.
    ///
    /// # Errors
    /// [`ContextError::Anchor`].
    pub fn roots(&self) -> Result<evidence::Roots, ContextError> {
        let read = |anchor: &Anchor| {
            let certificate = pki::Certificate::from_der(&anchor.certificate);
            let certificate = certificate.map_err(|_| ContextError::Anchor(anchor.name.clone()))?;
            Ok(evidence::Anchor { name: anchor.name.clone(), certificate, level: anchor.level })
        };
        let anchors: Result<Vec<_>, ContextError> = self.anchors.iter().map(read).collect();
        Ok(evidence::Roots::new(anchors?))
    }

    /// Where the current context is: `$XDG_CONFIG_HOME/sealwright/context.json`, or below `~/.config`.
    ///
    /// # Errors
    /// [`ContextError::NoFolder`].
    pub fn current_path() -> Result<PathBuf, ContextError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        Ok(folder.ok_or(ContextError::NoFolder)?.join("sealwright/context.json"))
    }

    /// Makes this file the current context, by a link to it.
    ///
    /// # Errors
    /// [`ContextError::NotALink`] where the current context is a file of its own; it stays.
    pub fn make_current(path: &Path) -> Result<PathBuf, ContextError> {
        let target = fs::canonicalize(path).map_err(FileError::io("find", path))?;
        let current = Self::current_path()?;
        match fs::symlink_metadata(&current) {
            Ok(there) if !there.file_type().is_symlink() => return Err(ContextError::NotALink(current)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::io("look at", &current)(error).into());
            }
            Ok(_) | Err(_) => {}
        }
        if let Some(folder) = current.parent() {
            files::make_private_folder(folder)?;
        }
        let beside = current.with_extension(format!("{}.new", std::process::id()));
        files::remove(&beside)?;
        symlink(&target, &beside)
            .and_then(|()| fs::rename(&beside, &current))
            .map_err(FileError::io("link", &current))?;
        Ok(current)
    }
}

/// Where the profiles of a context are kept: beside the real file, not beside a link to it.
pub(crate) fn profiles_folder(context: &Path) -> Result<PathBuf, FileError> {
    let real = fs::canonicalize(context).map_err(FileError::io("find", context))?;
    Ok(real.with_extension("users"))
}

/// Who logged in last at this context.
pub(crate) fn current_user(context: &Path) -> Result<Option<UserName>, FileError> {
    let path = profiles_folder(context)?.join(".current");
    let Some(bytes) = files::read_bounded(&path, CURRENT_USER_BYTES)? else { return Ok(None) };
    let name = str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    name.map(Some).ok_or_else(|| FileError::Malformed { path, problem: "not a user's name".into() })
}

/// Remembers who logged in last.
pub(crate) fn set_current_user(context: &Path, user: &UserName) -> Result<(), FileError> {
    let folder = profiles_folder(context)?;
    files::make_private_folder(&folder)?;
    files::write_private(&folder.join(".current"), format!("{user}\n").as_bytes())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(FORMAT)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)? == FORMAT {
            true => Ok(Self),
            false => Err(de::Error::custom(format_args!("format is not {FORMAT}"))),
        }
    }
}

macro_rules! endpoint_as {
    ($module:ident, $write:expr, $read:expr, $expected:literal) => {
        mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de};

            use super::Endpoint;

            pub(super) fn serialize<S: Serializer>(
                endpoint: &Endpoint,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let write: fn(&Endpoint) -> String = $write;
                serializer.serialize_str(&write(endpoint))
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Endpoint, D::Error> {
                let read: fn(&str) -> Option<Endpoint> = $read;
                read(&String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom($expected))
            }
        }
    };
}

endpoint_as!(gateway_url, Endpoint::url, Endpoint::from_url, "not https://HOST:PORT");

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

mod base64_bytes {
    use base64ct::{Base64, Encoding};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Base64::decode_vec(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn example() -> Context {
        let anchor = Anchor { name: "root".into(), certificate: vec![1, 2, 3], level: Level::Simulated };
        Context::new(
            Endpoint::from_url("https://localhost:8443").unwrap(),
            "127.0.0.1:8444".parse().unwrap(),
            "sealwright.internal".parse().unwrap(),
            vec![anchor],
        )
    }

    #[test]
    fn a_saved_context_is_the_same_when_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/context.json");
        example().save(&path).unwrap();
        assert_eq!(Context::load(&path).unwrap(), example());
    }

    #[test]
    fn a_context_of_another_format_or_with_unknown_fields_is_refused() {
        let good = serde_json::to_string(&example()).unwrap();
        for (from, to) in
            [("context/v1", "context/v2"), ("\"edge\"", "\"ledge\""), ("https:", "http:"), ("AQID", "A")]
        {
            let bad = good.replace(from, to);
            assert!(serde_json::from_str::<Context>(&bad).is_err(), "{to}");
        }
    }

    #[test]
    fn endpoints_are_a_host_and_a_port() {
        for good in ["localhost:1", "127.0.0.1:65535", "[::1]:443"] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
        }
        for bad in
            ["", "localhost", "localhost:0", ":1", "a b:1", "::1:443", "[x]:1", "a/b:1", "u@h:1", "h:65536"]
        {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        for bad in ["http://h:1", "https://h:1/path", "https://h", "h:1"] {
            assert!(Endpoint::from_url(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_last_login_is_the_current_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("context.json");
        example().save(&path).unwrap();
        assert_eq!(current_user(&path).unwrap(), None);
        for name in ["alice", "bob"] {
            set_current_user(&path, &name.parse().unwrap()).unwrap();
        }
        assert_eq!(current_user(&path).unwrap(), Some("bob".parse().unwrap()));
    }
}
