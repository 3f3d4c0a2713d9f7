//! Objects as they are kept: a byte that says how, then the bytes.
//!
//! Histories repeat themselves, so zstd makes them several times smaller, and a database that is
//! smaller is a database that is faster.

use crate::limits;
use std::io::Read;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Below, nothing is won.
const PLAIN_BYTES_MAX: usize = 256;
/// The fastest usual one: a higher one costs twice the time for a tenth of the size.
const LEVEL: i32 = 1;

/// Packs `object`; an error is a phrase for the operator.
pub(in crate::server) fn pack(object: &[u8]) -> Result<Vec<u8>, String> {
    if object.len() > limits::STORE_OBJECT_BYTES_MAX {
        return Err(format!("{} bytes are too many to be kept", object.len()));
    }
    if object.len() > PLAIN_BYTES_MAX {
        let packed = zstd::bulk::compress(object, LEVEL).map_err(|e| e.to_string())?;
        if packed.len() < object.len() {
            return Ok(with_tag(ZSTD, &packed));
        }
    }
    Ok(with_tag(PLAIN, object))
}

/// What was packed; an error is a phrase for the operator.
pub(in crate::server) fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    match packed.split_first() {
        Some((&PLAIN, rest)) => Ok(rest.to_vec()),
        Some((&ZSTD, rest)) => {
            let mut object = Vec::new();
            let decoder = zstd::stream::Decoder::with_buffer(rest).map_err(|e| e.to_string())?;
            decoder
                .take(limits::STORE_OBJECT_BYTES_MAX as u64 + 1)
                .read_to_end(&mut object)
                .map_err(|e| format!("what was kept is damaged: {e}"))?;
            match object.len() > limits::STORE_OBJECT_BYTES_MAX {
                true => Err("what was kept is too large".to_owned()),
                false => Ok(object),
            }
        }
        _ => Err("what was kept is damaged".to_owned()),
    }
}

fn with_tag(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    out.push(tag);
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_histories_shrink() {
        let history = br#"{"type":"message","role":"user"},"#.repeat(1000);
        let random: Vec<u8> = (0..1000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for object in [&b""[..], b"{}", &history, &random] {
            let packed = pack(object).unwrap();
            assert!(packed.len() <= object.len() + 1);
            assert_eq!(unpack(&packed).unwrap(), object);
        }
        assert!(pack(&history).unwrap().len() < history.len() / 20);
    }

    #[test]
    fn damage_is_an_error() {
        let packed = pack(&[b'x'; 1000]).unwrap();
        for damaged in [&b""[..], b"\x07x", &packed[..packed.len() - 3]] {
            assert!(unpack(damaged).is_err());
        }
    }
}
