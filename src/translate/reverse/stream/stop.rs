//! Stop sequences, applied to the text on its way.

use std::collections::VecDeque;

/// Cuts a text before the first stop sequence, whatever its segmentation: what may be the
/// beginning of one is held back.
#[derive(Debug, Default)]
pub(super) struct Stops {
    sequences: Vec<String>,
    held: String,
    /// The log probabilities of the tokens that begin in `held`, with the offset at which each
    /// begins there.
    probs: VecDeque<(usize, Vec<u8>)>,
}

/// What a piece of text led to.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Passed {
    /// What may go out.
    pub text: String,
    /// The entries of the tokens that begin in it, separated by commas.
    pub probs: Vec<u8>,
    /// A stop sequence came: nothing more may go out.
    pub stopped: bool,
}

impl Stops {
    pub fn new(sequences: Vec<String>) -> Self {
        Stops {
            sequences: sequences.into_iter().filter(|s| !s.is_empty()).collect(),
            ..Stops::default()
        }
    }

    /// Whether there is anything to look for.
    pub fn is_active(&self) -> bool {
        !self.sequences.is_empty()
    }

    /// Whether some text is held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next text, with the lengths of its tokens and their entries.
    pub fn push(&mut self, text: &str, tokens: impl Iterator<Item = (usize, Vec<u8>)>) -> Passed {
        let mut at = self.held.len();
        for (len, entry) in tokens {
            self.probs.push_back((at, entry));
            at += len;
        }
        self.held.push_str(text);
        match self.first() {
            Some(cut) => {
                let passed = self.take(cut);
                self.held.clear();
                self.probs.clear();
                Passed {
                    stopped: true,
                    ..passed
                }
            }
            None => self.take(self.held.len() - self.possible()),
        }
    }

    /// What is held back goes out after all, since other things follow it.
    pub fn flush(&mut self) -> Passed {
        self.take(self.held.len())
    }

    /// Where the sequence begins that is complete first; the longest of those that end together.
    fn first(&self) -> Option<usize> {
        let found = self.sequences.iter().filter_map(|s| {
            let start = self.held.find(s.as_str())?;
            Some((start + s.len(), start))
        });
        found.min().map(|(_, start)| start)
    }

    /// Length of the longest end of the text that may be the beginning of a sequence.
    fn possible(&self) -> usize {
        let longest = |sequence: &String| {
            let most = self.held.len().min(sequence.len() - 1);
            (1..=most).rev().find(|len| {
                let (end, start) = (self.held.as_bytes(), sequence.as_bytes());
                end[end.len() - len..] == start[..*len]
            })
        };
        self.sequences.iter().filter_map(longest).max().unwrap_or(0)
    }

    fn take(&mut self, len: usize) -> Passed {
        let mut passed = Passed::default();
        let rest = self.held.split_off(len);
        passed.text = std::mem::replace(&mut self.held, rest);
        while self.probs.front().is_some_and(|(at, _)| *at < len) {
            if let Some((_, entry)) = self.probs.pop_front() {
                if !passed.probs.is_empty() {
                    passed.probs.push(b',');
                }
                passed.probs.extend_from_slice(&entry);
            }
        }
        for (at, _) in &mut self.probs {
            *at -= len;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut machine = Stops::new(stops.iter().map(|s| s.to_string()).collect());
        let mut text = String::new();
        for piece in pieces {
            let passed = machine.push(piece, std::iter::empty());
            text.push_str(&passed.text);
            if passed.stopped {
                return (text, true);
            }
        }
        text.push_str(&machine.flush().text);
        (text, false)
    }

    #[test]
    fn cuts_before_the_first_across_pieces() {
        assert_eq!(run(&["STOP"], &["a ST", "OP b"]), ("a ".into(), true));
        assert_eq!(run(&["STOP"], &["a ST", "AY"]), ("a STAY".into(), false));
        assert_eq!(run(&["abc", "b"], &["abc"]), ("a".into(), true));
        assert_eq!(run(&["ab", "b"], &["xab"]), ("x".into(), true));
        assert_eq!(run(&["éa"], &["é", "é", "a"]), ("é".into(), true));
        assert_eq!(run(&["aab"], &["aaa", "b"]), ("a".into(), true));
        assert_eq!(run(&["\n\n"], &["x\n"]), ("x\n".into(), false));
    }

    #[test]
    fn tokens_go_with_their_text() {
        let mut machine = Stops::new(vec!["END".into()]);
        let passed = machine.push("xE", [(1, b"1".to_vec()), (1, b"2".to_vec())].into_iter());
        assert_eq!((&*passed.text, &passed.probs[..]), ("x", &b"1"[..]));
        let passed = machine.push("y", [(1, b"3".to_vec())].into_iter());
        assert_eq!((&*passed.text, &passed.probs[..]), ("Ey", &b"2,3"[..]));
        let passed = machine.push("zEND", [(1, b"4".to_vec()), (3, b"5".to_vec())].into_iter());
        assert_eq!((&*passed.text, &passed.probs[..]), ("z", &b"4"[..]));
        assert!(passed.stopped);
    }

    /// The text up to the sequence that is complete first, found one character at a time.
    fn naive(stops: &[String], text: &str) -> (String, bool) {
        for (at, c) in text.char_indices() {
            let seen = &text[..at + c.len_utf8()];
            let ends = stops.iter().filter(|s| !s.is_empty() && seen.ends_with(*s));
            if let Some(longest) = ends.map(|s| s.len()).max() {
                return (seen[..seen.len() - longest].to_owned(), true);
            }
        }
        (text.to_owned(), false)
    }

    proptest! {
        #[test]
        fn segmentation_does_not_matter(
            stops in prop::collection::vec("[aéb]{0,3}", 0..4),
            pieces in prop::collection::vec("[aébc]{0,4}", 0..6),
        ) {
            let refs: Vec<&str> = stops.iter().map(|s| s.as_str()).collect();
            let pieces: Vec<&str> = pieces.iter().map(|s| s.as_str()).collect();
            prop_assert_eq!(run(&refs, &pieces), naive(&stops, &pieces.concat()));
        }
    }
}
