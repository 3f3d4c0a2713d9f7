//! The trace that an exchange belongs to (W3C Trace Context, level 1).
//!
//! What the client names is passed on to the provider: untouched where Strait traces nothing, else
//! with the try's own span in the place of the client's. Nothing is invented while nothing is
//! traced.

use crate::config::Traces;
use crate::http::head::{Headers, RequestHead};
use crate::json::write;
use crate::ledger::span::{SpanId, Trace, TraceId};
use std::fmt::Write;

/// The field that names the trace and the caller's span.
const PARENT: &str = "traceparent";
/// The field with what tracing systems say to themselves.
const STATE: &str = "tracestate";
/// Longest `tracestate` that is passed on: what the recommendation wants to be carried.
const STATE_BYTES_MAX: usize = 512;
/// The flag for a caller that records.
const SAMPLED: u8 = 1;

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Parent {
    trace: TraceId,
    span: SpanId,
    flags: u8,
}

impl Parent {
    /// The one field of a head, if it is legal. A later version may say more behind what is known.
    fn of(headers: &Headers) -> Option<Parent> {
        let mut fields = headers.all(PARENT);
        let value = fields.next().filter(|value| value.is_ascii())?;
        if fields.next().is_some() || value.len() < 55 {
            return None;
        }
        let (known, more) = value.split_at(55);
        let mut parts = known.split('-');
        let [version] = hex(parts.next()?)?;
        let parent = Parent {
            trace: TraceId(hex(parts.next()?)?),
            span: SpanId(hex(parts.next()?)?),
            flags: hex::<1>(parts.next()?)?[0],
        };
        let whole = match version {
            0 => more.is_empty(),
            255 => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        let named = parent.trace != TraceId::default() && parent.span != SpanId::default();
        (whole && named && parts.next().is_none()).then_some(parent)
    }
}

/// Exactly `N` bytes in lower-case hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let legal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(legal) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The trace that a request joins or begins; `None` where Strait traces nothing.
pub(super) fn begin(
    traces: Option<&Traces>,
    head: &RequestHead,
    entropy: &[u8; 32],
) -> Option<Box<Trace>> {
    let traces = traces?;
    let parent = Parent::of(&head.headers);
    let fresh = digest(entropy, b"trace");
    let mut id = TraceId::default();
    id.0.copy_from_slice(&fresh[..16]);
    let id = parent.map_or(id, |parent| parent.trace);
    Some(Box::new(Trace {
        id,
        parent: parent.map(|parent| parent.span),
        span: span(entropy, 0),
        sampled: match parent {
            Some(parent) => parent.flags & SAMPLED != 0,
            None => traces.samples(id.0),
        },
    }))
}

/// The span of a try; 0 is that of the exchange itself.
pub(super) fn span(entropy: &[u8; 32], number: u32) -> SpanId {
    let mut about = *b"span\0\0\0\0";
    about[4..].copy_from_slice(&number.to_le_bytes());
    let mut id = SpanId::default();
    id.0.copy_from_slice(&digest(entropy, &about)[..8]);
    id
}

fn digest(entropy: &[u8; 32], about: &[u8]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(entropy);
    context.update(about);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Appends the fields for the provider, each behind a line end; `own` is the trace and the span of
/// the try where Strait traces.
pub(super) fn write(out: &mut Vec<u8>, headers: &Headers, own: Option<(&Trace, SpanId)>) {
    let parent = Parent::of(headers);
    let named = match (own, parent) {
        (Some((trace, span)), _) => Parent {
            trace: trace.id,
            span,
            flags: u8::from(trace.sampled),
        },
        (None, Some(parent)) => parent,
        (None, None) => return,
    };
    let mut value = String::with_capacity(80);
    value.push_str("\r\ntraceparent: 00-");
    write::hex(&mut value, &named.trace.0);
    value.push('-');
    write::hex(&mut value, &named.span.0);
    // Writing to a string does not fail.
    let _ = write!(value, "-{:02x}", named.flags);
    out.extend_from_slice(value.as_bytes());
    // It means something only beside the trace that it came with.
    let states: Vec<&str> = headers.all(STATE).filter(|_| parent.is_some()).collect();
    let state = states.join(",");
    let legal = |b: u8| matches!(b, b' '..=b'~' | b'\t');
    if !state.is_empty() && state.len() <= STATE_BYTES_MAX && state.bytes().all(legal) {
        out.extend_from_slice(b"\r\ntracestate: ");
        out.extend_from_slice(state.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Parsed, request};

    const LEGAL: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn head(fields: &str) -> RequestHead {
        let text = format!("GET / HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
        match request(text.as_bytes()) {
            Ok(Parsed::Complete { head, .. }) => head,
            other => panic!("{other:?}"),
        }
    }

    fn written(fields: &str, own: Option<(&Trace, SpanId)>) -> String {
        let mut out = Vec::new();
        write(&mut out, &head(fields).headers, own);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_no_trace_is_ignored() {
        let judge = |value: &str| Parent::of(&head(&format!("traceparent: {value}\r\n")).headers);
        assert!(judge(LEGAL).is_some());
        assert!(judge(&format!("01{}-more", &LEGAL[2..])).is_some());
        for wrong in [
            "",
            &LEGAL[..54],
            &format!("{LEGAL}-more"),
            &format!("01{}more", &LEGAL[2..]),
            &format!("ff{}", &LEGAL[2..]),
            &LEGAL.to_ascii_uppercase(),
            &LEGAL.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &LEGAL.replace("b7ad6b7169203331", &"0".repeat(16)),
            &LEGAL.replace('-', "_"),
            &LEGAL.replace("01", "-1"),
        ] {
            assert_eq!(judge(wrong), None, "{wrong}");
        }
        let twice = format!("traceparent: {LEGAL}\r\n").repeat(2);
        assert_eq!(Parent::of(&head(&twice).headers), None);
    }

    #[test]
    fn untraced_it_goes_through_and_nothing_is_invented() {
        let fields = format!("traceparent: {LEGAL}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
        let expected = format!("\r\ntraceparent: {LEGAL}\r\ntracestate: a=1,b=2");
        assert_eq!(written(&fields, None), expected);
        assert_eq!(written("", None), "");
        assert_eq!(written("tracestate: a=1\r\n", None), "");
        let long = format!(
            "traceparent: {LEGAL}\r\ntracestate: {}\r\n",
            "a".repeat(513)
        );
        assert_eq!(written(&long, None), format!("\r\ntraceparent: {LEGAL}"));
    }

    #[test]
    fn traced_the_try_is_the_parent() {
        let traces = Traces::to("http://127.0.0.1:1/v1/traces");
        let fields = format!("traceparent: {LEGAL}\r\ntracestate: a=1\r\n");
        let trace = begin(Some(&traces), &head(&fields), &[7; 32]).unwrap();
        assert!(trace.sampled && trace.parent.is_some());
        let own = span(&[7; 32], 1);
        assert_ne!(own, trace.span);
        let told = written(&fields, Some((&trace, own)));
        assert!(told.starts_with("\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(told.ends_with("-01\r\ntracestate: a=1"), "{told}");
        assert!(!told.contains("b7ad6b7169203331"));
        // A caller that does not record is followed in that.
        let quiet = fields.replace("-01\r", "-00\r");
        let trace = begin(Some(&traces), &head(&quiet), &[7; 32]).unwrap();
        assert!(!trace.sampled);
        let root = begin(Some(&traces), &head(""), &[7; 32]).unwrap();
        assert!(root.sampled && root.parent.is_none());
        assert_eq!(begin(None, &head(&fields), &[7; 32]), None);
    }
}
