//! Message bodies: chunked and fixed-length framing (RFC 9112 sections 6 and 7).

use super::head::BodyKind;
use std::fmt;

/// Most bytes of extensions behind one chunk size; nobody uses them, and unbounded ones cost.
const EXTENSION_BYTES_MAX: u32 = 256;
/// Most bytes of trailer fields behind the last chunk.
const TRAILER_BYTES_MAX: u32 = 8 * 1024;
/// Most hexadecimal digits of a chunk size.
const SIZE_DIGITS_MAX: u8 = 15;

/// Most digits of a size line that is read in one go, and its line end.
const PLAIN_LINE_MAX: usize = 9;

/// What every byte is worth as a hexadecimal digit; 16 if it is none.
const DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        let byte = b"0123456789abcdef"[digit];
        digits[byte as usize] = digit as u8;
        digits[byte.to_ascii_uppercase() as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// Why a body was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FramingError {
    /// A chunk does not end where its size says.
    ChunkEnd,
    /// A chunk's extensions are too long or hold control bytes.
    Extension,
    /// A chunk size is missing, too long or not hexadecimal.
    Size,
    /// The trailer fields are too long or malformed.
    Trailer,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FramingError::ChunkEnd => "a chunk does not end where its size says",
            FramingError::Extension => "a chunk's extension is too long or malformed",
            FramingError::Size => "a chunk size is not a hexadecimal number",
            FramingError::Trailer => "the trailer fields are too long or malformed",
        })
    }
}

impl std::error::Error for FramingError {}

/// What the next bytes of a message are.
#[derive(Debug, Eq, PartialEq)]
pub enum Decoded<'a> {
    /// A piece of the body.
    Data(&'a [u8]),
    /// The body is complete; what is left of the input is the next message.
    End,
    /// All input is used up.
    NeedMore,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// So many bytes are left of a fixed-length body.
    Length(u64),
    UntilClose,
    /// The size line, with digits so far.
    Size(u64, u8),
    Extension(u64, u32),
    /// The LF behind a size line.
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer(u32),
    TrailerLine(u32),
    TrailerLf(u32),
    LastLf,
    End,
}

/// Takes a body's framing off, without copying: `next` yields slices of its input, whatever the
/// segmentation.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

impl BodyDecoder {
    /// A decoder for a body of the given kind.
    pub fn new(kind: BodyKind) -> Self {
        let state = match kind {
            BodyKind::None | BodyKind::Length(0) => State::End,
            BodyKind::Length(n) => State::Length(n),
            BodyKind::Chunked => State::Size(0, 0),
            BodyKind::UntilClose => State::UntilClose,
        };
        BodyDecoder { state }
    }

    /// Whether an end of the connection here is the regular end of the body.
    pub fn eof(&self) -> bool {
        matches!(self.state, State::UntilClose | State::End)
    }

    /// The next piece; advances `input`.
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Decoded<'a>, FramingError> {
        // All that providers send in the middle of a stream: whole chunks, their lines plain.
        if let State::Size(0, 0) | State::DataCr = self.state {
            self.plain_lines(input);
        }
        match self.state {
            State::Data(left) if left < input.len() as u64 => {
                let (data, rest) = input.split_at(left as usize);
                *input = rest;
                self.state = State::DataCr;
                Ok(Decoded::Data(data))
            }
            State::Size(0, 0) if input.is_empty() => Ok(Decoded::NeedMore),
            _ => self.any(input),
        }
    }

    #[inline(never)]
    fn any<'a>(&mut self, input: &mut &'a [u8]) -> Result<Decoded<'a>, FramingError> {
        loop {
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(if self.state == State::End {
                    Decoded::End
                } else {
                    Decoded::NeedMore
                });
            };
            match self.state {
                State::End => return Ok(Decoded::End),
                State::UntilClose => return Ok(Decoded::Data(std::mem::take(input))),
                State::Length(left) | State::Data(left) => {
                    return Ok(Decoded::Data(self.take(left, input)));
                }
                _ => {
                    self.state = self.framing_byte(byte)?;
                    *input = rest;
                }
            }
        }
    }

    /// Reads the line end behind a chunk and the next size line in one go, as far as they are in
    /// `input` and plain. What is not changes nothing, and is judged byte by byte.
    #[inline]
    fn plain_lines(&mut self, input: &mut &[u8]) {
        if self.state == State::DataCr {
            let Some(rest) = input.strip_prefix(b"\r\n") else {
                return;
            };
            *input = rest;
            self.state = State::Size(0, 0);
        }
        let mut size = 0;
        for (at, byte) in input.iter().enumerate().take(PLAIN_LINE_MAX) {
            match (DIGITS[usize::from(*byte)], byte) {
                (digit @ 0..16, _) => size = size << 4 | u64::from(digit),
                (_, b'\r') if size > 0 && input.get(at + 1) == Some(&b'\n') => {
                    self.state = State::Data(size);
                    *input = &input[at + 2..];
                    return;
                }
                _ => return,
            }
        }
    }

    fn take<'a>(&mut self, left: u64, input: &mut &'a [u8]) -> &'a [u8] {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at(len);
        *input = rest;
        let left = left - len as u64;
        self.state = match (self.state, left) {
            (State::Length(_), 0) => State::End,
            (State::Length(_), _) => State::Length(left),
            (_, 0) => State::DataCr,
            _ => State::Data(left),
        };
        data
    }

    fn framing_byte(&self, byte: u8) -> Result<State, FramingError> {
        use State::*;
        Ok(match (self.state, byte) {
            (Size(n, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                if digits == SIZE_DIGITS_MAX {
                    return Err(FramingError::Size);
                }
                Size(n << 4 | u64::from(digit), digits + 1)
            }
            (Size(_, 0), _) => return Err(FramingError::Size),
            (Size(n, _), b'\r') => SizeLf(n),
            (Size(n, _), b';') => Extension(n, 0),
            (Size(..), _) => return Err(FramingError::Size),
            (Extension(n, _), b'\r') => SizeLf(n),
            (Extension(n, len), b'\t' | b' '..=b'~' | 0x80..) if len < EXTENSION_BYTES_MAX => {
                Extension(n, len + 1)
            }
            (Extension(..), _) => return Err(FramingError::Extension),
            (SizeLf(0), b'\n') => Trailer(0),
            (SizeLf(n), b'\n') => Data(n),
            (SizeLf(_), _) => return Err(FramingError::Size),
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size(0, 0),
            (DataCr | DataLf, _) => return Err(FramingError::ChunkEnd),
            (Trailer(_), b'\r') => LastLf,
            (TrailerLine(len), b'\r') => TrailerLf(len),
            (Trailer(len) | TrailerLine(len), b'\t' | b' '..=b'~' | 0x80..)
                if len < TRAILER_BYTES_MAX =>
            {
                TrailerLine(len + 1)
            }
            (TrailerLf(len), b'\n') => Trailer(len),
            (LastLf, b'\n') => End,
            _ => return Err(FramingError::Trailer),
        })
    }
}

