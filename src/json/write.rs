//! Writers that append JSON to a byte buffer.

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

fn escape_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    out.reserve(rest.len());
    loop {
        let (plain, behind) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((b, behind)) = behind.split_first() else {
            return;
        };
        rest = behind;
        let short = match b {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..=0x1f => {
                let (high, low) = (HEX[(b >> 4) as usize], HEX[(b & 15) as usize]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                continue;
            }
            _ => *b,
        };
        out.extend_from_slice(&[b'\\', short]);
    }
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
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)].into());
        out.push(HEX[usize::from(byte & 15)].into());
    }
}

/// Appends an unsigned integer in decimal.
pub fn uint(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
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
        fn a_document_in_a_string_is_read_back(text in any::<String>(), blank in "[ \t\r\n]{0,3}") {
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
        fn numbers(n in any::<u64>()) {
            let mut out = Vec::new();
            uint(&mut out, n);
            prop_assert_eq!(String::from_utf8(out).unwrap(), n.to_string());
        }
    }
}
