//! `http::coding::decode`: arbitrary bytes never panic it or lead beyond the caps; what was
//! encoded comes back, and one changed byte of it is refused or stays within the caps.

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use strait_fuzz::fuzz_target;
use std::io::Write;
use strait::http::coding::decode;
use strait::limits::{BODY_BYTES_MAX, BODY_RATIO_FLOOR_BYTES, BODY_RATIO_MAX};

const ONE: [&str; 4] = ["gzip", "deflate", "zstd", "identity"];
const SEVERAL: [&str; 4] = [
    "gzip, zstd",
    "zstd,gzip",
    " X-GZIP ,, deflate",
    "a\u{e9}, br",
];

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    match first & 0xc0 {
        // Seeds are plain files of a coding: their magic bytes choose it.
        0x00 | 0x40 => check(ONE[usize::from(first & 3)], data),
        0x80 => check(SEVERAL[usize::from(first & 3)], data),
        _ => round_trip(ONE[usize::from(first & 3)], data),
    }
    let whole = [&[*first], data].concat();
    match whole.get(..2) {
        Some(b"\x1f\x8b") => check("gzip", &whole),
        Some(b"\x28\xb5") => check("zstd", &whole),
        Some([0x78, _]) => check("deflate", &whole),
        _ => {}
    }
});

fn check(coding: &str, body: &[u8]) {
    let stages = coding.split(',').filter(|c| !c.trim().is_empty()).count() as u32;
    match decode(coding, body.to_vec()) {
        Ok(decoded) => {
            let mut max = body.len();
            for _ in 0..stages {
                let by_ratio = max.saturating_mul(BODY_RATIO_MAX);
                max = by_ratio.clamp(BODY_RATIO_FLOOR_BYTES, BODY_BYTES_MAX);
            }
            assert!(
                decoded.len() <= max,
                "{} from {}",
                decoded.len(),
                body.len()
            );
            assert!(coding != "identity" || decoded == body);
        }
        Err(error) => assert!([400, 413, 415].contains(&error.status()), "{error}"),
    }
}

fn round_trip(coding: &str, text: &[u8]) {
    let encoded = match coding {
        "gzip" => {
            let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
            writer.write_all(text).expect("memory");
            writer.finish().expect("memory")
        }
        "deflate" => {
            let mut writer = ZlibEncoder::new(Vec::new(), Compression::fast());
            writer.write_all(text).expect("memory");
            writer.finish().expect("memory")
        }
        "zstd" => zstd::encode_all(text, 1).expect("memory"),
        _ => text.to_vec(),
    };
    assert_eq!(decode(coding, encoded.clone()).as_deref(), Ok(text));
    if coding == "identity" {
        return;
    }
    let mut damaged = encoded;
    let digest = strait_fuzz::digest(text);
    let at = digest as usize % damaged.len();
    damaged[at] ^= 1 << (digest >> 60 & 7);
    check(coding, &damaged);
    assert!(
        decode(coding, damaged[..at].to_vec()).is_err() || at == 0,
        "cut at {at}"
    );
}
