//! Traces: which spans belong to one request, over processes, and how long each took.
//!
//! A request's id is its trace id (both are 16 random bytes), so one id leads through logs, problems, metrics' exemplars and traces.
//! Spans that begin a trace carry the field `trace.id`; those that go on with one from another process carry `trace.parent`, a
//! `traceparent` (W3C Trace Context, 3.2). Children follow by themselves; spans outside a trace cost nothing and are not kept.
//!
//! This is not the OpenTelemetry SDK: the facade must stay small and has no network. It hands over finished spans as plain
//! [`Record`]s; `observe` exports them.

mod context;
mod layer;
mod line;

pub use context::{SpanId, TraceContext, TraceId};
pub use layer::{Record, Recorder, Sink};
pub use line::LINE_BYTES;

use http::{HeaderMap, HeaderValue};
use tracing::{Span, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

/// Header, and key of gRPC metadata, that carries a trace to the next process.
pub const HEADER: &str = "traceparent";
/// Characters kept of what was called.
const WHAT: usize = 100;

/// The `traceparent` of the current span, as a header's value; `None` outside of a trace.
#[must_use]
pub fn header() -> Option<HeaderValue> {
    HeaderValue::try_from(current()?.to_string()).ok()
}

/// A span around what another process asked for, in its trace; a span like any other where it said none.
#[must_use]
pub fn span_for(what: &str, headers: &HeaderMap) -> Span {
    let what: String = what.chars().take(WHAT).collect();
    match headers.get(HEADER).and_then(|value| value.to_str().ok()) {
        Some(parent) => info_span!("call", trace.parent = parent, what),
        None => info_span!("call", what),
    }
}

/// A span around work that outlives the request which asked for it: in its trace, as a child of the span that `parent` names (a
/// `traceparent`), but without keeping that span open.
#[must_use]
pub fn span_after(what: &str, parent: Option<&str>) -> Span {
    let what: String = what.chars().take(WHAT).collect();
    match parent {
        Some(parent) => info_span!(parent: None, "work", trace.parent = parent, what),
        None => info_span!(parent: None, "work", what),
    }
}

/// The `traceparent` of the current span as text, for who goes on with its trace later; `None` outside of a trace.
#[must_use]
pub fn parent() -> Option<String> {
    current().map(|context| context.to_string())
}

/// Hands over a span that another process has finished, as if it had ended here. Nothing where no spans are kept.
pub fn hand_over(record: Record) {
    let mut record = Some(record);
    tracing::dispatcher::get_default(|dispatch| {
        if let Some((recorder, record)) = dispatch.downcast_ref::<Recorder>().zip(record.take()) {
            recorder.keep(record);
        }
    });
}

/// The trace that the current span belongs to; `None` outside of one.
#[must_use]
pub fn current() -> Option<TraceContext> {
    of(&Span::current())
}

/// The trace that a span belongs to.
#[must_use]
pub fn of(span: &Span) -> Option<TraceContext> {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let open = span.extensions();
        open.get::<layer::Open>().map(layer::Open::context)
    })
    .flatten()
}
