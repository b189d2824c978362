//! Logs: fields, not prose; one filter, installed once, beside whatever else watches spans and events.

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::trace::Recorder;

/// Environment variable with the log filter.
pub const FILTER_VARIABLE: &str = "SEALWRIGHT_LOG";
/// TLS and HTTP/2 internals stay silent whatever the filter says: their traces hold handshake contents.
const SILENT: &str = "rustls=warn,h2=warn,hyper=warn,sqlx=warn";

/// Installs the log output on standard error, with the filter of [`FILTER_VARIABLE`] or the given one.
/// A second call changes nothing.
pub fn init(default_filter: &str) {
    install(Box::new(Recorder::default()), default_filter);
}

/// As [`init`], with layers that see every span and event of level `info` and above, whatever the log's filter says.
pub fn install(layers: Box<dyn Layer<Registry> + Send + Sync>, default_filter: &str) {
    let output = output().with_filter(filter(default_filter));
    // Deeper ones are many and cost even where nobody looks.
    let layers = layers.with_filter(LevelFilter::INFO);
    // An error only says that something is installed already, as in tests.
    tracing_subscriber::registry().with(layers).with(output).try_init().ok();
}

fn output<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    tracing_subscriber::fmt::layer().with_writer(std::io::stderr)
}

/// The filter that is really used where this one is wanted.
#[must_use]
pub fn silenced(wanted: &str) -> String {
    format!("{wanted},{SILENT}")
}

fn filter(default_filter: &str) -> EnvFilter {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| default_filter.to_owned());
    EnvFilter::try_new(silenced(&wanted)).unwrap_or_else(|_| EnvFilter::new(silenced("info")))
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
