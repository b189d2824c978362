//! The layer that looks for the table's events.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::{Counted, Kind, LABEL_CHARS, Labels, Row, SERIES, Value};

/// Counts the table's events.
pub struct CountingLayer {
    rows: Arc<[Counted]>,
    /// Series that there are, by the name of the metric.
    series: Mutex<HashMap<&'static str, Vec<Labels>>>,
}

impl CountingLayer {
    pub(super) fn new(rows: Arc<[Counted]>) -> Self {
        Self { rows, series: Mutex::default() }
    }

    /// The labels, unless there are too many series already.
    fn bounded(&self, name: &'static str, labels: Labels) -> Labels {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(name).or_default();
        if known.contains(&labels) {
            return labels;
        }
        if known.len() < SERIES {
            known.push(labels.clone());
            return labels;
        }
        labels.into_iter().map(|(name, _)| (name, "other".to_owned())).collect()
    }

    fn count(&self, Counted { row, value }: &Counted, fields: &Fields) {
        let label = |name: &&'static str| (*name, fields.text(name));
        let labels = self.bounded(row.name, row.labels.iter().map(label).collect());
        match (value, row.kind) {
            (Value::Counter(family), Kind::Count | Kind::Microseconds(_)) => {
                family.get_or_create(&labels).inc();
            }
            (Value::Seconds(family), Kind::Microseconds(field)) => {
                if let Ok(micros) = fields.text(field).parse::<f64>() {
                    family.get_or_create(&labels).observe(micros / 1e6);
                }
            }
            (Value::Seconds(_), Kind::Count) => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for CountingLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        let mut of_this_crate = self.rows.iter().filter(|counted| counted.row.is_of(target)).peekable();
        // Most events are of crates that nobody counts: they are not even read.
        if of_this_crate.peek().is_none() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        for counted in of_this_crate.filter(|counted| counted.row.message == fields.message) {
            self.count(counted, &fields);
        }
    }
}

impl Row {
    /// Whether an event with this target is of this row's crate.
    fn is_of(&self, target: &str) -> bool {
        target.strip_prefix(self.source).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn text(&self, name: &str) -> String {
        let found = self.others.iter().find(|(field, _)| *field == name);
        found.map(|(_, text)| text.chars().take(LABEL_CHARS).collect()).unwrap_or_default()
    }

    fn see(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = text;
        } else {
            self.others.push((field.name(), text));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.see(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.see(field, format!("{value:?}"));
    }
}
