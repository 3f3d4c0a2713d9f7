//! The cases that the Autobahn suite puts to a server (its sections 1 to 7, 9 and 10), each at
//! several segmentations. `tests/it/autobahn.rs` runs the suite itself where it is installed.

use super::{Connection, Message, encode};
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame: its first byte says FIN, reserved bits and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
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
    out.extend_from_slice(&KEY);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(b, k)| b ^ k));
    out
}

/// What a server that echoes every message says to these bytes, which come in pieces of `step`.
fn echo(bytes: &[u8], step: usize) -> Vec<u8> {
    let mut connection = Connection::new(LIMIT);
    let mut out = Vec::new();
    for piece in bytes.chunks(step) {
        let mut input = piece;
        while let Some(message) = connection.receive(&mut input, &mut out) {
            match message {
                Message::Text(text) => encode::text(&mut out, &text),
                Message::Binary(bytes) => encode::binary(&mut out, &bytes),
            }
        }
        assert!(input.is_empty());
    }
    out
}

/// The answer is the same at every segmentation, and it is this.
fn answers(frames: &[Vec<u8>], expected: &[u8]) {
    let bytes = frames.concat();
    let shown = &bytes[..bytes.len().min(80)];
    for step in [1, 2, 3, 7, 997, usize::MAX] {
        let out = echo(&bytes, step);
        assert!(
            out == expected,
            "{shown:x?} in steps of {step}: {:x?}, not {:x?}",
            &out[..out.len().min(80)],
            &expected[..expected.len().min(80)]
        );
    }
}

/// It is answered by these bytes, and then by a close frame of this code.
fn fails(frames: &[Vec<u8>], before: &[u8], code: u16) {
    let bytes = frames.concat();
    for step in [1, 2, 7, usize::MAX] {
        let out = echo(&bytes, step);
        let shown = &bytes[..bytes.len().min(80)];
        let rest = out.strip_prefix(before);
        let rest = rest.unwrap_or_else(|| panic!("{shown:x?} in steps of {step}: {out:x?}"));
        assert_eq!(rest[0], 0x88, "{shown:x?} in steps of {step}");
        assert_eq!(rest[2..4], code.to_be_bytes(), "{shown:x?}");
        assert_eq!(rest.len(), 2 + usize::from(rest[1]), "nothing follows");
    }
}

fn text(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::text(&mut out, payload);
    out
}

fn pong(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::pong(&mut out, payload);
    out
}

#[test]
fn framing() {
    // 1.1, 1.2
    for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = vec![b'*'; length];
        answers(&[frame(0x81, &payload)], &text(&payload));
        let mut bytes = Vec::new();
        encode::binary(&mut bytes, &payload);
        answers(&[frame(0x82, &payload)], &bytes);
    }
}

#[test]
fn pings_and_pongs() {
    // 2.1 to 2.4, 2.6
    for payload in [
        &b""[..],
        b"Hello, world!",
        b"\0\xff\xfe\xfd\0\xff",
        &[b'*'; 125],
    ] {
        answers(&[frame(0x89, payload)], &pong(payload));
    }
    // 2.5
    fails(&[frame(0x89, &[b'*'; 126])], b"", 1002);
    fails(&[frame(0x8a, &[b'*'; 126])], b"", 1002);
    // 2.7 to 2.9
    answers(&[frame(0x8a, b"")], b"");
    answers(&[frame(0x8a, b"unasked")], b"");
    answers(&[frame(0x8a, b"unasked"), frame(0x89, b"p")], &pong(b"p"));
    // 2.10, 2.11
    let names: Vec<String> = (0..10).map(|i| format!("payload-{i}")).collect();
    let pings: Vec<_> = names.iter().map(|n| frame(0x89, n.as_bytes())).collect();
    let pongs: Vec<_> = names.iter().map(|n| pong(n.as_bytes())).collect();
    answers(&pings, &pongs.concat());
}

#[test]
fn reserved_bits_and_opcodes() {
    // 3.1 to 3.7
    for bits in 1..8 {
        for opcode in [0x1, 0x2, 0x8, 0x9] {
            let bad = frame(0x80 | bits << 4 | opcode, b"");
            fails(
                &[frame(0x81, b"hi"), bad, frame(0x89, b"")],
                &text(b"hi"),
                1002,
            );
        }
    }
    // 4.1, 4.2
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"reserved"] {
            let bad = frame(0x80 | opcode, payload);
            fails(
                &[frame(0x81, b"hi"), bad, frame(0x89, b"")],
                &text(b"hi"),
                1002,
            );
        }
    }
}

