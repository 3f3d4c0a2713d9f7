//! HTTP/1.1 messages, read as their bytes arrive.

/// Most bytes of a message's head.
const HEAD_MAX: usize = 64 << 10;
const FIELDS_MAX: usize = 100;

/// Why a message could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Malformed(pub String);

fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

/// The parts of a head that matter here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// The status of a response; 0 in a request.
    pub status: u16,
    /// A request's method.
    pub method: String,
    /// A request's target.
    pub target: String,
    /// False when the peer ends the connection after this message.
    pub keep_alive: bool,
    /// The peer waits for `100 Continue`.
    pub expects_continue: bool,
    /// The value of `content-type`.
    pub content_type: String,
}

/// Which kind of message is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Requests.
    Requests,
    /// Responses.
    Responses,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Head,
    Length(usize),
    UntilClose,
    Size { value: usize, digits: u8 },
    SizeLine(usize),
    Chunk(usize),
    ChunkEnd(u8),
    Trailer { line: usize },
    Done,
}

/// Reads one message after another from one connection.
#[derive(Debug)]
pub struct Reader {
    side: Side,
    state: State,
    partial: Vec<u8>,
    /// The head of the message that is being read.
    pub head: Head,
}

impl Reader {
    /// A reader at the beginning of a message.
    pub fn new(side: Side) -> Reader {
        Reader {
            side,
            state: State::Head,
            partial: Vec::new(),
            head: Head::default(),
        }
    }

    /// True when the message is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True before the first byte of a message.
    pub fn is_fresh(&self) -> bool {
        self.state == State::Head && self.partial.is_empty()
    }

    /// True when the head has been read.
    pub fn has_head(&self) -> bool {
        self.state != State::Head
    }

