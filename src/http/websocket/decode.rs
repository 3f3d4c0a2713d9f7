//! Frames from a client, whatever the segmentation.

use super::{CloseCode, Opcode};
use std::fmt;

/// Longest payload of a control frame, in bytes (RFC 6455 section 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;
/// Longest head of a client's frame: two bytes, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;

/// What a client sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// A whole message of bytes.
    Binary(Vec<u8>),
    /// The end of the connection, with the code if one was given.
    Close(Option<u16>),
    /// To be answered with a pong of the same payload.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// A whole message of text, valid UTF-8.
    Text(Vec<u8>),
}

/// Why the connection must fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Violation {
    /// A close code that may not stand in a frame.
    CloseCode,
    /// A close frame with a payload of one byte.
    ClosePayload,
    /// A fragment of no message, or a message inside another.
    Continuation,
    /// A control frame in fragments.
    ControlFragmented,
    /// A control frame of more than 125 bytes.
    ControlTooLong,
    /// Text, or the reason of a close frame, that is not UTF-8.
    InvalidText,
    /// A length that is not in its shortest form, or has its highest bit set.
    Length,
    /// An opcode that means nothing.
    Opcode,
    /// A reserved bit is set, and no extension was agreed on.
    ReservedBits,
    /// A message over the limit.
    TooLarge,
    /// A frame without a mask.
    Unmasked,
}

impl Violation {
    /// The code that the connection is closed with.
    pub fn code(self) -> CloseCode {
        match self {
            Violation::InvalidText => CloseCode::InvalidText,
            Violation::TooLarge => CloseCode::TooLarge,
            _ => CloseCode::Protocol,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::CloseCode => "a close code that is not allowed",
            Violation::ClosePayload => "a close frame of one byte",
            Violation::Continuation => "fragments out of order",
            Violation::ControlFragmented => "a control frame in fragments",
            Violation::ControlTooLong => "a control frame that is too long",
            Violation::InvalidText => "text that is not UTF-8",
            Violation::Length => "a length that is not in its shortest form",
            Violation::Opcode => "an opcode that is reserved",
            Violation::ReservedBits => "a reserved bit is set",
            Violation::TooLarge => "a message that is too large",
            Violation::Unmasked => "a frame without a mask",
        })
    }
}

impl std::error::Error for Violation {}

/// The frame whose payload is being read.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    mask: [u8; 4],
    /// Bytes that were read of the payload, modulo four: where the mask stands.
    phase: usize,
    /// Bytes that are left of the payload.
    left: u64,
}

/// A message in fragments, or a message whose frame is not yet complete.
#[derive(Debug)]
struct Begun {
    text: bool,
    /// So many bytes of it are known to be whole characters.
    valid: usize,
}

/// Takes a client's frames apart: messages whole, control frames as they come. Text is judged as
/// it arrives, so that what can never become valid is refused at its first wrong byte.
#[derive(Debug)]
pub struct Decoder {
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    frame: Option<Frame>,
    begun: Option<Begun>,
    message: Vec<u8>,
    control: Vec<u8>,
    message_bytes_max: usize,
}

impl Decoder {
    /// A decoder that refuses messages of more than `message_bytes_max`, at the first head that
    /// says so.
    pub fn new(message_bytes_max: usize) -> Self {
        Decoder {
            head: [0; HEAD_BYTES_MAX],
            head_len: 0,
            frame: None,
            begun: None,
            message: Vec::new(),
            control: Vec::new(),
            message_bytes_max,
        }
    }

