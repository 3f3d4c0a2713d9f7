//! Response heads and bodies: the head's verdict does not change with the segmentation; a body
//! (of the framing that the head names, and chunked, whatever it names) comes out the same for
//! every segmentation, and a chunked one as a plain decoder of whole buffers reads it.

use strait_fuzz::fuzz_target;
use strait::http::framing::{BodyDecoder, Decoded, FramingError};
use strait::http::head::{BodyKind, Parsed, response};

fuzz_target!(|data: &[u8]| {
    chunked(data);
    for method in ["POST", "HEAD"] {
        match response(data, method) {
            Ok(Parsed::Complete { head, len }) => {
                assert!(len <= data.len());
                let mut fields = [httparse::EMPTY_HEADER; strait::limits::HEADERS_MAX];
                let mut theirs = httparse::Response::new(&mut fields);
                assert_eq!(theirs.parse(data), Ok(httparse::Status::Complete(len)));
                assert_eq!(theirs.code, Some(head.status));
                assert!(method != "HEAD" || head.body == BodyKind::None);
                assert!(head.body != BodyKind::UntilClose || !head.keep_alive);
                for cut in (0..len).step_by(len / 256 + 1).chain([len - 1]) {
                    let read = response(&data[..cut], method);
                    assert!(matches!(read, Ok(Parsed::Partial)), "{read:?} at {cut}");
                }
                if head.body == BodyKind::Chunked {
                    chunked(&data[len..]);
                }
                same(head.body, &data[len..]);
            }
            Ok(Parsed::Partial) => {}
            Err(error) => assert_eq!(error.status(), 502, "{error}"),
        }
    }
});

#[derive(Debug, Eq, PartialEq)]
struct Body {
    body: Vec<u8>,
    rest: Vec<u8>,
    eof: bool,
    error: Option<FramingError>,
}

fn decode(kind: BodyKind, pieces: &[&[u8]]) -> Body {
    let mut decoder = BodyDecoder::new(kind);
    let mut read = Body {
        body: Vec::new(),
        rest: Vec::new(),
        eof: false,
        error: None,
    };
    for mut input in pieces.iter().copied() {
        loop {
            let before = input.len();
            match decoder.next(&mut input) {
                Ok(Decoded::Data(data)) => {
                    assert!(!data.is_empty() && input.len() + data.len() <= before);
                    read.body.extend_from_slice(data);
                }
                Ok(Decoded::NeedMore) => {
                    assert!(input.is_empty());
                    break;
                }
                Ok(Decoded::End) => {
                    assert!(input.len() <= before);
                    read.rest.extend_from_slice(input);
                    break;
                }
                Err(error) => {
                    read.error = Some(error);
                    return read;
                }
            }
        }
    }
    read.eof = decoder.eof();
    read
}

fn same(kind: BodyKind, data: &[u8]) -> Body {
    let [whole, bytes, pieces] = strait_fuzz::segmentations(data);
    let read = decode(kind, &whole);
    assert_eq!(decode(kind, &bytes), read);
    assert_eq!(decode(kind, &pieces), read);
    read
}

fn chunked(data: &[u8]) {
    let read = same(BodyKind::Chunked, data);
    let plain = plain(data);
    match read.error {
        None if read.eof => assert_eq!(plain, Some((read.body, read.rest))),
        // Not over, or refused for a limit or a control byte that the plain decoder lets pass.
        None => assert_eq!(plain, None),
        Some(_) => {}
    }
}

/// RFC 9112 section 7.1.3 on a whole buffer: the body and what follows it.
fn plain(mut data: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    fn line<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
        let end = data.windows(2).position(|w| w == b"\r\n")?;
        let line = &data[..end];
        *data = &data[end + 2..];
        Some(line)
    }
    let mut body = Vec::new();
    loop {
        let size = line(&mut data)?.split(|b| *b == b';').next()?;
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            while !line(&mut data)?.is_empty() {}
            return Some((body, data.to_vec()));
        }
        let size = usize::try_from(size).ok()?;
        body.extend_from_slice(data.get(..size)?);
        data = data[size..].strip_prefix(b"\r\n")?;
    }
}
