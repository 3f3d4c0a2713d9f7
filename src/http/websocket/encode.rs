//! Frames to a client: whole and unmasked (RFC 6455 section 5.1).

use super::decode::CONTROL_BYTES_MAX;
use super::{CloseCode, Opcode};

/// The bit that says: this frame ends its message.
const FIN: u8 = 0x80;
/// Bytes of a head with a length of two bytes, which is that of nearly every event.
const HEAD: usize = 4;

/// Begins a text frame whose length is not known yet; what is appended next is its payload.
/// Returns where it begins, for [`end`].
#[inline]
pub fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[FIN | 0x1, 126, 0, 0]);
    at
}

/// Ends a text frame that [`begin`] began.
#[inline]
pub fn end(out: &mut Vec<u8>, begin: usize) {
    let length = out.len() - begin - HEAD;
    match u16::try_from(length) {
        Ok(length) if length >= 126 => {
            out[begin + 2..begin + HEAD].copy_from_slice(&length.to_be_bytes());
        }
        _ => move_payload(out, begin, length),
    }
}

/// Ends a frame whose length needs more or fewer bytes than were left for it.
#[cold]
fn move_payload(out: &mut Vec<u8>, begin: usize, length: usize) {
    if length < 126 {
        out[begin + 1] = length as u8;
        out.copy_within(begin + HEAD.., begin + 2);
        out.truncate(begin + 2 + length);
        return;
    }
    out[begin + 1] = 127;
    let more = [0; 6];
    out.extend_from_slice(&more);
    out.copy_within(
        begin + HEAD..begin + HEAD + length,
        begin + HEAD + more.len(),
    );
    out[begin + 2..begin + 10].copy_from_slice(&(length as u64).to_be_bytes());
}

/// Appends a text frame.
pub fn text(out: &mut Vec<u8>, payload: &[u8]) {
    let at = begin(out);
    out.extend_from_slice(payload);
    end(out, at);
}

/// Appends a message of bytes as one frame.
pub fn binary(out: &mut Vec<u8>, payload: &[u8]) {
    let at = begin(out);
    out.extend_from_slice(payload);
    end(out, at);
    out[at] = FIN | Opcode::Binary.bits();
}

/// Appends a ping without a payload.
pub fn ping(out: &mut Vec<u8>) {
    control(out, Opcode::Ping, b"");
}

/// Appends the answer to a ping.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Opcode::Pong, payload);
}

/// Appends a close frame; what of the reason does not fit is left out.
pub fn close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let mut payload = code.number().to_be_bytes().to_vec();
    let mut end = reason.len().min(CONTROL_BYTES_MAX - payload.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    control(out, Opcode::Close, &payload);
}

/// Appends the answer to a close frame: the same code, or none.
pub fn close_back(out: &mut Vec<u8>, code: Option<u16>) {
    match code {
        Some(code) => control(out, Opcode::Close, &code.to_be_bytes()),
        None => control(out, Opcode::Close, b""),
    }
}

fn control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.extend_from_slice(&[FIN | opcode.bits(), payload.len() as u8]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_its_shortest_form() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..length).map(|i| b'a' + (i % 26) as u8).collect();
            let mut out = b"before".to_vec();
            text(&mut out, &payload);
            let head: Vec<u8> = match length {
                0..126 => vec![0x81, length as u8],
                126..65_536 => [&[0x81, 126][..], &(length as u16).to_be_bytes()].concat(),
                _ => [&[0x81, 127][..], &(length as u64).to_be_bytes()].concat(),
            };
            assert!(out == [b"before", &head[..], &payload].concat(), "{length}");
        }
    }

    #[test]
    fn control_frames() {
        let mut out = Vec::new();
        pong(&mut out, b"abc");
        binary(&mut out, b"\0");
        close(&mut out, CloseCode::GoingAway, "bye");
        close_back(&mut out, None);
        assert_eq!(out, b"\x8a\x03abc\x82\x01\0\x88\x05\x03\xe9bye\x88\x00");
        let mut out = Vec::new();
        close(&mut out, CloseCode::Policy, &"\u{20ac}".repeat(100));
        assert_eq!((out.len(), out[1]), (2 + 2 + 41 * 3, 125));
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }
}
