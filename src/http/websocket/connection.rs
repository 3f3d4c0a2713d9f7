//! What is owed to the other side without being asked: pongs, and the end of the connection.

use super::decode::{Decoder, Received, Violation};
use super::{CloseCode, encode};

/// A message from the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Bytes.
    Binary(Vec<u8>),
    /// Text, valid UTF-8.
    Text(Vec<u8>),
}

/// The server's end of an open connection. It closes once: after the first close frame that is
/// received or sent nothing more is read or written.
#[derive(Debug)]
pub struct Connection {
    decoder: Decoder,
    closed: bool,
    violation: Option<Violation>,
}

impl Connection {
    /// A connection behind its handshake; longer messages end it.
    pub fn new(message_bytes_max: usize) -> Self {
        Connection {
            decoder: Decoder::new(message_bytes_max),
            closed: false,
            violation: None,
        }
    }

    /// Takes bytes up to the end of the next message, if there is one; advances `input`. Pings
    /// are answered, a close frame is, and a violation is told with one.
    pub fn receive(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Option<Message> {
        while !self.closed {
            match self.decoder.next(input) {
                Ok(Some(Received::Text(text))) => return Some(Message::Text(text)),
                Ok(Some(Received::Binary(bytes))) => return Some(Message::Binary(bytes)),
                Ok(Some(Received::Ping(payload))) => encode::pong(out, &payload),
                Ok(Some(Received::Pong)) => {}
                Ok(Some(Received::Close(code))) => {
                    self.closed = true;
                    encode::close_back(out, code);
                }
                Ok(None) => return None,
                Err(violation) => {
                    self.violation = Some(violation);
                    self.close(violation.code(), &violation.to_string(), out);
                }
            }
        }
        *input = &[];
        None
    }

    /// Ends the connection, if it is not at its end.
    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.closed, true) {
            encode::close(out, code, reason);
        }
    }

    /// Whether a close frame was received or sent: only closing the socket is left.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether no message has begun.
    pub fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages()
    }

    /// What the client did wrong, if that closed the connection.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }
}