    /// Makes ready for the next message.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.partial.clear();
    }

    /// The peer has closed: true when that completes the message.
    pub fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.state == State::Done
    }

    /// Reads from `input`, hands pieces of the body to `body`, and stops at the message's end.
    /// Returns how many bytes were used.
    pub fn read(
        &mut self,
        input: &[u8],
        body: &mut impl FnMut(&Head, &[u8]),
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Done => break,
                State::Head => at += self.read_head(&input[at..])?,
                State::Length(left) => {
                    let n = left.min(input.len() - at);
                    body(&self.head, &input[at..at + n]);
                    at += n;
                    self.state = match left - n {
                        0 => State::Done,
                        left => State::Length(left),
                    };
                }
                State::UntilClose => {
                    body(&self.head, &input[at..]);
                    at = input.len();
                }
                State::Chunk(left) => {
                    let n = left.min(input.len() - at);
                    body(&self.head, &input[at..at + n]);
                    at += n;
                    self.state = match left - n {
                        0 => State::ChunkEnd(0),
                        left => State::Chunk(left),
                    };
                }
                _ => {
                    self.framing(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// One byte between the chunks.
    fn framing(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size { value, digits }, b) if b.is_ascii_hexdigit() && digits < 12 => {
                let digit = (b as char).to_digit(16).expect("a hexadecimal digit");
                State::Size {
                    value: value << 4 | digit as usize,
                    digits: digits + 1,
                }
            }
            (State::Size { value, digits }, b';' | b' ' | b'\t' | b'\r') if digits > 0 => {
                State::SizeLine(value)
            }
            (State::SizeLine(0), b'\n') => State::Trailer { line: 0 },
            (State::SizeLine(size), b'\n') => State::Chunk(size),
            (State::SizeLine(size), _) => State::SizeLine(size),
            (State::ChunkEnd(0), b'\r') => State::ChunkEnd(1),
            (State::ChunkEnd(1), b'\n') => State::Size {
                value: 0,
                digits: 0,
            },
            (State::Trailer { line: 0 }, b'\n') => State::Done,
            (State::Trailer { .. }, b'\n') => State::Trailer { line: 0 },
            (State::Trailer { line }, b'\r') => State::Trailer { line },
            (State::Trailer { line }, _) if line < HEAD_MAX => State::Trailer { line: line + 1 },
            (state, byte) => return malformed(format!("byte {byte:#04x} in {state:?}")),
        };
        Ok(())
    }

    fn read_head(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let before = self.partial.len();
        self.partial.extend_from_slice(input);
        let from = before.saturating_sub(3);
        let Some(end) = memchr::memmem::find(&self.partial[from..], b"\r\n\r\n") else {
            if self.partial.len() > HEAD_MAX {
                return malformed("the head is too long");
            }
            return Ok(input.len());
        };
        let end = from + end + 4;
        let interim = self.parse(end)?;
        self.partial.clear();
        if interim {
            self.state = State::Head;
        }
        Ok(end - before)
    }

    /// Returns true for an interim response, which is passed over.
    fn parse(&mut self, end: usize) -> Result<bool, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let (mut head, version, fields) = match self.side {
            Side::Requests => {
                let mut request = httparse::Request::new(&mut fields);
                if let Err(e) = request.parse(&self.partial[..end]) {
                    return malformed(e.to_string());
                }
                let head = Head {
                    method: request.method.unwrap_or("").to_owned(),
                    target: request.path.unwrap_or("").to_owned(),
                    ..Head::default()
                };
                (head, request.version, request.headers)
            }
            Side::Responses => {
                let mut response = httparse::Response::new(&mut fields);
                if let Err(e) = response.parse(&self.partial[..end]) {
                    return malformed(e.to_string());
                }
                let head = Head {
                    status: response.code.unwrap_or(0),
                    ..Head::default()
                };
                (head, response.version, response.headers)
            }
        };
        head.keep_alive = version == Some(1);
        let (mut length, mut chunked) = (None, false);
        for field in fields.iter() {
            let value = std::str::from_utf8(field.value).unwrap_or("").trim();
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                match value.parse::<usize>() {
                    Ok(n) => length = Some(n),
                    Err(_) => return malformed("content-length is no number"),
                }
            } else if is("transfer-encoding") {
                chunked = value.to_ascii_lowercase().ends_with("chunked");
            } else if is("connection") {
                let value = value.to_ascii_lowercase();
                head.keep_alive &= !value.contains("close");
                head.keep_alive |= value.contains("keep-alive");
            } else if is("expect") {
                head.expects_continue = value.eq_ignore_ascii_case("100-continue");
            } else if is("content-type") {
                head.content_type = value.to_owned();
            }
        }
        let interim = (100..200).contains(&head.status);
        let empty = matches!(head.status, 204 | 304);
        self.state = match (chunked, length) {
            _ if empty => State::Done,
            (true, _) => State::Size {
                value: 0,
                digits: 0,
            },
            (false, Some(0)) => State::Done,
            (false, Some(n)) => State::Length(n),
            (false, None) if self.side == Side::Requests => State::Done,
            (false, None) => {
                head.keep_alive = false;
                State::UntilClose
            }
        };
        self.head = head;
        Ok(interim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(side: Side, input: &[u8], step: usize) -> (Reader, Vec<u8>) {
        let mut reader = Reader::new(side);
        let mut out = Vec::new();
        for piece in input.chunks(step) {
            let used = reader.read(piece, &mut |_, b| out.extend_from_slice(b));
            assert_eq!(used, Ok(piece.len()));
        }
        (reader, out)
    }

    #[test]
    fn framings_are_read_at_every_cut() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nA: b\r\n\r\n";
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello!";
        for step in 1..chunked.len() {
            let (reader, body) = collect(Side::Responses, chunked, step);
            assert!(reader.is_done() && reader.head.keep_alive);
            assert_eq!(body, b"hello!");
            let (reader, body) = collect(Side::Responses, sized, step);
            assert!(reader.is_done() && !reader.head.keep_alive);
            assert_eq!(body, b"hello!");
        }
    }

    #[test]
    fn a_body_without_framing_ends_with_the_connection() {
        let (mut reader, body) = collect(Side::Responses, b"HTTP/1.1 200 OK\r\n\r\nabc", 2);
        assert!(!reader.is_done() && reader.close());
        assert_eq!(body, b"abc");
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        let input = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n";
        let (reader, _) = collect(Side::Responses, input, 7);
        assert!(reader.is_done());
        assert_eq!(reader.head.status, 429);
    }

    #[test]
    fn reading_stops_where_the_message_ends() {
        let mut reader = Reader::new(Side::Requests);
        let input = b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
        assert_eq!(reader.read(input, &mut |_, _| ()), Ok(19));
        assert_eq!(reader.head.target, "/a");
        reader.reset();
        assert_eq!(reader.read(&input[19..], &mut |_, _| ()), Ok(19));
        assert_eq!(reader.head.target, "/b");
    }

    #[test]
    fn a_wrong_chunk_is_refused() {
        let mut reader = Reader::new(Side::Responses);
        let input = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX";
        assert!(reader.read(input, &mut |_, _| ()).is_err());
    }
}
