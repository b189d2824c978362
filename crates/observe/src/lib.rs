//! What operators look at: metrics, health and readiness, traces; and what the service manager is told.
//!
//! Services do not know this crate. They log decisions as events with fields, once; what is counted is read off those events by the table
//! in [`metrics`], so that a refusal is counted with the very code that it was logged and answered with. The composing tool installs it
//! ([`init`]) and serves it ([`Listener`]). The facade has none of this: its spans and counts go to the controller.

pub mod collector;
pub mod config;
pub mod listener;
pub mod metrics;
pub mod notify;
pub mod readiness;

pub use config::Config;
pub use listener::Listener;
pub use metrics::Metrics;
pub use readiness::{Check, Readiness};

use std::sync::Arc;

use server::trace::Recorder;
use tracing_subscriber::Layer as _;

/// Installs logs, metrics and traces for this process. Traces go out when [`collector::Exporter::run`] is spawned.
#[must_use]
pub fn init(default_filter: &str, config: &Config) -> Observed {
    let metrics = Metrics::new();
    let (recorder, exporter) = match &config.traces {
        Some(traces) => {
            let (sink, exporter) = collector::channel(traces);
            (Recorder::into_sink(Arc::new(sink)), Some(exporter))
        }
        None => (Recorder::default(), None),
    };
    server::telemetry::install(Box::new(recorder.and_then(metrics.layer())), default_filter);
    Observed { metrics, exporter }
}

/// What [`init`] installed.
pub struct Observed {
    /// To be served.
    pub metrics: Metrics,
    /// To be run, where traces are wanted.
    pub exporter: Option<collector::Exporter>,
}
