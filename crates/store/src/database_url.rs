//! Where the database is: a SQLite file or a PostgreSQL server.
//!
//! A password may be in the URL (of a configuration file, please) or in a file that the URL names; it is never shown again.

use std::fmt;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// Longest password file that is read.
const PASSWORD_FILE: u64 = 4096;
/// What a PostgreSQL URL may say, as libpq names it.
const PARAMETERS: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "application_name",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
];
/// Ours: a file that holds the password and nothing else.
const PASSWORD_PARAMETER: &str = "password_file";
const HIDDEN: &str = "***";

/// A database: `sqlite:PATH` or just a path, `postgres://USER@HOST/NAME?sslmode=…&password_file=PATH`, or
/// `postgres:///NAME?host=/FOLDER/OF/THE/SOCKET`. What it prints has no password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Kind);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite(PathBuf),
    Postgres(Postgres),
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Postgres {
    /// Without its password; `sslmode` is always said.
    url: Url,
    password: Option<String>,
    password_file: Option<PathBuf>,
}

/// Why a text is no database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Nothing at all.
    #[error("a database is a path, sqlite:PATH or postgres://…")]
    Empty,
    /// Another kind of database.
    #[error("{0}: databases are not of this kind here: sqlite:PATH or postgres://…")]
    Scheme(String),
    /// Not a URL.
    #[error("the database's URL can't be read: {0}")]
    Url(url::ParseError),
    /// A parameter that is not known here.
    #[error("the database's URL has a parameter that is not known here: {0}")]
    Parameter(String),
    /// Two passwords.
    #[error("the database's URL names a password and a password file")]
    Ambiguous,
}

/// Why the password was not read.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFileError {
    /// What the file system says.
    #[error("read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// Everybody on the machine may read it.
    #[error("everybody may read {}: chmod o-rwx", .0.display())]
    Exposed(PathBuf),
    /// It is empty, too long, or no text.
    #[error("{} holds no password", .0.display())]
    Content(PathBuf),
}

impl DatabaseUrl {
    /// The SQLite file at this path.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Sqlite(path.into()))
    }

    /// Whether the text itself holds a password: then it should not come from a command line, which every user of the machine can read.
    #[must_use]
    pub fn holds_password(&self) -> bool {
        matches!(&self.0, Kind::Postgres(postgres) if postgres.password.is_some())
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0
    }
}

impl Postgres {
    fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        let given = Url::parse(text).map_err(DatabaseUrlError::Url)?;
        let mut url = given.clone();
        url.set_query(None);
        let mut password = given.password().map(decoded);
        let mut password_file = None;
        for (key, value) in given.query_pairs() {
            match &*key {
                "password" if password.is_some() => return Err(DatabaseUrlError::Ambiguous),
                "password" => password = Some(value.into_owned()),
                PASSWORD_PARAMETER => password_file = Some(PathBuf::from(&*value)),
                known if PARAMETERS.contains(&known) => {
                    url.query_pairs_mut().append_pair(known, &value);
                }
                other => return Err(DatabaseUrlError::Parameter(other.to_owned())),
            }
        }
        if password.is_some() {
            // Fails where there is no host, and then there was no place for a password either.
            let _ = url.set_password(None);
        }
        if password.is_some() && password_file.is_some() {
            return Err(DatabaseUrlError::Ambiguous);
        }
        if !url.query_pairs().any(|(key, _)| key == "sslmode") {
            let mode = if is_local(&url) { "prefer" } else { "verify-full" };
            url.query_pairs_mut().append_pair("sslmode", mode);
        }
        Ok(Self { url, password, password_file })
    }

    /// The whole, with the password, for the driver alone.
    pub(crate) fn connect_url(&self) -> Result<Url, PasswordFileError> {
        let mut url = self.url.clone();
        let password = match (&self.password, &self.password_file) {
            (Some(password), _) => Some(password.clone()),
            (None, Some(path)) => Some(read_password(path)?),
            (None, None) => None,
        };
        if let Some(password) = password {
            url.query_pairs_mut().append_pair("password", &password);
        }
        Ok(url)
    }
}

