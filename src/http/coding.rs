//! Content codings of request bodies (RFC 9110 section 8.4).

use crate::error::{Error, Kind, Source};
use crate::limits;
use std::io::Read;

/// Most codings applied to one body.
const CODINGS_MAX: usize = 3;

/// Takes the codings of a `Content-Encoding` off a body. The decoded size is bounded by
/// [`limits::BODY_BYTES_MAX`] and [`limits::BODY_RATIO_MAX`], whatever the input claims.
pub fn decode(coding: &str, body: Vec<u8>) -> Result<Vec<u8>, Error> {
    let names: Vec<&str> = coding
        .split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .collect();
    if names.len() > CODINGS_MAX {
        return Err(unknown(coding));
    }
    let mut body = body;
    for name in names.iter().rev() {
        body = match name.to_ascii_lowercase().as_str() {
            "identity" => body,
            "gzip" | "x-gzip" => bounded(
                flate2::bufread::MultiGzDecoder::new(&body[..]),
                body.len(),
                name,
            )?,
            "deflate" => bounded(
                flate2::bufread::ZlibDecoder::new(&body[..]),
                body.len(),
                name,
            )?,
            "zstd" => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(&body[..])
                    .map_err(|_| corrupt(name))?;
                // 128 MiB: what `zstd --ultra -22` asks for; more is refused before it is used.
                decoder.window_log_max(27).map_err(|_| corrupt(name))?;
                bounded(decoder, body.len(), name)?
            }
            _ => return Err(unknown(coding)),
        };
    }
    Ok(body)
}

fn bounded(mut decoder: impl Read, encoded_len: usize, name: &str) -> Result<Vec<u8>, Error> {
    let by_ratio = encoded_len.saturating_mul(limits::BODY_RATIO_MAX);
    let max = by_ratio.clamp(limits::BODY_RATIO_FLOOR_BYTES, limits::BODY_BYTES_MAX);
    let mut decoded = Vec::new();
    let limit = max as u64 + 1;
    (&mut decoder)
        .take(limit)
        .read_to_end(&mut decoded)
        .map_err(|_| corrupt(name))?;
    if decoded.len() > max {
        let message = format!("The {name} request body is larger than {max} bytes when decoded.");
        return Err(Error::new(Source::Downstream, Kind::BodyTooLarge, message));
    }
    Ok(decoded)
}

fn corrupt(name: &str) -> Error {
    Error::bad_request(format!("The request body is not valid {name} data."))
}

fn unknown(coding: &str) -> Error {
    let coding: String = coding.chars().take(64).collect();
    let message =
        format!("The content coding {coding:?} is not served; use zstd, gzip, deflate or none.");
    Error::new(Source::Downstream, Kind::UnsupportedMediaType, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn codings_come_off_in_reverse_order() {
        let text = b"{\"model\":\"m\"}".to_vec();
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        assert_eq!(decode("zstd", zstd.clone()).unwrap(), text);
        assert_eq!(decode("GZIP", gzip(&text)).unwrap(), text);
        assert_eq!(decode("zstd, gzip", gzip(&zstd)).unwrap(), text);
        assert_eq!(decode("identity", text.clone()).unwrap(), text);
    }

    #[test]
    fn corrupt_truncated_unknown_and_bombs() {
        let good = gzip(b"hello hello hello hello");
        assert_eq!(
            decode("gzip", good[..good.len() - 4].to_vec())
                .unwrap_err()
                .status(),
            400
        );
        assert_eq!(
            decode("gzip", b"nonsense".to_vec()).unwrap_err().status(),
            400
        );
        assert_eq!(
            decode("zstd", b"nonsense".to_vec()).unwrap_err().status(),
            400
        );
        assert_eq!(decode("br", Vec::new()).unwrap_err().status(), 415);
        let bomb = zstd::encode_all(&vec![0u8; 8 << 20][..], 3).unwrap();
        assert_eq!(decode("zstd", bomb).unwrap_err().status(), 413);
    }
}