#[test]
fn fragments() {
    let (a, b) = (b"fragment1", b"fragment2");
    let both = text(b"fragment1fragment2");
    // 5.1, 5.2
    fails(&[frame(0x09, a), frame(0x80, b)], b"", 1002);
    fails(&[frame(0x0a, a), frame(0x80, b)], b"", 1002);
    // 5.3 to 5.8
    answers(&[frame(0x01, a), frame(0x80, b)], &both);
    answers(
        &[frame(0x01, a), frame(0x89, b"p"), frame(0x80, b)],
        &[pong(b"p"), both.clone()].concat(),
    );
    // 5.9 to 5.14
    for first in [0x80, 0x00] {
        fails(&[frame(first, b"x"), frame(0x81, a)], b"", 1002);
    }
    // 5.15, 5.17: after a whole message there is nothing to continue.
    for first in [0x00, 0x80] {
        fails(
            &[
                frame(0x01, a),
                frame(0x80, b),
                frame(first, b"x"),
                frame(0x81, a),
            ],
            &both,
            1002,
        );
    }
    // 5.16, 5.18
    fails(&[frame(0x00, a), frame(0x01, b)], b"", 1002);
    fails(&[frame(0x01, a), frame(0x81, b)], b"", 1002);
    fails(&[frame(0x01, a), frame(0x02, b)], b"", 1002);
    // 5.19, 5.20
    answers(
        &[
            frame(0x01, b"1"),
            frame(0x00, b"2"),
            frame(0x89, b"one"),
            frame(0x00, b"3"),
            frame(0x00, b"4"),
            frame(0x89, b"two"),
            frame(0x80, b"5"),
        ],
        &[pong(b"one"), pong(b"two"), text(b"12345")].concat(),
    );
    // 6.1
    answers(&[frame(0x81, b"")], &text(b""));
    let empty = [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")];
    answers(&empty, &text(b""));
    let middle = [frame(0x01, b""), frame(0x00, b"middle"), frame(0x80, b"")];
    answers(&middle, &text(b"middle"));
    // A control frame may stand inside a message also where a character is cut.
    answers(
        &[
            frame(0x01, b"\xce"),
            frame(0x89, b"\xff"),
            frame(0x80, b"\xba"),
        ],
        &[pong(b"\xff"), text("κ".as_bytes())].concat(),
    );
}

#[test]
fn text_is_utf8() {
    // 6.2
    let good = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    answers(&[frame(0x81, good)], &text(good));
    for cut in 0..good.len() {
        let (a, b) = good.split_at(cut);
        answers(&[frame(0x01, a), frame(0x80, b)], &text(good));
    }
    let octets: Vec<_> = good.iter().map(|b| frame(0x00, &[*b])).collect();
    let all = [&[frame(0x01, b"")], &octets[..], &[frame(0x80, b"")]].concat();
    answers(&all, &text(good));
    // 6.3
    let bad = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    fails(&[frame(0x81, bad)], b"", 1007);
    // 6.5 to 6.23: the borders of what UTF-8 can say, and what it must not.
    for sequence in [
        &b"\0"[..],
        b"\xc2\x80",
        b"\xe0\xa0\x80",
        b"\xf0\x90\x80\x80",
        b"\x7f",
        b"\xdf\xbf",
        b"\xef\xbf\xbf",
        b"\xf4\x8f\xbf\xbf",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xef\xbf\xbe",
        b"\xf0\x9f\xbf\xbf",
    ] {
        answers(&[frame(0x81, sequence)], &text(sequence));
    }
    for sequence in [
        &b"\x80"[..],
        b"\xbf",
        b"\x80\xbf\x80\xbf",
        b"\xc0 ",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        // What ends inside a character.
        b"\xc2",
        b"\xe0\xa0",
        b"\xf0\x90\x80",
        b"\xce\xba\xe1\xbd",
    ] {
        fails(&[frame(0x81, sequence)], b"", 1007);
        answers(&[frame(0x82, sequence)], &{
            let mut out = Vec::new();
            encode::binary(&mut out, sequence);
            out
        });
    }
}

#[test]
fn invalid_text_is_refused_before_its_end() {
    // 6.4: what follows the wrong byte never comes, neither of the frame nor of the message.
    let begin = b"\xce\xba\xe1\xbd\xb9\xf4\x90".as_slice();
    fails(&[frame(0x01, begin)], b"", 1007);
    let mut cut = frame(0x81, &[begin, &[b'x'; 50]].concat());
    cut.truncate(cut.len() - 50);
    fails(&[cut], b"", 1007);
    // One byte less could still become valid.
    answers(&[frame(0x01, &begin[..begin.len() - 1])], b"");
}

#[test]
fn closing() {
    let bye = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes()[..], reason].concat());
    let back = |code: u16| [&[0x88, 2][..], &code.to_be_bytes()].concat();
    // 7.1: nothing is read behind a close frame.
    let hi = frame(0x81, b"hi");
    answers(
        &[hi.clone(), bye(1000, b"")],
        &[text(b"hi"), back(1000)].concat(),
    );
    for behind in [hi.clone(), frame(0x89, b""), bye(1000, b""), vec![0xff; 9]] {
        answers(&[bye(1000, b""), behind], &back(1000));
    }
    answers(&[frame(0x01, b"half"), bye(1000, b"")], &back(1000));
    // 7.3
    answers(&[frame(0x88, b"")], b"\x88\x00");
    fails(&[frame(0x88, b"x")], b"", 1002);
    answers(&[bye(1000, b"Hello World!")], &back(1000));
    answers(&[bye(1000, &[b'*'; 123])], &back(1000));
    fails(&[bye(1000, &[b'*'; 124])], b"", 1002);
    // 7.5
    fails(&[bye(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80")], b"", 1007);
    // 7.7, 7.13
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        answers(&[bye(code, b"")], &back(code));
    }
    // 7.9
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        fails(&[bye(code, b"")], b"", 1002);
        fails(&[bye(code, b"reason")], b"", 1002);
    }
}

