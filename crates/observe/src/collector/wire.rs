//! `ExportTraceServiceRequest` in OTLP's JSON form.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use server::trace::Record;

/// `SPAN_KIND_INTERNAL`
const INTERNAL: u8 = 1;
/// `STATUS_CODE_ERROR`
const ERROR: u8 = 2;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportRequest {
    resource_spans: [ResourceSpans; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: [ScopeSpans; 1],
}

#[derive(Serialize)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<Span>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

#[derive(Serialize)]
struct Attribute {
    key: String,
    value: Text,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    string_value: String,
}

pub(super) fn request(batch: &[Record]) -> ExportRequest {
    let resource = Resource { attributes: vec![attribute("service.name", "sealwright")] };
    let scope = Scope { name: "sealwright", version: env!("CARGO_PKG_VERSION") };
    let spans = batch.iter().map(span).collect();
    ExportRequest { resource_spans: [ResourceSpans { resource, scope_spans: [ScopeSpans { scope, spans }] }] }
}

fn span(record: &Record) -> Span {
    Span {
        trace_id: record.context.trace.to_string(),
        span_id: record.context.span.to_string(),
        parent_span_id: record.parent.map(|parent| parent.to_string()),
        name: record.name.clone(),
        kind: INTERNAL,
        start_time_unix_nano: nanos(record.began),
        end_time_unix_nano: nanos(record.ended),
        attributes: record.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        status: record.failed.then_some(Status { code: ERROR }),
    }
}

fn attribute(key: &str, value: &str) -> Attribute {
    Attribute { key: key.to_owned(), value: Text { string_value: value.to_owned() } }
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string()
}
