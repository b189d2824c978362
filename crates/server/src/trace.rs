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

pub use context::{SpanId, TraceContext, TraceId};
pub use layer::{Record, Recorder, Sink};

use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

/// Header, and key of gRPC metadata, that carries a trace to the next process.
pub const HEADER: &str = "traceparent";

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
