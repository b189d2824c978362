//! Ids of traces and spans, and their form on the wire (W3C Trace Context, 3.2).

use std::fmt;
use std::str::FromStr;

/// Id of a trace: the request's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Id of a span within its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// A span of a trace, as the next process sees it: `00-<trace id>-<span id>-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span that calls.
    pub span: SpanId,
}

/// Not a `traceparent` of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of version 00")]
pub struct NotATraceparent;

impl SpanId {
    /// A new id; `None` where the kernel gives no random bytes.
    pub(super) fn random() -> Option<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&names::hex(&self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&names::hex(&self.0))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "00-{}-{}-01", self.trace, self.span)
    }
}

impl FromStr for TraceId {
    type Err = NotATraceparent;

    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        nonzero(text).map(Self)
    }
}

impl FromStr for SpanId {
    type Err = NotATraceparent;

    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        nonzero(text).map(Self)
    }
}

impl FromStr for TraceContext {
    type Err = NotATraceparent;

    /// Exactly four fields of lower-case hex; what is sampled is not the caller's to say, so the flags are read and ignored.
    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        let mut fields = text.split('-');
        let (version, trace, span, flags) = (fields.next(), fields.next(), fields.next(), fields.next());
        let (Some("00"), Some(trace), Some(span), Some(flags), None) =
            (version, trace, span, flags, fields.next())
        else {
            return Err(NotATraceparent);
        };
        hex::<1>(flags)?;
        Ok(Self { trace: TraceId(nonzero(trace)?), span: SpanId(nonzero(span)?) })
    }
}

/// An id is never all zero (3.2.2.3 and 3.2.2.4).
fn nonzero<const N: usize>(text: &str) -> Result<[u8; N], NotATraceparent> {
    hex(text).and_then(|id| if id == [0; N] { Err(NotATraceparent) } else { Ok(id) })
}

fn hex<const N: usize>(text: &str) -> Result<[u8; N], NotATraceparent> {
    names::unhex(text).map_err(|_| NotATraceparent)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_examples_of_the_standard_read_back() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!(context.to_string(), EXAMPLE);
        assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn anything_else_is_refused() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let upper = EXAMPLE.to_uppercase();
        let longer = format!("{EXAMPLE}-00");
        let other = EXAMPLE.replacen("00-", "01-", 1);
        for text in ["", "00", zero_trace, zero_span, &upper, &longer, &other, "00-é-00f067aa0ba902b7-01"] {
            assert_eq!(text.parse::<TraceContext>(), Err(NotATraceparent), "{text}");
        }
    }
}
