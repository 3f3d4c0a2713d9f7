//! Members that are found by name in one pass over their object, however many they are.

use super::scan::{ESCAPED, Kind};
use super::text::Str;
use super::value::Value;

/// Slots of the table of names.
const SLOTS: usize = 64;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
/// A slot without a name.
const FREE: u8 = u8::MAX;

/// Names to look for: a table without collisions, made when the program is compiled.
pub struct Names<const N: usize> {
    names: [&'static str; N],
    keys: [u128; N],
    /// Which name has a key of that hash.
    slots: [u8; SLOTS],
    factor: u64,
}

impl<const N: usize> Names<N> {
    /// A table of these names, no two of which are the same. Meant for constants: where no table
    /// can be made, that is an error of the compiler.
    pub const fn new(names: [&'static str; N]) -> Self {
        let mut keys = [0; N];
        let mut n = 0;
        while n < N {
            keys[n] = key_of(names[n].as_bytes());
            n += 1;
        }
        let mut factor = 0x9e37_79b9_7f4a_7c15;
        let mut tries = 0;
        while tries < 10_000 {
            if let Some(slots) = slots_of(&keys, factor) {
                return Names {
                    names,
                    keys,
                    slots,
                    factor,
                };
            }
            // Knuth's generator; a factor must be odd.
            factor = u64::wrapping_mul(factor, 6_364_136_223_846_793_005).wrapping_add(2);
            tries += 1;
        }
        panic!("two names are the same, or there are too many of them");
    }

    /// The number of a name.
    pub fn position(&self, name: Str<'_>) -> Option<usize> {
        match name.flags & ESCAPED {
            0 => self.find(name.raw, 0, name.raw.len()),
            _ => self.find_escaped(name),
        }
    }

    /// The number of the name at `from..to` of a document, which holds no escapes.
    #[inline(always)]
    pub(super) fn find(&self, src: &[u8], from: usize, to: usize) -> Option<usize> {
        match src[from..].first_chunk() {
            Some(block) if to - from < SHORT => self.find_short(block, to - from),
            _ => self.find_any(&src[from..to]),
        }
    }

    /// The number of the name of the first `len` bytes, less than 16, of a block.
    #[inline(always)]
    pub(super) fn find_short(&self, block: &[u8; SHORT], len: usize) -> Option<usize> {
        let key = u128::from_le_bytes(*block) & KEPT.get(len)?;
        let n = self.slot(key);
        (*self.keys.get(n)? == key).then_some(n)
    }

    #[inline(never)]
    fn find_any(&self, name: &[u8]) -> Option<usize> {
        let n = self.slot(key_of(name));
        (self.names.get(n)?.as_bytes() == name).then_some(n)
    }

    /// The number of the name of that key, if there is one; of any name or none, if not.
    #[inline(always)]
    fn slot(&self, key: u128) -> usize {
        usize::from(self.slots[slot_of(key, self.factor)])
    }

    #[cold]
    fn find_escaped(&self, name: Str<'_>) -> Option<usize> {
        let text = name.text();
        self.names.iter().position(|n| *n == text)
    }
}

const fn slots_of<const N: usize>(keys: &[u128; N], factor: u64) -> Option<[u8; SLOTS]> {
    let mut slots = [FREE; SLOTS];
    let mut n = 0;
    while n < N {
        let slot = slot_of(keys[n], factor);
        if slots[slot] != FREE {
            return None;
        }
        slots[slot] = n as u8;
        n += 1;
    }
    Some(slots)
}

#[inline(always)]
const fn slot_of(key: u128, factor: u64) -> usize {
    let word = (key as u64).rotate_left(29) ^ (key >> 64) as u64;
    (word.wrapping_mul(factor) >> (u64::BITS - SLOT_BITS)) as usize
}

/// The key of a name of so many bytes or more does not say all of it.
const SHORT: usize = 16;

/// What is kept of a block that begins with a short name of so many bytes.
static KEPT: [u128; SHORT] = {
    let mut kept = [0; SHORT];
    let mut len = 1;
    while len < SHORT {
        kept[len] = u128::MAX >> (128 - 8 * len);
        len += 1;
    }
    kept
};

/// Tells names apart: all of a short one, the first and the last eight bytes of others and their
/// length. Short ones have the same key only if they are the same, for none holds a NUL, with which
/// the keys of all short ones end.
const fn key_of(name: &[u8]) -> u128 {
    match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) if name.len() >= SHORT => {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            (last as u128) << 64 | (first ^ name.len() as u64) as u128
        }
        _ => {
            let mut key = 0;
            let mut n = 0;
            while n < name.len() {
                key |= (name[n] as u128) << (8 * n);
                n += 1;
            }
            key
        }
    }
}

