//! WebSocket frames from a client: whatever the segmentation, the server's end says what a naive
//! reading of the whole input says: the same messages, the same pongs, the same close code.

use arbitrary::{Arbitrary, Unstructured};
use strait_fuzz::fuzz_target;
use strait::http::websocket::{Connection, Message};
use strait_fuzz::segmentations;

/// Small, so that the limit is met.
const LIMIT: usize = 300;

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    // Bytes as they are, or frames that are mostly well formed.
    let bytes = match kind & 1 {
        0 => rest.to_vec(),
        _ => shaped(rest),
    };
    let expected = naive(&bytes);
    for pieces in segmentations(&bytes) {
        assert_eq!(echo(&pieces), expected, "{bytes:x?}");
    }
});

#[derive(Arbitrary, Debug)]
struct Shape {
    first: u8,
    mask: [u8; 4],
    long: u8,
    payload: Vec<u8>,
}

fn shaped(data: &[u8]) -> Vec<u8> {
    let mut rest = Unstructured::new(data);
    let mut bytes = Vec::new();
    while let Ok(shape) = Shape::arbitrary(&mut rest) {
        if rest.is_empty() || bytes.len() > 4096 {
            break;
        }
        let first = match shape.first & 7 {
            0 => 0x01,
            1 => 0x00,
            2 => 0x80,
            3 => 0x81,
            4 => 0x82,
            5 => 0x89,
            6 => 0x88,
            _ => shape.first,
        };
        let mut payload = shape.payload;
        if shape.long & 15 == 0 {
            payload.resize(usize::from(shape.long) * 2, b'x');
        }
        bytes.push(first);
        match payload.len() {
            n @ 0..126 => bytes.push(0x80 | n as u8),
            n => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(n as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&shape.mask);
        bytes.extend(
            payload
                .iter()
                .zip(shape.mask.iter().cycle())
                .map(|(b, k)| b ^ k),
        );
    }
    bytes
}

/// What came of an input.
#[derive(Debug, PartialEq)]
struct Said {
    messages: Vec<Message>,
    pongs: Vec<Vec<u8>>,
    /// The code of the close frame; 0 where it has none.
    closed: Option<u16>,
}

fn echo(pieces: &[&[u8]]) -> Said {
    let (mut connection, mut out, mut messages) = (Connection::new(LIMIT), Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        while let Some(message) = connection.receive(&mut input, &mut out) {
            messages.push(message);
        }
        assert!(input.is_empty(), "all input is used up");
    }
    let (mut pongs, mut closed, mut rest) = (Vec::new(), None, &out[..]);
    while let [first, len, tail @ ..] = rest {
        assert_eq!(closed, None, "nothing follows on a close frame");
        let (payload, tail) = tail.split_at(usize::from(*len));
        match first {
            0x8a => pongs.push(payload.to_vec()),
            0x88 => closed = Some(payload.first_chunk().map_or(0, |c| u16::from_be_bytes(*c))),
            _ => panic!("{first:#x}"),
        }
        rest = tail;
    }
    assert_eq!(connection.is_closed(), closed.is_some());
    Said {
        messages,
        pongs,
        closed,
    }
}

fn naive(mut bytes: &[u8]) -> Said {
    let mut said = Said {
        messages: Vec::new(),
        pongs: Vec::new(),
        closed: None,
    };
    let mut begun: Option<(bool, Vec<u8>)> = None;
    // Text that can never become valid fails at once.
    let hopeless = |(text, message): &(bool, Vec<u8>)| {
        let error = std::str::from_utf8(message).err();
        *text && error.is_some_and(|e| e.error_len().is_some())
    };
    let code = loop {
        let [first, tail @ ..] = bytes else {
            return said;
        };
        let (opcode, fin) = (first & 0xf, first & 0x80 != 0);
        let control = opcode & 8 != 0;
        let known = matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10);
        let order = control || (opcode == 0) == begun.is_some();
        if !known || first & 0x70 != 0 || control && !fin || !order {
            break 1002;
        }
        let [second, tail @ ..] = tail else {
            return said;
        };
        if second & 0x80 == 0 || control && second & 0x7f > 125 {
            break 1002;
        }
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if tail.len() < wide + 4 {
            return said;
        }
        let (digits, tail) = tail.split_at(wide);
        let (mask, tail) = tail.split_at(4);
        let long = digits.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
        let length = if wide == 0 {
            u128::from(second & 0x7f)
        } else {
            long
        };
        if wide == 2 && length < 126 || wide == 8 && (length < 65_536 || length >> 63 != 0) {
            break 1002;
        }
        let held = begun.as_ref().map_or(0, |(_, m)| m.len() as u128);
        if !control && held + length > LIMIT as u128 {
            break 1009;
        }
        let here = tail.len().min(length as usize);
        let unmasked = tail[..here].iter().zip(mask.iter().cycle());
        let payload: Vec<u8> = unmasked.map(|(b, k)| b ^ k).collect();
        let whole = here as u128 == length;
        if control {
            if !whole {
                return said;
            }
            match (opcode, &payload[..]) {
                (9, _) => said.pongs.push(payload),
                (8, []) => break 0,
                (8, [_]) => break 1002,
                (8, [a, b, reason @ ..]) => {
                    let code = u16::from_be_bytes([*a, *b]);
                    let good = (1000..1004).contains(&code)
                        || (1007..1015).contains(&code)
                        || (3000..5000).contains(&code);
                    break match (good, std::str::from_utf8(reason)) {
                        (false, _) => 1002,
                        (true, Err(_)) => 1007,
                        (true, Ok(_)) => code,
                    };
                }
                _ => {}
            }
        } else {
            let message = begun.get_or_insert((opcode == 1, Vec::new()));
            message.1.extend_from_slice(&payload);
            if hopeless(message) {
                break 1007;
            }
            if !whole {
                return said;
            }
            if fin && let Some((text, message)) = begun.take() {
                match (text, std::str::from_utf8(&message).is_ok()) {
                    (false, _) => said.messages.push(Message::Binary(message)),
                    (true, true) => said.messages.push(Message::Text(message)),
                    (true, false) => break 1007,
                }
            }
        }
        bytes = &tail[here..];
    };
    said.closed = Some(code);
    said
}
