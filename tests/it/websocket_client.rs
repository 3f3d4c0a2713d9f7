//! A bare WebSocket client: what it sends is exactly what the test says.

use crate::client::Connection;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The key of every handshake here, and what it must be answered with.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A frame from the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame.
    pub fn close_code(&self) -> u16 {
        assert_eq!(self.first, 0x88, "{self:?}");
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.first, 0x81, "{self:?}");
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// A handshake's head.
pub fn handshake(fields: &str) -> String {
    format!(
        "GET /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\nsec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n{fields}\r\n"
    )
}

/// A client's frame, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match payload.len() {
        n @ 0..126 => out.push(0x80 | n as u8),
        n @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(b, k)| b ^ k);
    out.extend(masked);
    out
}

/// A `response.create` message.
pub fn create(input: Value, previous: Option<&str>) -> Value {
    let mut message =
        json!({"type":"response.create","model":"m","stream":true,"store":false,"input":input});
    if let Some(previous) = previous {
        message["previous_response_id"] = json!(previous);
    }
    message
}

/// The text of the last message among events.
pub fn text_of(events: &[Value]) -> String {
    let done = events
        .iter()
        .rfind(|e| e["type"] == "response.output_text.done");
    done.map_or_else(String::new, |e| e["text"].as_str().unwrap().to_owned())
}

/// The id of the response that these events end with.
pub fn id_of(events: &[Value]) -> String {
    let last = events.last().unwrap();
    let id = last["response"]["id"].as_str();
    id.unwrap_or_else(|| panic!("no response: {last}"))
        .to_owned()
}

pub struct WebSocket<S = TcpStream> {
    pub connection: Connection<S>,
    held: Vec<u8>,
}

impl WebSocket {
    /// A WebSocket with Strait behind its handshake.
    pub fn open(address: SocketAddr) -> WebSocket {
        WebSocket::over(Connection::open(address))
    }
}

impl<S: Read + Write> WebSocket<S> {
    /// The same on a connection that is there.
    pub fn over(connection: Connection<S>) -> WebSocket<S> {
        WebSocket::with(connection, "originator: codex_exec\r\n")
    }

    /// The same with these fields in the handshake.
    pub fn with(mut connection: Connection<S>, fields: &str) -> WebSocket<S> {
        connection.send(handshake(fields));
        let head = connection.head();
        assert!(
            head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
            "{head}"
        );
        for field in [
            "upgrade: websocket\r\n",
            "connection: upgrade\r\n",
            &format!("sec-websocket-accept: {ACCEPT}\r\n"),
        ] {
            assert!(head.contains(field), "{head}");
        }
        assert!(!head.contains("sec-websocket-extensions"), "{head}");
        WebSocket {
            held: connection.take_held(),
            connection,
        }
    }

    pub fn send(&mut self, message: &Value) {
        self.send_frame(0x81, message.to_string().as_bytes());
    }

    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.connection.send(frame(first, payload));
    }

    /// The next frame; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Frame> {
        let head = self.take(2)?;
        let length = match head[1] {
            126 => self
                .take(2)?
                .iter()
                .fold(0, |n, b| n << 8 | usize::from(*b)),
            127 => self
                .take(8)?
                .iter()
                .fold(0, |n, b| n << 8 | usize::from(*b)),
            n => {
                assert!(n < 126, "a server does not mask");
                n.into()
            }
        };
        Some(Frame {
            first: head[0],
            payload: self.take(length)?,
        })
    }

    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut buffer = [0; 16 * 1024];
        while self.held.len() < count {
            let n = self.connection.stream.read(&mut buffer);
            match n.expect("a frame in time") {
                0 => return None,
                n => self.held.extend_from_slice(&buffer[..n]),
            }
        }
        Some(self.held.drain(..count).collect())
    }

    /// The next event.
    pub fn event(&mut self) -> Value {
        self.next().expect("an event").json()
    }

    /// Events up to one of this type.
    pub fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = vec![self.event()];
        while events.last().unwrap()["type"] != kind {
            events.push(self.event());
        }
        events
    }

    /// The events of one response.
    pub fn response(&mut self) -> Vec<Value> {
        let ends = |e: &Value| {
            let kind = e["type"].as_str().unwrap();
            let failed = kind == "error" && e["status"].is_u64();
            failed
                || ["completed", "incomplete", "failed"]
                    .iter()
                    .any(|k| kind == format!("response.{k}"))
        };
        let mut events = vec![self.event()];
        while !ends(events.last().unwrap()) {
            events.push(self.event());
        }
        events
    }

    /// Sends a message and waits for its response.
    pub fn ask(&mut self, message: &Value) -> Vec<Value> {
        self.send(message);
        self.response()
    }
}

/// Events as the stream that they would be over HTTP, for the judges.
pub fn as_stream(events: &[Value]) -> Vec<u8> {
    let mut stream = String::new();
    for event in events {
        let kind = event["type"].as_str().unwrap();
        stream.push_str(&format!("event: {kind}\ndata: {event}\n\n"));
    }
    (stream + "data: [DONE]\n\n").into_bytes()
}
