//! Metrics read off events.
//!
//! [`TABLE`] is all that is counted. A row names the event (crate and message) whose fields it reads; `cargo xtask tidy` checks that the
//! source has such an event. Label values are the events' own codes, so their number is bounded; what comes on top of
//! [`SERIES`] is counted as `other`.

mod layer;
mod table;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use layer::CountingLayer;
pub use table::{Kind, Row, TABLE};

/// Series of one metric.
pub const SERIES: usize = 200;
/// Characters of a label's value.
pub const LABEL_CHARS: usize = 64;
/// Upper bounds of the buckets, in seconds: from a cached answer to a start that waits for a TPM.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

type Labels = Vec<(&'static str, String)>;

/// All metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    events: Arc<[Counted]>,
    gauges: Family<Labels, Gauge>,
}

/// A row of the table with what was counted for it.
struct Counted {
    row: &'static Row,
    value: Value,
}

enum Value {
    Counter(Family<Labels, Counter>),
    Seconds(Family<Labels, Histogram, fn() -> Histogram>),
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sealwright");
        let events = TABLE.iter().map(|row| {
            let value = match row.kind {
                Kind::Count => {
                    let family = Family::default();
                    registry.register(row.name, row.help, family.clone());
                    Value::Counter(family)
                }
                Kind::Microseconds(_) => {
                    let family = Family::new_with_constructor(histogram as fn() -> Histogram);
                    registry.register(row.name, row.help, family.clone());
                    Value::Seconds(family)
                }
            };
            Counted { row, value }
        });
        let events = events.collect();
        let gauges = Family::default();
        registry.register(
            "state",
            "What there is now, by kind: enclaves by state, and so on",
            gauges.clone(),
        );
        registry.register_collector(Box::new(process::Process));
        Self { registry: Arc::new(registry), events, gauges }
    }

    /// The layer that counts.
    #[must_use]
    pub fn layer(&self) -> CountingLayer {
        CountingLayer::new(Arc::clone(&self.events))
    }

    /// Says how many of a kind there are now, as `state{kind="enclaves",state="running"}`.
    pub fn set(&self, kind: &'static str, state: &str, number: u64) {
        let labels = vec![("kind", kind.to_owned()), ("state", state.chars().take(LABEL_CHARS).collect())];
        self.gauges.get_or_create(&labels).set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        encode(&mut text, &self.registry).ok();
        text
    }
}

mod process {
    //! What the kernel says of this process.

    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::gauge::ConstGauge;

    #[derive(Debug)]
    pub(super) struct Process;

    impl Collector for Process {
        fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
            let mut gauge = |name, help, value: Option<u64>| -> Result<(), std::fmt::Error> {
                let Some(value) = value.and_then(|value| i64::try_from(value).ok()) else { return Ok(()) };
                let gauge = ConstGauge::new(value);
                let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
                gauge.encode(metric)
            };
            gauge("process_resident_memory_bytes", "Resident memory", resident())?;
            gauge("process_open_descriptors", "Open file descriptors", descriptors())
        }
    }

    /// `VmRSS` of `/proc/self/status` (proc(5)).
    fn resident() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    fn descriptors() -> Option<u64> {
        let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
        u64::try_from(open).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tracing::{info, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn counted(work: impl FnOnce()) -> String {
        let metrics = Metrics::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(metrics.layer()), work);
        metrics.text()
    }

    #[test]
    fn a_refusal_is_counted_with_the_code_that_it_was_logged_with() {
        let text = counted(|| {
            for _ in 0..2 {
                info!(target: "gateway::refusal", code = "token_expired", "refused");
            }
            warn!(target: "gateway::refusal", code = "busy", "refused");
        });
        assert!(text.contains(r#"sealwright_gateway_refusals_total{code="token_expired"} 2"#), "{text}");
        assert!(text.contains(r#"sealwright_gateway_refusals_total{code="busy"} 1"#), "{text}");
    }

    #[test]
    fn answers_are_timed_in_seconds() {
        let text = counted(
            || info!(target: "gateway::refusal", status = 200_u16, micros = 1_500_000_u128, "answered"),
        );
        assert!(text.contains(r#"sealwright_gateway_request_seconds_sum{status="200"} 1.5"#), "{text}");
    }

    #[test]
    fn other_events_and_other_crates_count_nothing() {
        let text = counted(|| {
            info!(target: "gateway::refusal", code = "busy", "something else");
            info!(target: "stranger", code = "busy", "refused");
        });
        assert!(!text.contains("busy"), "{text}");
    }

    /// What a client sends may end in a label only if its number is bounded.
    #[test]
    fn a_flood_of_values_becomes_one_series() {
        let text = counted(|| {
            for number in 0..SERIES * 3 {
                let code = format!("{number}{}", "x".repeat(LABEL_CHARS * 2));
                info!(target: "gateway::refusal", code, "refused");
            }
        });
        let lines: Vec<&str> =
            text.lines().filter(|line| line.starts_with("sealwright_gateway_refusals_total{")).collect();
        assert_eq!(lines.len(), SERIES + 1);
        assert!(lines.iter().all(|line| line.len() < 200));
        assert!(text.contains(&format!(r#"{{code="other"}} {}"#, SERIES * 2)), "{text}");
    }

    #[test]
    fn states_and_the_process_are_there_at_once() {
        let metrics = Metrics::new();
        metrics.set("enclaves", "running", 3);
        let text = metrics.text();
        assert!(text.contains(r#"sealwright_state{kind="enclaves",state="running"} 3"#), "{text}");
        assert!(text.contains("sealwright_process_resident_memory_bytes "), "{text}");
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }
}
