//! Logs: fields, not prose; one filter, installed once.

use tracing_subscriber::EnvFilter;

/// Environment variable with the log filter.
pub const FILTER_VARIABLE: &str = "SEALWRIGHT_LOG";

/// Installs the log output on standard error, with the filter of [`FILTER_VARIABLE`] or the given one.
/// TLS and HTTP/2 internals stay silent whatever the filter says: their traces hold handshake contents.
/// A second call changes nothing.
pub fn init(default_filter: &str) {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| default_filter.to_owned());
    let filter = EnvFilter::try_new(format!("{wanted},rustls=warn,h2=warn,hyper=warn,sqlx=warn"))
        .unwrap_or_else(|_| EnvFilter::new("info,rustls=warn,h2=warn,hyper=warn,sqlx=warn"));
    // An error only says that some output is installed already, as in tests.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init().ok();
}

/// An error and its causes in one line, for a log field.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
