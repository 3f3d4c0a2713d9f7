//! The events of a background response: those of its exchange under its own name and numbers.

use crate::error::{Error, Kind, Source};
use crate::json::{Kind as JsonKind, Tape, Value, with_tape, write};
use crate::ledger::stored::{Event, Status, Stored};
use crate::responses::object;

/// Frames of a WebSocket become events to be kept.
pub(super) struct Record {
    id: Vec<u8>,
    created_at: Vec<u8>,
    /// The response as it was last told.
    response: Vec<u8>,
    /// Events are kept, so that they can be replayed.
    streamed: bool,
    number: u64,
    events: Vec<Event>,
    bytes: usize,
    end: Option<(Status, Vec<u8>)>,
}

impl Record {
    /// Begins with the events that say that it is queued.
    pub fn new(queued: &Stored) -> Self {
        let mut id = Vec::new();
        write::string(&mut id, &queued.key.id);
        let mut created_at = Vec::new();
        write::uint(&mut created_at, queued.created_at);
        let mut record = Record {
            id,
            created_at,
            response: queued.response.clone(),
            streamed: queued.streamed,
            number: 0,
            events: Vec::new(),
            bytes: 0,
            end: None,
        };
        for kind in ["response.created", "response.queued"] {
            let mut event = b"{\"type\":\"".to_vec();
            event.extend_from_slice(kind.as_bytes());
            event.extend_from_slice(b"\",\"sequence_number\":0,\"response\":");
            event.extend_from_slice(&record.response);
            event.push(b'}');
            record.event(&event);
        }
        record
    }

    /// Takes whole frames, as the inner exchange writes them.
    pub fn take(&mut self, mut frames: &[u8]) {
        while let Some((payload, rest)) = split(frames) {
            self.event(payload);
            frames = rest;
        }
    }

    /// Whether events wait to be kept.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Bytes of the events that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// The events that wait.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.bytes = 0;
        std::mem::take(&mut self.events)
    }

    /// Events that could not be kept wait again, before the others.
    pub fn untake_events(&mut self, mut events: Vec<Event>) {
        self.bytes += events.iter().map(|e| e.data.len()).sum::<usize>();
        events.append(&mut self.events);
        self.events = events;
    }

    /// The response with another status.
    pub fn response(&self, status: Status) -> Vec<u8> {
        let status = format!("\"{}\"", status.name());
        let mut tape = Tape::new();
        match tape.parse(&self.response) {
            Ok(response) => object::with(response, &[("status", status.as_bytes())]),
            Err(_) => self.response.clone(),
        }
    }

    /// How it ended, and with which response.
    pub fn end(&self) -> Option<(Status, Vec<u8>)> {
        self.end.clone()
    }

    /// Ends it, unless it has.
    pub fn fail(&mut self, why: &str) {
        if self.end.is_none() {
            let error = Error::new(Source::Gateway, Kind::UpstreamBroken, why);
            self.failed(error.api_code(), why);
        }
    }

    fn event(&mut self, event: &[u8]) {
        with_tape(|tape| {
            // Only a provider's own events may be no JSON; to clients they say nothing.
            if let Ok(event) = tape.parse(event)
                && self.end.is_none()
            {
                self.judge(event);
            }
        });
    }

    fn judge(&mut self, event: Value<'_>) {
        let kind = event.str("type").map(|t| t.text()).unwrap_or_default();
        match &*kind {
            // It was told already.
            "response.created" if self.number > 0 => return,
            // With a status: the error of an answer that has not begun.
            "error" if event.get("status").is_some() => {
                let error = event.present("error");
                let text = |name: &str| {
                    let text = error.and_then(|e| e.str(name));
                    text.map(|t| t.text().into_owned()).unwrap_or_default()
                };
                let code = text("code");
                let code = if code.is_empty() {
                    "server_error"
                } else {
                    &code
                };
                return self.failed(code, &text("message"));
            }
            _ => {}
        }
        let response = event
            .get("response")
            .filter(|r| r.kind() == JsonKind::Object);
        let response = response.map(|response| self.renamed(response));
        if let Some(response) = &response {
            let status = match &*kind {
                "response.completed" | "response.done" => Some(Status::Completed),
                "response.incomplete" => Some(Status::Incomplete),
                "response.failed" => Some(Status::Failed),
                _ => None,
            };
            self.response.clone_from(response);
            self.end = status.map(|status| (status, response.clone()));
        }
        self.push(event, response.as_deref());
    }

    /// The provider's or the translation's response as the one that the client knows.
    fn renamed(&self, response: Value<'_>) -> Vec<u8> {
        object::with(
            response,
            &[
                ("id", &self.id),
                ("created_at", &self.created_at),
                ("background", b"true"),
                ("store", b"true"),
            ],
        )
    }

    fn push(&mut self, event: Value<'_>, response: Option<&[u8]>) {
        if !self.streamed {
            return;
        }
        let mut number = Vec::new();
        write::uint(&mut number, self.number);
        let own: [(&str, &[u8]); 2] = [
            ("sequence_number", &number),
            ("response", response.unwrap_or(b"")),
        ];
        let own = &own[..1 + usize::from(response.is_some())];
        let data = object::with(event, own);
        self.bytes += data.len();
        self.events.push(Event {
            number: self.number,
            data,
        });
        self.number += 1;
    }

    fn failed(&mut self, code: &str, message: &str) {
        let mut error = b"{\"code\":".to_vec();
        write::string(&mut error, code);
        error.extend_from_slice(b",\"message\":");
        write::string(&mut error, message);
        error.push(b'}');
        let mut tape = Tape::new();
        let response = match tape.parse(&self.response) {
            Ok(response) => object::with(response, &[("status", b"\"failed\""), ("error", &error)]),
            Err(_) => self.response.clone(),
        };
        let members = error[1..error.len() - 1].to_vec();
        self.say(
            b"{\"type\":\"error\",\"sequence_number\":0,",
            &members,
            b",\"param\":null,\"error\":",
            &error,
        );
        self.say(
            b"{\"type\":\"response.failed\",\"sequence_number\":0",
            b"",
            b",\"response\":",
            &response,
        );
        self.end = Some((Status::Failed, response));
    }

    fn say(&mut self, head: &[u8], members: &[u8], name: &[u8], value: &[u8]) {
        let event = [head, members, name, value, b"}"].concat();
        let mut tape = Tape::new();
        if let Ok(event) = tape.parse(&event) {
            self.push(event, None);
        }
    }
}

/// The payload of the first frame, and what comes behind it. Frames to a client are whole and
/// unmasked (RFC 6455, section 5.2).
fn split(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    let (at, length) = match *frames.get(1)? {
        126 => (
            4,
            u16::from_be_bytes(frames.get(2..4)?.try_into().ok()?).into(),
        ),
        127 => (10, u64::from_be_bytes(frames.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let end = usize::try_from(length).ok()?.checked_add(at)?;
    Some((frames.get(at..end)?, frames.get(end..)?))
}
