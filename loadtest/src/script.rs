//! What the provider says: the flags, and the text that follows from them.
//!
//! The provider and the load generator derive the same bytes from the same flags, so every byte
//! of an answer can be checked. Each answer also begins with the eight hexadecimal digits of the
//! request that asked for it: an answer that reaches the wrong client is noticed.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// How many different texts there are; a request's number picks one.
pub const VARIANTS: usize = 8;

/// Stands in prepared bytes where an answer's own number goes.
pub const HOLE: &[u8; 8] = b"@@HOLE@@";

/// What goes before the number in a request.
pub const MARK: &str = "straitload-";

/// The characters that texts are made of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// Letters and spaces.
    Ascii,
    /// Also quotes, backslashes, line ends, and characters of two, three and four bytes.
    Mixed,
}

/// The script of an answer.
#[derive(Args, Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Text deltas per answer.
    #[arg(long, default_value_t = 100)]
    pub deltas: usize,
    /// Bytes of text per delta.
    #[arg(long, default_value_t = 40)]
    pub delta_bytes: usize,
    /// Reasoning deltas before the text.
    #[arg(long, default_value_t = 0)]
    pub reasoning: usize,
    /// Fragments of a tool call's arguments after the text; 0: no call.
    #[arg(long, default_value_t = 0)]
    pub tool_deltas: usize,
    /// The characters of the text.
    #[arg(long, value_enum, default_value_t = Alphabet::Mixed)]
    pub alphabet: Alphabet,
    /// Milliseconds before the first delta.
    #[arg(long, default_value_t = 0.0)]
    pub first_ms: f64,
    /// Milliseconds between writes; 0: flat out.
    #[arg(long, default_value_t = 0.0)]
    pub interval_ms: f64,
    /// Random share of the interval, earlier or later: 0.0 to 1.0.
    #[arg(long, default_value_t = 0.0)]
    pub jitter: f64,
    /// The second and all further writes of all answers at the same moments, an interval apart, as
    /// an engine sends that decodes its streams in one batch.
    #[arg(long, default_value_t = false)]
    pub in_step: bool,
    /// Deltas per write; 0: one when paced, sixteen flat out.
    #[arg(long, default_value_t = 0)]
    pub burst: usize,
    /// Share of the answers that stop half-way for --stall-ms.
    #[arg(long, default_value_t = 0.0)]
    pub stall_rate: f64,
    /// How long a stall lasts, in milliseconds.
    #[arg(long, default_value_t = 1000.0)]
    pub stall_ms: f64,
    /// Share of the requests answered with --error-status.
    #[arg(long, default_value_t = 0.0)]
    pub error_rate: f64,
    /// The status of such an answer.
    #[arg(long, default_value_t = 429)]
    pub error_status: u16,
    /// Share of the streams cut off half-way by a reset.
    #[arg(long, default_value_t = 0.0)]
    pub cut_rate: f64,
    /// Share of the streams in which one byte of one delta is wrong.
    #[arg(long, default_value_t = 0.0)]
    pub corrupt_rate: f64,
    /// Share of the streams in which one delta is missing.
    #[arg(long, default_value_t = 0.0)]
    pub drop_rate: f64,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            deltas: 100,
            delta_bytes: 40,
            reasoning: 0,
            tool_deltas: 0,
            alphabet: Alphabet::Mixed,
            first_ms: 0.0,
            interval_ms: 0.0,
            jitter: 0.0,
            in_step: false,
            burst: 0,
            stall_rate: 0.0,
            stall_ms: 1000.0,
            error_rate: 0.0,
            error_status: 429,
            cut_rate: 0.0,
            corrupt_rate: 0.0,
            drop_rate: 0.0,
        }
    }
}

impl Script {
    /// Says what is wrong with the numbers, if anything is.
    pub fn check(&self) -> Result<(), String> {
        let steps = self.steps();
        if steps == 0 {
            return Err("an answer needs at least one delta".into());
        }
        if steps > 1_000_000 || self.delta_bytes > 1 << 20 || steps * self.delta_bytes > 1 << 28 {
            return Err("an answer may have 1,000,000 deltas and 256 MiB at most".into());
        }
        if self.delta_bytes < 12 {
            return Err("--delta-bytes must be 12 or more: the first holds a number".into());
        }
        if !(100..=599).contains(&self.error_status) {
            return Err("--error-status must be an HTTP status".into());
        }
        let times = [self.first_ms, self.interval_ms, self.stall_ms];
        if times.iter().any(|t| !t.is_finite() || *t < 0.0) {
            return Err("times must not be negative".into());
        }
        let rates = [
            self.jitter,
            self.stall_rate,
            self.error_rate,
            self.cut_rate,
            self.corrupt_rate,
            self.drop_rate,
        ];
        if rates.iter().any(|r| !(0.0..=1.0).contains(r)) {
            return Err("rates and jitter must be between 0 and 1".into());
        }
        Ok(())
    }

