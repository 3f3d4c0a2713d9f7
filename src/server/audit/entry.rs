//! A row as it is written: what workers do not have to do.

use crate::http::framing::{BodyDecoder, Decoded};
use crate::http::head::BodyKind;
use crate::ledger::audit::{Bodies, Row, Said, Totals};
use crate::ledger::raw::{Raw, Saying};
use crate::ledger::record::Record;
use crate::ledger::redact::{MARK, Redactor, is_secret_field};
use crate::ledger::words::Words;
use crate::limits;
use crate::server::database::packed;

/// A row, and what is made of it for a database.
pub(super) struct Entry {
    pub(super) row: Row,
    /// The row as JSON.
    pub(super) json: String,
    /// The words that it is found by.
    pub(super) words: String,
    /// What was said, packed.
    pub(super) bodies: Option<Vec<u8>>,
    /// What it counts for.
    pub(super) totals: Totals,
}

impl Entry {
    /// The entry of an exchange that was over at `ended_ms`, in Unix milliseconds, without secrets.
    pub(super) fn of(mut record: Record, ended_ms: u64, redactor: &Redactor) -> Entry {
        let saying = record.saying.take();
        let mut redactor = std::borrow::Cow::Borrowed(redactor);
        if let Some(saying) = &saying {
            for secret in shown(saying) {
                redactor.to_mut().add(&secret);
            }
        }
        let bodies = saying.map(|saying| bodies(&record, &saying, &redactor));
        let mut row = Row::of(record, ended_ms);
        for text in [
            &mut row.detail,
            &mut row.diagnostics,
            &mut row.model,
            &mut row.path,
            &mut row.code,
        ] {
            if !text.is_empty() {
                *text = redactor.text(text);
            }
        }
        let words = words(&row, bodies.as_ref());
        let packed = bodies.and_then(|bodies| serde_json::to_vec(&bodies).ok());
        let packed = packed.and_then(|bodies| packed::pack(&bodies).ok());
        row.has_bodies = packed.is_some();
        Entry {
            json: serde_json::to_string(&row.sparse()).unwrap_or_default(),
            words,
            bodies: packed,
            totals: Totals::of(&row),
            row,
        }
    }
}

fn words(row: &Row, bodies: Option<&Bodies>) -> String {
    let mut words = Words::default();
    let max = limits::AUDIT_WORDS_MAX;
    for text in [
        &row.id,
        &row.client_id,
        &row.client,
        &row.key,
        &row.session,
        &row.thread,
        &row.turn,
        &row.agent,
        &row.model,
        &row.served,
        &row.provider,
        &row.target,
        &row.outcome,
        &row.stop,
        &row.code,
        &row.detail,
        &row.diagnostics,
    ] {
        words.add(text, max);
    }
    if let Some(bodies) = bodies {
        for said in [&bodies.answer, &bodies.request, &bodies.received] {
            words.add_json(&String::from_utf8_lossy(&said.body), max);
        }
    }
    words.joined()
}

/// The credentials that were shown in this exchange, by the client and to the provider.
fn shown(saying: &Saying) -> Vec<String> {
    let (sent, _) = split(&saying.sent.bytes);
    let fields = saying
        .fields
        .iter()
        .map(|(name, value)| (&**name, &**value));
    let sent = sent.lines().filter_map(|line| line.split_once(':'));
    fields
        .chain(sent)
        .filter(|(name, _)| is_secret_field(name))
        .map(|(_, value)| {
            let value = value.trim();
            // A scheme before it is none of the secret.
            value.rsplit(' ').next().unwrap_or(value).to_owned()
        })
        .collect()
}

fn bodies(record: &Record, saying: &Saying, redactor: &Redactor) -> Bodies {
    let mut head = format!("{} {}", record.method, record.path);
    for (name, value) in &saying.fields {
        head.push_str(&format!("\n{name}: {value}"));
    }
    Bodies {
        request: said(&head, &saying.request.bytes, saying.request.cut, redactor),
        sent: message(&saying.sent, redactor),
        received: message(&saying.received, redactor),
        answer: match saying.answer.bytes.starts_with(b"HTTP/") {
            true => message(&saying.answer, redactor),
            false => frames(&saying.answer, redactor),
        },
    }
}

/// An HTTP message, without its framing.
fn message(raw: &Raw, redactor: &Redactor) -> Said {
    let mut bytes = raw.bytes.as_slice();
    let (mut head, mut rest) = split(bytes);
    while head.starts_with("HTTP/1.1 1") {
        bytes = rest;
        (head, rest) = split(bytes);
    }
    let chunked = head.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    if !chunked {
        return said(&head, rest, raw.cut, redactor);
    }
    let mut decoder = BodyDecoder::new(BodyKind::Chunked);
    let mut body = Vec::with_capacity(rest.len());
    while let Ok(Decoded::Data(data)) = decoder.next(&mut rest) {
        body.extend_from_slice(data);
    }
    said(&head, &body, raw.cut, redactor)
}

/// The head as lines, and what is behind it.
fn split(bytes: &[u8]) -> (String, &[u8]) {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n");
    let (head, rest) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 4..]),
        None => (bytes, &bytes[bytes.len()..]),
    };
    (String::from_utf8_lossy(head).replace("\r\n", "\n"), rest)
}

/// The messages in the frames of a WebSocket's server.
fn frames(raw: &Raw, redactor: &Redactor) -> Said {
    let mut rest = raw.bytes.as_slice();
    let mut body = Vec::with_capacity(rest.len());
    while let [_, length, tail @ ..] = rest {
        let (size, tail) = match (length & 0x7f, tail) {
            (126, [a, b, tail @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), tail),
            (127, [a, b, c, d, e, f, g, h, tail @ ..]) => {
                let size = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                (size, tail)
            }
            (126 | 127, _) => break,
            (size, tail) => (u64::from(size), tail),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(tail.len());
        body.extend_from_slice(&tail[..size]);
        body.push(b'\n');
        rest = &tail[size..];
    }
    said("", &body, raw.cut, redactor)
}

fn said(head: &str, body: &[u8], cut: u64, redactor: &Redactor) -> Said {
    let lines: Vec<String> = head
        .lines()
        .map(|line| match line.split_once(':') {
            Some((name, _)) if is_secret_field(name) => format!("{name}: {MARK}"),
            _ => redactor.text(line),
        })
        .collect();
    let mut body = String::from_utf8_lossy(body).into_owned();
    if cut > 0 {
        // What the end cuts through may be a secret.
        let whole = body.trim_end_matches(|c: char| c.is_alphanumeric() || "-_.~+/=".contains(c));
        body.truncate(whole.len());
    }
    Said {
        head: lines.join("\n"),
        body: redactor.text(&redactor.pieces(&body)).into_bytes(),
        cut,
    }
}