/// The members of an object that a table names; the last one of a name, as in [`Value::get`].
#[derive(Clone, Copy)]
pub struct Members<'a, const N: usize> {
    object: Value<'a>,
    /// Where they are on the tape; 0, which is never a member, for those that are missing.
    at: [u32; N],
}

impl<'a, const N: usize> Members<'a, N> {
    /// Looks for `names` in `object`; in any other kind there are none.
    #[inline]
    pub fn of(object: Value<'a>, names: &Names<N>) -> Self {
        let mut members = Members { object, at: [0; N] };
        if object.kind() != Kind::Object {
            return members;
        }
        let (src, nodes, mut at, end) = object.inside();
        while at < end {
            // A name has no descendants: its value stands right behind it.
            let [name, value] = nodes[at as usize..][..2] else {
                break;
            };
            let (from, to) = (name.start as usize + 1, name.end as usize - 1);
            let found = match name.flags & ESCAPED {
                0 => names.find(src, from, to),
                _ => names.find_escaped(Str {
                    raw: &src[from..to],
                    flags: name.flags,
                }),
            };
            if let Some(found) = found {
                members.at[found] = at + 1;
            }
            at = value.next;
        }
        members
    }

    /// The object.
    pub fn object(&self) -> Value<'a> {
        self.object
    }

    /// The member of the `n`th name.
    #[inline]
    pub fn get(&self, n: usize) -> Option<Value<'a>> {
        match self.at[n] {
            0 => None,
            at => Some(self.object.at(at)),
        }
    }

    /// Like [`Members::get`], with `null` read as absent.
    #[inline]
    pub fn present(&self, n: usize) -> Option<Value<'a>> {
        self.get(n).filter(|v| !v.is_null())
    }

    /// The string of the `n`th name; `None` when absent, `null` or not a string.
    #[inline]
    pub fn str(&self, n: usize) -> Option<Str<'a>> {
        self.get(n)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;
    use proptest::prelude::*;

    const KEYS: [&str; 9] = [
        "a",
        "",
        "type",
        "role",
        "created",
        "reasoning",
        "reasoning_content",
        "reasoning_text",
        "ab",
    ];
    static NAMES: Names<9> = Names::new(KEYS);

    proptest! {
        #[test]
        fn members_are_those_that_get_finds(
            keys in prop::collection::vec(prop_oneof![
                prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned),
                "[a-c]{0,3}|reasonin.{0,9}|t[xy]pe|\\\\u0061|\\\\u0074ype|\\\\u0000|a\\\\u0000",
            ], 0..8),
            tail in prop::sample::select(vec!["", "          "]),
        ) {
            let members: Vec<String> =
                keys.iter().enumerate().map(|(n, key)| format!("\"{}\":[{n}]", key.replace('"', ""))).collect();
            let document = format!("{{{}}}{tail}", members.join(","));
            let mut tape = Tape::new();
            let Ok(object) = tape.parse(document.as_bytes()) else {
                // A control character, or half an escape.
                return Ok(());
            };
            let found = Members::of(object, &NAMES);
            for (n, key) in KEYS.into_iter().enumerate() {
                let (ours, theirs) = (found.get(n), object.get(key));
                prop_assert_eq!(ours.map(|v| v.span()), theirs.map(|v| v.span()), "{} in {}", key, document);
            }
        }
    }

    #[test]
    fn other_kinds_have_no_members() {
        for document in ["[1,2]", "\"a\"", "7", "null", "[{\"a\":1}]"] {
            let mut tape = Tape::new();
            let value = tape.parse(document.as_bytes()).unwrap();
            let found = Members::of(value, &NAMES);
            assert!((0..KEYS.len()).all(|n| found.get(n).is_none()));
        }
    }
}
