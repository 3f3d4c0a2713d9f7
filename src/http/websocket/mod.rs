//! WebSocket (RFC 6455), the server's side: the handshake, frames in and out, and what is owed to
//! the other side without being asked. No extension is ever agreed on, so every reserved bit is
//! an error, and an event is one unmasked text frame.

mod connection;
mod decode;
pub mod encode;
mod handshake;

pub use connection::{Connection, Message};
pub use decode::{Decoder, Received, Violation};
pub use handshake::{Refusal, accept, is_asked_for};

/// What a frame is (RFC 6455 section 5.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opcode {
    /// A message of bytes, or its beginning.
    Binary,
    /// The end of the connection, with a reason.
    Close,
    /// More of the message that was begun.
    Continuation,
    /// To be answered with a pong.
    Ping,
    /// The answer to a ping, or a sign of life.
    Pong,
    /// A message of UTF-8 text, or its beginning.
    Text,
}

impl Opcode {
    fn of(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xa,
        }
    }

    /// Whether frames of this kind may stand between the fragments of a message.
    fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// Why a connection is closed (RFC 6455 section 7.4.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseCode {
    /// 1000: its purpose is fulfilled.
    Normal,
    /// 1001: the server goes down.
    GoingAway,
    /// 1002: a frame breaks the protocol.
    Protocol,
    /// 1003: a kind of message that is not taken here.
    Unsupported,
    /// 1007: text that is not UTF-8.
    InvalidText,
    /// 1008: a message that breaks a rule of this service.
    Policy,
    /// 1009: a message that is too large.
    TooLarge,
}

impl CloseCode {
    /// The number in a close frame.
    pub fn number(self) -> u16 {
        match self {
            CloseCode::Normal => 1000,
            CloseCode::GoingAway => 1001,
            CloseCode::Protocol => 1002,
            CloseCode::Unsupported => 1003,
            CloseCode::InvalidText => 1007,
            CloseCode::Policy => 1008,
            CloseCode::TooLarge => 1009,
        }
    }
}

#[cfg(test)]
pub(crate) mod autobahn_tests;
