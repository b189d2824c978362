//! The layer that gives spans their ids and hands over the finished ones.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::{SpanId, TraceContext, TraceId};

/// Attributes kept of one span, and characters of each.
pub(super) const ATTRIBUTES: usize = 16;
pub(super) const ATTRIBUTE_CHARS: usize = 256;
/// The field of a span that begins a trace, and of one that goes on with a trace of another process.
const TRACE_ID: &str = "trace.id";
const TRACE_PARENT: &str = "trace.parent";

/// A finished span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The span.
    pub context: TraceContext,
    /// The span that it belongs into, maybe of another process.
    pub parent: Option<SpanId>,
    /// What was done.
    pub name: String,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Its fields as text.
    pub attributes: Vec<(String, String)>,
    /// Whether an error was logged in it.
    pub failed: bool,
}

/// Where finished spans go. Called on whatever thread a span ends: it must not wait.
pub trait Sink: Send + Sync + 'static {
    /// Takes one.
    fn take(&self, record: Record);
}

/// The layer. Without a sink ids are still given: logs and the next process need them.
#[derive(Clone, Default)]
pub struct Recorder {
    sink: Option<Arc<dyn Sink>>,
}

/// A span that is not finished.
pub(super) struct Open(Record);

impl Open {
    pub(super) fn context(&self) -> TraceContext {
        self.0.context
    }
}

impl Recorder {
    /// A layer that hands finished spans to this sink.
    #[must_use]
    pub fn into_sink(sink: Arc<dyn Sink>) -> Self {
        Self { sink: Some(sink) }
    }

    /// Passes a finished span on.
    pub(super) fn keep(&self, record: Record) {
        if let Some(sink) = &self.sink {
            sink.take(record);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let Some(span) = context.span(id) else { return };
        let inherited = || {
            let parent = span.parent()?;
            let open = parent.extensions().get::<Open>().map(Open::context)?;
            Some((open.trace, Some(open.span)))
        };
        let remote = fields.parent.map(|parent| (parent.trace, Some(parent.span)));
        let origin = fields.trace.map(|trace| (trace, None)).or(remote).or_else(inherited);
        let Some(((trace, parent), own)) = origin.zip(SpanId::random()) else { return };
        let began = SystemTime::now();
        let record = Record {
            context: TraceContext { trace, span: own },
            parent,
            name: attributes.metadata().name().to_owned(),
            began,
            ended: began,
            attributes: fields.attributes,
            failed: false,
        };
        span.extensions_mut().insert(Open(record));
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(Open(record)) = extensions.get_mut::<Open>() else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        let room = ATTRIBUTES.saturating_sub(record.attributes.len());
        record.attributes.extend(fields.attributes.into_iter().take(room));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let Some(span) = context.event_span(event) else { return };
        if let Some(Open(record)) = span.extensions_mut().get_mut::<Open>() {
            record.failed = true;
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open(mut record)) = span.extensions_mut().remove::<Open>() else { return };
        record.ended = SystemTime::now();
        self.keep(record);
    }
}

/// Reads a span's fields.
#[derive(Default)]
struct Fields {
    trace: Option<TraceId>,
    parent: Option<TraceContext>,
    attributes: Vec<(String, String)>,
}

impl Fields {
    fn see(&mut self, field: &Field, text: &str) {
        match field.name() {
            TRACE_ID => self.trace = text.parse().ok(),
            TRACE_PARENT => self.parent = text.parse().ok(),
            name if self.attributes.len() < ATTRIBUTES => {
                self.attributes.push((name.to_owned(), text.chars().take(ATTRIBUTE_CHARS).collect()));
            }
            _ => {}
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.see(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.see(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use tracing::{error, info_span};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::trace;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Record>>);

    impl Sink for Kept {
        fn take(&self, record: Record) {
            self.0.lock().unwrap().push(record);
        }
    }

    fn recorded(work: impl FnOnce()) -> Vec<Record> {
        let kept = Arc::new(Kept::default());
        let subscriber = tracing_subscriber::registry().with(Recorder::into_sink(Arc::clone(&kept) as _));
        tracing::subscriber::with_default(subscriber, work);
        let mut records = kept.0.lock().unwrap();
        std::mem::take(&mut *records)
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_request_and_what_it_calls_are_one_trace() {
        let records = recorded(|| {
            let request = info_span!("request", trace.id = TRACE, path = "/v1/x").entered();
            let sent = trace::current().unwrap().to_string();
            drop(request);
            // As another process would.
            let answered = info_span!("start", trace.parent = %sent);
            answered.in_scope(|| info_span!("copy").in_scope(|| error!("no room")));
        });
        let [request, copy, start] = records.as_slice() else { panic!("{records:?}") };
        assert!(records.iter().all(|record| record.context.trace.to_string() == TRACE));
        assert_eq!(request.parent, None);
        assert_eq!(request.attributes, [("path".to_owned(), "/v1/x".to_owned())]);
        assert_eq!(start.parent, Some(request.context.span));
        assert_eq!(copy.parent, Some(start.context.span));
        assert!(copy.failed && !start.failed);
    }

    #[test]
    fn what_belongs_to_no_request_is_not_recorded() {
        let records = recorded(|| {
            info_span!("round").in_scope(|| assert_eq!(trace::current(), None));
            info_span!("hostile", trace.parent = "00-zz").in_scope(|| ());
        });
        assert_eq!(records, []);
    }

    /// A request is answered at once and what it began goes on: its span ends with the answer.
    #[test]
    fn work_after_a_request_is_in_its_trace_and_does_not_keep_it_open() {
        let records = recorded(|| {
            let request = info_span!("request", trace.id = TRACE).entered();
            let work = trace::span_after("start", trace::parent().as_deref());
            drop(request);
            work.in_scope(|| info_span!("copy").in_scope(|| ()));
        });
        let [request, copy, work] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((request.name.as_str(), copy.parent), ("request", Some(work.context.span)));
        assert_eq!((work.context.trace, work.parent), (request.context.trace, Some(request.context.span)));
    }

    #[test]
    fn a_span_of_another_process_goes_where_those_of_this_one_go() {
        let sent = recorded(|| drop(info_span!("request", trace.id = TRACE)));
        let line = sent.first().unwrap().to_line().unwrap();
        let records = recorded(|| trace::hand_over(Record::from_line(&line).unwrap()));
        assert_eq!(records.first().unwrap().context, sent.first().unwrap().context);
    }

    #[test]
    fn a_span_keeps_few_and_short_attributes() {
        let long = "x".repeat(ATTRIBUTE_CHARS * 4);
        let records = recorded(|| drop(info_span!("request", trace.id = TRACE, long)));
        assert_eq!(records.first().unwrap().attributes.first().unwrap().1.len(), ATTRIBUTE_CHARS);
    }
}