    /// Deltas of all kinds.
    pub fn steps(&self) -> usize {
        self.reasoning + self.deltas + self.tool_deltas
    }

    /// Deltas per write.
    pub fn burst(&self) -> usize {
        match self.burst {
            0 if self.interval_ms > 0.0 => 1,
            0 => 16,
            n => n,
        }
    }

    /// How long an undisturbed answer takes, in seconds.
    pub fn seconds(&self) -> f64 {
        let writes = self.steps().div_ceil(self.burst());
        (self.first_ms + self.interval_ms * writes.saturating_sub(1) as f64) / 1e3
    }

    /// True when the time of every delta is known beforehand.
    pub fn is_steady(&self) -> bool {
        self.interval_ms > 0.0 && self.jitter == 0.0 && self.stall_rate == 0.0 && !self.in_step
    }
}

/// A small generator of random numbers (xorshift64*), the same on both sides.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that follows from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in `rate` of the calls.
    pub fn happens(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.unit() < rate
    }
}

/// The texts of one variant, delta by delta; `HOLE` stands for the request's number.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Reasoning.
    pub reasoning: Vec<String>,
    /// The answer's text.
    pub text: Vec<String>,
    /// The tool call's arguments: together they are JSON.
    pub arguments: Vec<String>,
}

impl Texts {
    /// The texts of variant `variant` of `script`.
    pub fn new(script: &Script, variant: usize) -> Texts {
        let mut random = Random::new(variant as u64 + 1);
        let mut pieces = |count: usize, marked: bool| -> Vec<String> {
            (0..count)
                .map(|i| {
                    let mut text = String::new();
                    if marked && i == 0 {
                        text.push_str(std::str::from_utf8(HOLE).expect("ASCII"));
                    }
                    fill(&mut text, script, i, &mut random);
                    text
                })
                .collect()
        };
        let reasoning = pieces(script.reasoning, false);
        let text = pieces(script.deltas, true);
        Texts {
            reasoning,
            text,
            arguments: arguments(script, &mut random),
        }
    }
}

/// Fills `text` up to `script.delta_bytes`; what is added begins with a space.
fn fill(text: &mut String, script: &Script, index: usize, random: &mut Random) {
    text.push(' ');
    if script.alphabet == Alphabet::Mixed && index % 12 == 5 {
        let odd = ["\"q\"", "a\\b", "\n", "é", "漢", "😀", "\t"];
        text.push_str(odd[(random.next_u64() % odd.len() as u64) as usize]);
    }
    while text.len() < script.delta_bytes {
        let n = random.next_u64() % 32;
        text.push(if n < 26 {
            (b'a' + n as u8) as char
        } else {
            ' '
        });
    }
}

fn arguments(script: &Script, random: &mut Random) -> Vec<String> {
    if script.tool_deltas == 0 {
        return Vec::new();
    }
    let hole = std::str::from_utf8(HOLE).expect("ASCII");
    let mut whole = format!("{{\"id\":\"{hole}\",\"text\":\"");
    let size = (script.tool_deltas * script.delta_bytes).max(whole.len() + 2);
    while whole.len() < size - 2 {
        whole.push((b'a' + (random.next_u64() % 26) as u8) as char);
    }
    whole.push_str("\"}");
    let piece = whole.len().div_ceil(script.tool_deltas);
    // The number must not be torn: the first piece reaches beyond it.
    let first = piece.max(7 + hole.len());
    let mut pieces = vec![whole[..first].to_owned()];
    let rest = &whole[first..];
    let left = script.tool_deltas - 1;
    if left == 0 {
        pieces[0].push_str(rest);
    }
    for i in 0..left {
        let at = |n: usize| rest.len() * n / left;
        pieces.push(rest[at(i)..at(i + 1)].to_owned());
    }
    pieces
}

/// Prepared bytes with holes for a request's number.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    /// The bytes; each hole is filled with `HOLE`.
    pub bytes: Vec<u8>,
    /// Where the holes begin, in order.
    pub holes: Vec<usize>,
}

impl Pattern {
    /// Finds the holes in `bytes`.
    pub fn new(bytes: Vec<u8>) -> Pattern {
        let holes = memchr::memmem::find_iter(&bytes, HOLE).collect();
        Pattern { bytes, holes }
    }

    /// True when `part` is what stands at `at`, with `id` in the holes.
    pub fn matches(&self, at: usize, part: &[u8], id: &[u8; 8]) -> bool {
        self.agrees(at, part, id) == part.len()
    }

