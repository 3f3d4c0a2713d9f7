//! The trace that an exchange belongs to, for those who collect such things.

/// Names a trace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TraceId(pub [u8; 16]);

/// Names a span of a trace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SpanId(pub [u8; 8]);

/// An exchange's place in a trace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Trace {
    /// Which trace.
    pub id: TraceId,
    /// The caller's span; `None`: the trace begins here.
    pub parent: Option<SpanId>,
    /// The exchange's own span.
    pub span: SpanId,
    /// Whether it is recorded.
    pub sampled: bool,
}