#[test]
fn what_no_client_may_send() {
    fails(&[b"\x81\x05Hello".to_vec()], b"", 1002);
    // A length that is not in its shortest form, or over 2^63.
    let long = |length: &[u8]| [&[0x81][..], length, &KEY].concat();
    fails(&[long(&[0xfe, 0, 125])], b"", 1002);
    fails(&[long(&[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff])], b"", 1002);
    fails(&[long(&[0xff, 0x80, 0, 0, 0, 0, 1, 0, 0])], b"", 1002);
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_head() {
    // 9: the largest that is taken, in one frame and in many.
    let most = vec![b'*'; LIMIT];
    let out = echo(&frame(0x82, &most), 1 << 16);
    assert!(out.ends_with(&most) && out.len() == 10 + LIMIT);
    let piece = vec![b'*'; LIMIT / 64];
    let mut pieces = vec![frame(0x01, b"")];
    pieces.extend((0..64).map(|_| frame(0x00, &piece)));
    let mut whole = pieces.clone();
    whole.push(frame(0x80, b""));
    assert!(echo(&whole.concat(), 4096).ends_with(&most));
    let head = [&[0x82, 0xff][..], &(LIMIT as u64 + 1).to_be_bytes(), &KEY].concat();
    fails(&[head], b"", 1009);
    pieces.push(frame(0x80, b"x"));
    fails(&pieces, b"", 1009);
    fails(
        &[b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff0000".to_vec()],
        b"",
        1009,
    );
}

proptest! {
    #[test]
    fn messages_come_back_in_any_fragments_and_pieces(
        messages in prop::collection::vec(("[a-zé€😀]{0,40}", prop::collection::vec(0usize..20, 0..4)), 0..5),
        steps in prop::collection::vec(1usize..40, 1..8),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (message, cuts) in &messages {
            let mut rest = message.as_bytes();
            let mut first = 0x01;
            for cut in cuts {
                let (a, b) = rest.split_at((*cut).min(rest.len()));
                bytes.extend(frame(first, a));
                bytes.extend(frame(0x89, b"between"));
                expected.extend(pong(b"between"));
                (rest, first) = (b, 0x00);
            }
            bytes.extend(frame(0x80 | first, rest));
            expected.extend(text(message.as_bytes()));
        }
        let (mut connection, mut out) = (Connection::new(LIMIT), Vec::new());
        let (mut rest, mut steps) = (&bytes[..], steps.iter().cycle());
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at((*steps.next().unwrap()).min(rest.len()));
            let mut input = piece;
            while let Some(Message::Text(t)) = connection.receive(&mut input, &mut out) {
                encode::text(&mut out, &t);
            }
            rest = tail;
        }
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn nothing_panics_and_the_first_close_is_the_last_word(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let out = echo(&bytes, usize::MAX);
        prop_assert_eq!(&echo(&bytes, 1), &out);
    }
}
