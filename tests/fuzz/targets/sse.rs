//! `sse::Frames` gives the same frames for every segmentation, and the same as a splitter that
//! takes the whole stream, normalises its line ends and goes through its lines.

use strait_fuzz::fuzz_target;
use strait::sse::{Frame, Frames};

type Seen = Vec<(Vec<u8>, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let expected = reference(data);
    for split in strait_fuzz::segmentations(data) {
        let (mut parser, mut seen) = (Frames::new(), Seen::new());
        let mut on = |f: Frame<'_>| -> Result<(), ()> {
            seen.push((f.event.to_vec(), f.data.to_vec()));
            Ok(())
        };
        for piece in split {
            parser.feed(piece, &mut on).expect("a short stream");
        }
        parser.finish(&mut on).expect("a short stream");
        assert_eq!(seen, expected);
    }
});

/// WHATWG HTML section 9.2, to the letter, but for a last frame without its blank line, which
/// counts, and frames whose data is empty, which count too.
fn reference(data: &[u8]) -> Seen {
    let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let mut lines = vec![Vec::new()];
    let mut bytes = data.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    bytes.next_if_eq(&b'\n');
                }
                lines.push(Vec::new());
            }
            _ => lines.last_mut().expect("a line").push(byte),
        }
    }
    lines.push(Vec::new());
    let (mut seen, mut event, mut values) = (Seen::new(), Vec::new(), Vec::<Vec<u8>>::new());
    for line in lines {
        if line.is_empty() {
            if !values.is_empty() {
                seen.push((std::mem::take(&mut event), values.join(&b'\n')));
            }
            event.clear();
            values.clear();
            continue;
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        match &line[..colon] {
            b"data" => values.push(value),
            b"event" => event = value,
            _ => {}
        }
    }
    seen
}