    /// The next thing that is complete; advances `input`. `None`: all of it is used up. After a
    /// violation nothing more may be asked.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Received>, Violation> {
        loop {
            let frame = match &mut self.frame {
                Some(frame) => frame,
                None => match self.read_head(input)? {
                    Some(frame) => self.frame.insert(frame),
                    None => return Ok(None),
                },
            };
            let count = usize::try_from(frame.left).map_or(input.len(), |n| n.min(input.len()));
            let (bytes, rest) = input.split_at(count);
            *input = rest;
            let control = frame.opcode.is_control();
            let target = match control {
                true => &mut self.control,
                false => &mut self.message,
            };
            unmask(target, bytes, frame.mask, frame.phase);
            frame.phase = (frame.phase + count) & 3;
            frame.left -= count as u64;
            let whole = frame.left == 0;
            if !control {
                self.judge_text()?;
            }
            if !whole {
                return Ok(None);
            }
            if let Some(received) = self.end_frame()? {
                return Ok(Some(received));
            }
        }
    }

    /// Whether no message and no frame has begun.
    pub fn is_between_messages(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.begun.is_none()
    }

    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        while self.head_len < self.head_needed() {
            let Some((byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            self.head[self.head_len] = *byte;
            self.head_len += 1;
            *input = rest;
            if self.head_len <= 2 {
                self.judge_head()?;
            }
        }
        let at = self.head_len - 4;
        self.head_len = 0;
        let length = match self.head[1] & 0x7f {
            126 => Some((be(&self.head[2..4]), 126)),
            127 => Some((be(&self.head[2..10]), 1 << 16)),
            _ => None,
        };
        let left = match length {
            Some((length, least)) if length < least || length >> 63 != 0 => {
                return Err(Violation::Length);
            }
            Some((length, _)) => length,
            None => u64::from(self.head[1] & 0x7f),
        };
        let opcode = Opcode::of(self.head[0] & 0xf).ok_or(Violation::Opcode)?;
        if !opcode.is_control() {
            let room = self.message_bytes_max - self.message.len();
            if left > room as u64 {
                return Err(Violation::TooLarge);
            }
            if opcode != Opcode::Continuation {
                let text = opcode == Opcode::Text;
                self.begun = Some(Begun { text, valid: 0 });
            }
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.head[at..at + 4]);
        Ok(Some(Frame {
            opcode,
            fin: self.head[0] & 0x80 != 0,
            mask,
            phase: 0,
            left,
        }))
    }

    fn head_needed(&self) -> usize {
        match (self.head_len, self.head[1] & 0x7f) {
            (0 | 1, _) => 2,
            (_, 126) => 2 + 2 + 4,
            (_, 127) => 2 + 8 + 4,
            _ => 2 + 4,
        }
    }

    /// Refuses a head by its first bytes.
    fn judge_head(&self) -> Result<(), Violation> {
        let first = self.head[0];
        let opcode = Opcode::of(first & 0xf).ok_or(Violation::Opcode)?;
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        if opcode.is_control() {
            if first & 0x80 == 0 {
                return Err(Violation::ControlFragmented);
            }
        } else if (opcode == Opcode::Continuation) != self.begun.is_some() {
            return Err(Violation::Continuation);
        }
        if self.head_len == 2 {
            if self.head[1] & 0x80 == 0 {
                return Err(Violation::Unmasked);
            }
            if opcode.is_control() && usize::from(self.head[1] & 0x7f) > CONTROL_BYTES_MAX {
                return Err(Violation::ControlTooLong);
            }
        }
        Ok(())
    }

    /// Looks at the text that came since it was last looked at.
    fn judge_text(&mut self) -> Result<(), Violation> {
        let Some(begun) = self.begun.as_mut().filter(|b| b.text) else {
            return Ok(());
        };
        match simdutf8::compat::from_utf8(&self.message[begun.valid..]) {
            Ok(text) => begun.valid += text.len(),
            // The rest of a character may come.
            Err(e) if e.error_len().is_none() => begun.valid += e.valid_up_to(),
            Err(_) => return Err(Violation::InvalidText),
        }
        Ok(())
    }

    /// The payload is complete.
    fn end_frame(&mut self) -> Result<Option<Received>, Violation> {
        let Some(frame) = self.frame.take() else {
            return Ok(None);
        };
        if frame.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match frame.opcode {
                Opcode::Ping => Received::Ping(payload),
                Opcode::Close => Received::Close(close_code(&payload)?),
                _ => Received::Pong,
            }));
        }
        if !frame.fin {
            return Ok(None);
        }
        let message = std::mem::take(&mut self.message);
        Ok(Some(match self.begun.take() {
            Some(begun) if begun.text => match begun.valid == message.len() {
                true => Received::Text(message),
                false => return Err(Violation::InvalidText),
            },
            _ => Received::Binary(message),
        }))
    }
}

/// A big-endian number of at most eight bytes.
fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Appends `bytes` unmasked; `phase` is where the mask stands.
fn unmask(out: &mut Vec<u8>, bytes: &[u8], mask: [u8; 4], phase: usize) {
    let mut key = [0; 8];
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = mask[(phase + i) & 3];
    }
    let word = u64::from_ne_bytes(key);
    let from = out.len();
    out.extend_from_slice(bytes);
    let (words, rest) = out[from..].as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// The code of a close frame, judged with its reason (RFC 6455 section 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Violation::ClosePayload),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // 1004 to 1006 and 1015 never stand in a frame; 1016 to 2999 are for later versions.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::CloseCode);
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation::InvalidText),
    }
}