    /// How many bytes of `part` are what stands at `at`, with `id` in the holes.
    pub fn agrees(&self, at: usize, part: &[u8], id: &[u8; 8]) -> usize {
        let end = self.bytes.len().min(at + part.len());
        let mut done = at;
        let first = self.holes.partition_point(|h| h + HOLE.len() <= at);
        for &hole in self.holes[first..].iter().take_while(|h| **h < end) {
            let from = hole.max(done);
            let until = (hole + HOLE.len()).min(end);
            let plain = same(&self.bytes[done..from], &part[done - at..]);
            if plain < from - done {
                return done - at + plain;
            }
            let number = same(&id[from - hole..until - hole], &part[from - at..]);
            if number < until - from {
                return from - at + number;
            }
            done = until;
        }
        if done >= end {
            return end.saturating_sub(at);
        }
        done - at + same(&self.bytes[done..end], &part[done - at..])
    }

    /// Appends the bytes of `range` to `out`, with `id` in the holes.
    pub fn copy(&self, range: std::ops::Range<usize>, id: &[u8; 8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes[range.clone()]);
        for &hole in &self.holes {
            for (i, digit) in id.iter().enumerate() {
                if range.contains(&(hole + i)) {
                    out[start + hole + i - range.start] = *digit;
                }
            }
        }
    }

    /// True when a hole lies in `range`.
    pub fn has_hole(&self, range: &std::ops::Range<usize>) -> bool {
        let first = self
            .holes
            .partition_point(|h| h + HOLE.len() <= range.start);
        self.holes.get(first).is_some_and(|h| *h < range.end)
    }
}

/// How many leading bytes of `expected` are those of `actual`.
fn same(expected: &[u8], actual: &[u8]) -> usize {
    let n = expected.len().min(actual.len());
    if expected[..n] == actual[..n] {
        return n;
    }
    expected
        .iter()
        .zip(actual)
        .take_while(|(a, b)| a == b)
        .count()
}

/// The number of a request as it is written.
pub fn digits(number: u32) -> [u8; 8] {
    let mut out = [0; 8];
    for (i, digit) in out.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (28 - 4 * i) & 15) as usize];
    }
    out
}

/// The variant that the number picks.
pub fn variant(id: &[u8; 8]) -> usize {
    id.iter().fold(0, |sum, b| sum + *b as usize) % VARIANTS
}

/// The number that follows the mark in a request, or zeros.
pub fn find_id(body: &[u8]) -> [u8; 8] {
    memchr::memmem::find(body, MARK.as_bytes())
        .and_then(|at| body.get(at + MARK.len()..at + MARK.len() + 8))
        .and_then(|id| id.try_into().ok())
        .filter(|id: &[u8; 8]| id.iter().all(u8::is_ascii_hexdigit))
        .unwrap_or(*b"00000000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_sizes() {
        let script = Script {
            deltas: 30,
            reasoning: 3,
            tool_deltas: 4,
            ..Script::default()
        };
        for v in 0..VARIANTS {
            let texts = Texts::new(&script, v);
            assert_eq!(texts.text.len(), 30);
            assert!(texts.text.iter().all(|t| (40..=44).contains(&t.len())));
            assert_eq!(texts.arguments.len(), 4);
            let json: serde_json::Value = serde_json::from_str(&texts.arguments.concat()).unwrap();
            assert_eq!(json["id"], "@@HOLE@@");
        }
        assert_ne!(Texts::new(&script, 0).text, Texts::new(&script, 1).text);
    }

    #[test]
    fn one_fragment_and_many_make_the_same_kind_of_arguments() {
        for n in [1, 2, 3, 17, 100] {
            let script = Script {
                tool_deltas: n,
                delta_bytes: 12,
                ..Script::default()
            };
            let pieces = Texts::new(&script, 0).arguments;
            assert_eq!(pieces.len(), n);
            assert!(serde_json::from_str::<serde_json::Value>(&pieces.concat()).is_ok());
            assert!(pieces[0].contains("@@HOLE@@"));
        }
    }

    #[test]
    fn a_pattern_agrees_byte_for_byte() {
        let pattern = Pattern::new(b"ab@@HOLE@@cd@@HOLE@@".to_vec());
        let id = b"01234567";
        let full = b"ab01234567cd01234567";
        for from in 0..full.len() {
            for to in from..=full.len() {
                assert!(pattern.matches(from, &full[from..to], id), "{from}..{to}");
                let mut out = Vec::new();
                pattern.copy(from..to, id, &mut out);
                assert_eq!(out, &full[from..to]);
                for wrong in from..to {
                    let mut bad = full[from..to].to_vec();
                    bad[wrong - from] ^= 1;
                    assert_eq!(pattern.agrees(from, &bad, id), wrong - from);
                }
            }
        }
        assert_eq!(pattern.agrees(18, b"67+", id), 2);
        assert_eq!(pattern.agrees(20, b"+", id), 0);
    }

    #[test]
    fn a_number_is_found_in_a_request() {
        assert_eq!(&digits(0xdead_beef), b"deadbeef");
        assert_eq!(&find_id(b"{\"x\":\"straitload-deadbeef go\"}"), b"deadbeef");
        assert_eq!(&find_id(b"straitload-dead"), b"00000000");
        assert_eq!(&find_id(b""), b"00000000");
    }
}