/// On this machine nobody is between us and the server; anywhere else its certificate is checked unless the URL says otherwise.
fn is_local(url: &Url) -> bool {
    let named = url.query_pairs().filter(|(key, _)| key == "host" || key == "hostaddr").last();
    let host = match &named {
        Some((_, value)) => &**value,
        None => url.host_str().unwrap_or_default(),
    };
    host.is_empty()
        || host.starts_with('/')
        || host.to_ascii_lowercase().starts_with("%2f")
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn decoded(text: &str) -> String {
    // `x=TEXT` as a form field is the same escaping, once `+` means itself.
    let escaped = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn read_password(path: &Path) -> Result<String, PasswordFileError> {
    let read = |error| PasswordFileError::Read(path.to_owned(), error);
    let about = std::fs::metadata(path).map_err(read)?;
    if about.permissions().mode() & 0o007 != 0 {
        return Err(PasswordFileError::Exposed(path.to_owned()));
    }
    if about.len() > PASSWORD_FILE {
        return Err(PasswordFileError::Content(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    if password.is_empty() || password.contains('\n') {
        return Err(PasswordFileError::Content(path.to_owned()));
    }
    Ok(password.to_owned())
}

/// `sqlite:` and the path with everything escaped that a URL could take for its own.
pub(crate) fn sqlite_url(path: &Path) -> String {
    let mut text = String::from("sqlite:");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Postgres::parse(text).map(Kind::Postgres).map(Self);
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => text,
        };
        if path.is_empty() {
            return Err(DatabaseUrlError::Empty);
        }
        if let Some((scheme, _)) = path.split_once("://") {
            return Err(DatabaseUrlError::Scheme(scheme.to_owned()));
        }
        Ok(Self::sqlite(path))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Kind::Postgres(postgres) => {
                let mut url = postgres.url.clone();
                if postgres.password.is_some() {
                    url.query_pairs_mut().append_pair("password", HIDDEN);
                }
                if let Some(path) = &postgres.password_file {
                    url.query_pairs_mut().append_pair(PASSWORD_PARAMETER, &path.to_string_lossy());
                }
                write!(f, "{url}")
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn postgres(text: &str) -> Postgres {
        match text.parse::<DatabaseUrl>().unwrap().0 {
            Kind::Postgres(postgres) => postgres,
            Kind::Sqlite(_) => panic!("{text}"),
        }
    }

    #[test]
    fn paths_and_urls_are_told_apart() {
        for text in ["/var/db.sqlite", "sqlite:/var/db.sqlite", "sqlite:///var/db.sqlite"] {
            assert_eq!(text.parse(), Ok(DatabaseUrl::sqlite("/var/db.sqlite")), "{text}");
        }
        assert_eq!("db.sqlite".parse(), Ok(DatabaseUrl::sqlite("db.sqlite")));
        assert_eq!("mysql://h/d".parse::<DatabaseUrl>(), Err(DatabaseUrlError::Scheme("mysql".into())));
        for text in ["", "sqlite:", "sqlite://"] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(DatabaseUrlError::Empty), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown_and_reaches_the_driver_whole() {
        for text in [
            "postgres://sealwright:s3cr%25t%2B%26+@db.example/sealwright",
            "postgresql://sealwright@db.example/sealwright?password=s3cr%25t%2B%26%2B",
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            for shown in [format!("{url}"), format!("{url:?}")] {
                assert!(!shown.contains("s3cr"), "{shown}");
                assert!(shown.contains("sealwright@db.example"), "{shown}");
            }
            assert!(url.holds_password());
            let whole = postgres(text).connect_url().unwrap();
            assert!(
                whole.query_pairs().any(|(key, value)| key == "password" && value == "s3cr%t+&+"),
                "{whole}"
            );
        }
    }

    #[test]
    fn a_server_elsewhere_has_to_prove_its_name() {
        let mode = |text| {
            let url = postgres(text).url;
            url.query_pairs().find(|(key, _)| key == "sslmode").unwrap().1.into_owned()
        };
        assert_eq!(mode("postgres://db.example/d"), "verify-full");
        assert_eq!(mode("postgres:///d?host=db.example"), "verify-full");
        assert_eq!(mode("postgres://db.example/d?sslmode=require"), "require");
        for local in [
            "postgres://127.0.0.1:1/d",
            "postgres://[::1]/d",
            "postgres://localhost/d",
            "postgres:///d?host=/run/pg",
        ] {
            assert_eq!(mode(local), "prefer", "{local}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(
            "postgres://h/d?sslmod=disable".parse::<DatabaseUrl>(),
            Err(DatabaseUrlError::Parameter("sslmod".into()))
        );
        assert_eq!(
            "postgres://u:p@h/d?password_file=/x".parse::<DatabaseUrl>(),
            Err(DatabaseUrlError::Ambiguous)
        );
    }

    #[test]
    fn a_password_file_is_read_unless_everybody_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let text = format!("postgres:///d?password_file={}", path.display());
        assert!(matches!(postgres(&text).connect_url(), Err(PasswordFileError::Read(..))));
        std::fs::write(&path, "from a file\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(postgres(&text).connect_url(), Err(PasswordFileError::Exposed(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let whole = postgres(&text).connect_url().unwrap();
        assert!(whole.query_pairs().any(|(key, value)| key == "password" && value == "from a file"));
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(postgres(&text).connect_url(), Err(PasswordFileError::Content(_))));
    }

    #[test]
    fn a_path_is_escaped_whole() {
        assert_eq!(sqlite_url(Path::new("/a b/../c?d")), "sqlite:%2Fa%20b%2F%2E%2E%2Fc%3Fd");
    }
}