/// The last chunk of a chunked body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const SIZE_LINE: &[u8] = b"00000000\r\n";

/// Begins a chunk of a size not known yet: reserves its size line and returns where it stands.
pub fn chunk_begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(SIZE_LINE);
    out.len() - SIZE_LINE.len()
}

/// Ends the chunk begun at `begin`: writes its size (leading zeros are legal) and its line end.
/// An empty chunk, which would end the body, is taken back. Chunks stay below 4 GiB, since
/// everything that is written is limited to far less.
pub fn chunk_end(out: &mut Vec<u8>, begin: usize) {
    let len = out.len() - begin - SIZE_LINE.len();
    if len == 0 {
        out.truncate(begin);
        return;
    }
    out[begin..begin + 8].copy_from_slice(&hex(len as u32));
    out.extend_from_slice(b"\r\n");
}

/// The eight hexadecimal digits of a number, all at once.
fn hex(n: u32) -> [u8; 8] {
    const ONES: u64 = u64::MAX / 255;
    // Each step moves the upper half of every group up: at last, four bits have a byte.
    let mut nibbles = u64::from(n);
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Six more make ten and above carry.
    let letters = (nibbles + ONES * 6) >> 4 & ONES;
    (nibbles + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(kind: BodyKind, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), FramingError> {
        let (mut decoder, mut body, mut rest) = (BodyDecoder::new(kind), Vec::new(), Vec::new());
        for mut input in pieces.iter().copied() {
            loop {
                match decoder.next(&mut input)? {
                    Decoded::Data(data) => body.extend_from_slice(data),
                    Decoded::NeedMore => break,
                    Decoded::End => {
                        rest.extend_from_slice(input);
                        break;
                    }
                }
            }
        }
        Ok((body, rest, decoder.state == State::End))
    }

    #[test]
    fn every_split_of_a_chunked_body_is_the_same() {
        let raw = b"4\r\nWiki\r\n00A;x=\"y\"\r\npedia in \r\r\n0\r\nTrailer: v\r\n\r\nGET /";
        for cut in 0..=raw.len() {
            let (body, rest, end) = decode(BodyKind::Chunked, &[&raw[..cut], &raw[cut..]]).unwrap();
            assert_eq!(body, b"Wikipedia in \r");
            assert_eq!((rest.as_slice(), end), (&b"GET /"[..], true));
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        let long = format!("1;{}\r\n", "x".repeat(300));
        for bad in [
            "\r\n",
            "g\r\n",
            "1\nx",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "0x1\r\n",
            "1 \r\n",
            "-1\r\n",
            "+1\r\n",
            "1;\u{1}\r\n",
            "0\r\n\nx",
            "0\r\na\nb",
            "1111111111111111\r\n",
            &long,
        ] {
            assert!(
                decode(BodyKind::Chunked, &[bad.as_bytes()]).is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn fixed_length_leaves_the_rest() {
        let (body, rest, end) = decode(BodyKind::Length(3), &[b"ab", b"cde"]).unwrap();
        assert_eq!((body, rest, end), (b"abc".to_vec(), b"de".to_vec(), true));
        assert!(BodyDecoder::new(BodyKind::UntilClose).eof());
        assert!(!BodyDecoder::new(BodyKind::Chunked).eof());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
            cuts in prop::collection::vec(1usize..50, 0..40),
        ) {
            let mut wire = Vec::new();
            for piece in &pieces {
                let begin = chunk_begin(&mut wire);
                wire.extend_from_slice(piece);
                chunk_end(&mut wire, begin);
            }
            wire.extend_from_slice(LAST_CHUNK);
            let (mut split, mut rest) = (Vec::new(), wire.as_slice());
            for cut in cuts {
                let (a, b) = rest.split_at(cut.min(rest.len()));
                split.push(a);
                rest = b;
            }
            split.push(rest);
            let (body, _, end) = decode(BodyKind::Chunked, &split).unwrap();
            prop_assert_eq!(body, pieces.concat());
            prop_assert!(end);
        }

        #[test]
        fn digits_are_those_of_the_standard_library(n in any::<u32>()) {
            prop_assert_eq!(hex(n).to_vec(), format!("{n:08x}").into_bytes());
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(BodyKind::Chunked, &[&bytes]);
        }
    }
}
