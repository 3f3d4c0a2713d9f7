//! Writers that append JSON to a byte buffer.

use super::block;
use super::run::plain_len;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` escaped, without quotes: only what RFC 8259 section 7 requires is escaped.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    escape_bytes(out, text.as_bytes());
}

/// Escapes bytes that are already escaped JSON text once more, as when a JSON document becomes a
/// string inside another.
pub fn escape_again(out: &mut Vec<u8>, json: &[u8]) {
    escape_bytes(out, json);
}

/// Up to so many bytes it is worth while to look first whether anything is to be escaped.
const SHORT: usize = 64;
fn escape_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Names and ids, which need no escapes.
    if bytes.len() <= SHORT && plain_len(bytes) == bytes.len() {
        return out.extend_from_slice(bytes);
    }
    out.reserve(bytes.len() + bytes.len() / 8 + 16);
    let mut from = 0;
    while from < bytes.len() {
        from += plain(out, &bytes[from..]);
        if let Some(byte) = bytes.get(from)
            && is_escaped(*byte)
        {
            escape(out, *byte);
            from += 1;
        }
    }
}

/// Appends the bytes up to the first that needs an escape, sixteen at most; returns how many. A
/// block is appended whole, which is one store, and what is too much of it taken off.
#[inline(always)]
fn plain(out: &mut Vec<u8>, rest: &[u8]) -> usize {
    let Some(block) = rest.first_chunk() else {
        let len = rest.iter().take_while(|b| !is_escaped(**b)).count();
        out.extend_from_slice(&rest[..len]);
        return len;
    };
    let len = block::first(block);
    let end = out.len() + len;
    out.extend_from_slice(block);
    out.truncate(end);
    len
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\')
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..=0x1f => {
            let (high, low) = (HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
        _ => byte,
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends `text` as a JSON string, quotes included.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape_into(out, text);
    out.push(b'"');
}

/// Appends `"escaped"` around bytes that are already escaped JSON text.
pub fn quoted(out: &mut Vec<u8>, escaped: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(escaped);
    out.push(b'"');
}

/// Appends bytes as lower-case hexadecimal digits.
pub fn hex(out: &mut String, bytes: &[u8]) {
    let (words, rest) = bytes.as_chunks();
    out.reserve(2 * bytes.len());
    for word in words {
        let digits = hex_digits(u64::from_be_bytes(*word));
        out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    }
    for byte in rest {
        for digit in [byte >> 4, byte & 15] {
            out.push(HEX[usize::from(digit)].into());
        }
    }
}

/// The lower-case hexadecimal digits of a number, those of each half at once.
#[inline]
pub fn hex_digits(number: u64) -> [u8; 16] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let half = |half: u64| {
        let spread = (half | half << 16) & 0x0000_ffff_0000_ffff;
        let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
        let digits = (spread | spread << 4) & (ONES * 15);
        // Ten and more carry into the fifth bit.
        let letters = (digits + ONES * 6) >> 4 & ONES;
        digits + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)
    };
    let (high, low) = (half(number >> 32), half(number & 0xffff_ffff));
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// The numbers from 0 to 99, two digits each.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

/// Appends an unsigned integer in decimal.
pub fn uint(out: &mut Vec<u8>, mut n: u64) {
    if n < 10 {
        return out.push(b'0' + n as u8);
    }
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while n >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
        n /= 100;
    }
    if n > 0 {
        at -= 1;
        digits[at] = b'0' + n as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_are_what_serde_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn a_document_in_a_string_is_read_back(
            text in prop_oneof![
                any::<String>(), "[a-z\"\\\\\n]{0,80}", "[\u{0}-\u{1f}a\"]{900,1300}",
            ],
            blank in "[ \t\r\n]{0,3}",
        ) {
            let mut document = blank.clone().into_bytes();
            string(&mut document, &text);
            document.extend_from_slice(blank.as_bytes());
            let mut out = vec![b'"'];
            escape_again(&mut out, &document);
            out.push(b'"');
            let back = serde_json::from_slice::<String>(&out).unwrap();
            prop_assert_eq!(back.as_bytes(), document);
        }

        #[test]
        fn digits(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut out = String::from("x");
            hex(&mut out, &bytes);
            let plain: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(&out[1..], plain);
        }

        #[test]
        fn numbers(n in any::<u64>()) {
            let mut out = Vec::new();
            uint(&mut out, n);
            prop_assert_eq!(String::from_utf8(out).unwrap(), n.to_string());
        }
    }
}
