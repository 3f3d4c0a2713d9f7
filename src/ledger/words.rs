//! The words of a text, for the search: the same in every database.
//!
//! A word is a run of letters and digits, in lower case, cut after `WORD_BYTES_MAX`; of scripts
//! that put no spaces between words, each sign is one. A search finds what has, for each of its
//! words, one that begins with it.

use std::ops::Range;

/// A longer word is found by its begin.
const WORD_BYTES_MAX: usize = 40;
/// So many are gathered before they are first put in order.
const GATHERED_MIN: usize = 64;

/// Different words, up to a limit.
#[derive(Debug, Default)]
pub struct Words {
    /// The words one after the other, and where each of them stands.
    text: String,
    words: Vec<Range<usize>>,
    /// So many of them are different and in order; the others may be anything.
    tidy: usize,
}

impl Words {
    /// Adds the words of a text, as long as there are fewer than `max`.
    pub fn add(&mut self, text: &str, max: usize) {
        match text.is_ascii() {
            true => each_ascii(text, |word| self.insert(word, max)),
            false => each(text.chars(), |word| self.insert(word, max)),
        }
    }

    /// Adds the words of a text with JSON in it: escapes are what they stand for.
    pub fn add_json(&mut self, text: &str, max: usize) {
        each(Unescaped(text.chars()), |word| self.insert(word, max));
    }

    fn insert(&mut self, word: &str, max: usize) -> bool {
        // Twice as many as were different: each is put in order a few times only.
        if self.words.len() >= max.min(GATHERED_MIN.max(2 * self.tidy)) {
            self.sort();
        }
        if self.words.len() >= max {
            return false;
        }
        let from = self.text.len();
        self.text.push_str(word);
        self.words.push(from..self.text.len());
        true
    }

    fn sort(&mut self) {
        let text = &self.text;
        self.words
            .sort_unstable_by(|a, b| text[a.clone()].cmp(&text[b.clone()]));
        self.words
            .dedup_by(|a, b| text[a.clone()] == text[b.clone()]);
        self.tidy = self.words.len();
    }

    /// All of them, in order.
    fn all(&mut self) -> impl Iterator<Item = &str> {
        self.sort();
        self.words.iter().map(|at| &self.text[at.clone()])
    }

    /// All of them, in order, with spaces between.
    pub fn joined(mut self) -> String {
        let mut joined = String::with_capacity(self.text.len() + self.words.len());
        for word in self.all() {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(word);
        }
        joined
    }
}

/// The words that somebody looks for; none: everything is found.
pub fn wanted(text: &str, max: usize) -> Vec<String> {
    let mut words = Words::default();
    words.add(text, max);
    words.all().map(str::to_owned).collect()
}

/// As [`each`] does with a text of ASCII.
fn each_ascii(text: &str, mut take: impl FnMut(&str) -> bool) {
    let mut lower = [0; WORD_BYTES_MAX];
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let kept = word.len().min(WORD_BYTES_MAX);
        let lower = &mut lower[..kept];
        lower.copy_from_slice(&word.as_bytes()[..kept]);
        lower.make_ascii_lowercase();
        if kept > 0 && !take(std::str::from_utf8(lower).unwrap_or_default()) {
            return;
        }
    }
}

/// Hands every word to `take`, until that wants no more.
fn each(chars: impl Iterator<Item = char>, mut take: impl FnMut(&str) -> bool) {
    let mut word = String::new();
    let mut cut = false;
    for c in chars.chain([' ']) {
        let alone = is_alone(c);
        if c.is_alphanumeric() && !alone {
            for lower in c.to_lowercase() {
                cut |= word.len() + lower.len_utf8() > WORD_BYTES_MAX;
                if !cut {
                    word.push(lower);
                }
            }
            continue;
        }
        if !word.is_empty() {
            if !take(&word) {
                return;
            }
            word.clear();
        }
        cut = false;
        if alone && !take(c.encode_utf8(&mut [0; 4])) {
            return;
        }
    }
}

/// Signs of scripts without spaces: Han, kana, and Thai's neighbours are left to their runs.
fn is_alone(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
        && c.is_alphanumeric()
}

/// The characters that a JSON text stands for; what is no escape stays.
struct Unescaped<'a>(std::str::Chars<'a>);

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = self.0.next()?;
        if c != '\\' {
            return Some(c);
        }
        match self.0.clone().next() {
            Some('n' | 't' | 'r' | 'b' | 'f' | '"' | '\\' | '/') => {
                self.0.next();
                Some(' ')
            }
            Some('u') => {
                let digits = self.0.as_str().get(1..5);
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                match code {
                    // Half of a pair is no letter of any word.
                    Some(code) => {
                        self.0.nth(4);
                        Some(char::from_u32(code).unwrap_or(' '))
                    }
                    None => Some(c),
                }
            }
            _ => Some(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let mut words = Words::default();
        words.add_json(text, 100);
        words.joined()
    }

    #[test]
    fn words_are_runs_in_lower_case() {
        for (text, words) in [
            ("GPT-5.6 Straße, gpt", vec!["5", "6", "gpt", "straße"]),
            ("  \"; DROP--\0", vec!["drop"]),
            ("数据库 ok", vec!["ok", "库", "据", "数"]),
            ("İ", vec!["i\u{307}"]),
            ("", vec![]),
        ] {
            assert_eq!(wanted(text, 100), words, "{text:?}");
        }
        let long = "ab".repeat(100);
        assert_eq!(wanted(&long, 100), [&long[..WORD_BYTES_MAX]]);
        assert_eq!(wanted("a b c d", 2).len(), 2);
    }

    #[test]
    fn a_text_of_ascii_is_no_exception() {
        let gather = |text: &str, chars: bool| {
            let (mut all, max) = (Vec::new(), 7);
            let take = |word: &str| {
                all.push(word.to_owned());
                all.len() < max
            };
            match chars {
                true => each(text.chars(), take),
                false => each_ascii(text, take),
            }
            all
        };
        let long = format!("x {}A-b", "Yz".repeat(30));
        for text in ["", " ", "a", "A b", "--a_B9--", "a b c d e f g h i", &long] {
            assert_eq!(gather(text, false), gather(text, true), "{text:?}");
        }
    }

    #[test]
    fn a_word_counts_once_however_often_it_comes() {
        let mut words = Words::default();
        for n in 0..10_000 {
            words.add(&format!("w{} Again", n % 300), 301);
        }
        let joined = words.joined();
        let expected: std::collections::BTreeSet<_> = (0..300).map(|n| format!("w{n}")).collect();
        assert_eq!(joined.split(' ').count(), 301);
        assert!(joined.split(' ').skip(1).eq(expected.iter()));
        let mut few = Words::default();
        few.add(&joined, 10);
        few.add("more", 10);
        assert_eq!(few.joined().split(' ').count(), 10);
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        assert_eq!(json(r#""one\ntwo\"three""#), "one three two");
        assert_eq!(json(r"Stra\u00dfe"), "straße");
        for odd in [
            r"\",
            r"\u",
            r"\u12",
            r"\ud83d\ude00",
            r"\uzzzz",
            "\\u\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            json(odd);
        }
    }
}
