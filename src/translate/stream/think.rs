//! Tags around reasoning inside content, split anywhere (some servers have no field for it).

/// Where the text stands in relation to the tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Tags are not looked for, or the reasoning is over.
    Off,
    /// At the start of the answer, where a tag may stand.
    Start,
    /// At the start of an answer whose first tag stands in the prompt, but may be repeated.
    Prefilled,
    /// Inside the tag of that number.
    Inside(usize),
    /// Behind the closing tag, where line ends are dropped.
    Behind,
}

/// A piece of content, told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Said {
    Reasoning,
    Text,
}

/// Tells reasoning and text apart, on escaped JSON text.
#[derive(Debug)]
pub(super) struct Think {
    state: State,
    held: Vec<u8>,
    /// Opening and closing tags.
    tags: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Think {
    /// Looks for these tags (names only), if any. `prefilled`: the first one is open already.
    pub(super) fn new(tags: &[String], prefilled: bool) -> Self {
        let state = match (tags.is_empty(), prefilled) {
            (true, _) => State::Off,
            (_, true) => State::Prefilled,
            _ => State::Start,
        };
        let pair = |tag: &String| {
            (
                format!("<{tag}>").into_bytes(),
                format!("</{tag}>").into_bytes(),
            )
        };
        Think {
            state,
            held: Vec::new(),
            tags: tags.iter().map(pair).collect(),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.state == State::Off
    }

    /// Takes the next content; calls `say` with each piece in order.
    pub(super) fn feed(&mut self, content: &[u8], mut say: impl FnMut(Said, &[u8])) {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(content);
        let mut rest = &text[..];
        loop {
            match self.state {
                State::Off => {
                    if !rest.is_empty() {
                        say(Said::Text, rest);
                    }
                    return;
                }
                State::Start | State::Prefilled => {
                    let begin = skip_space(rest);
                    let opens = |(open, _): &(Vec<u8>, Vec<u8>)| rest[begin..].starts_with(open);
                    let may = |(open, _): &(Vec<u8>, Vec<u8>)| open.starts_with(&rest[begin..]);
                    if let Some(tag) = self.tags.iter().position(opens) {
                        rest = &rest[begin + self.tags[tag].0.len()..];
                        self.state = State::Inside(tag);
                    } else if self.tags.iter().any(may) || rest[begin..] == *b"\\" {
                        self.held = rest.to_vec();
                        return;
                    } else if self.state == State::Prefilled {
                        self.state = State::Inside(0);
                    } else {
                        self.state = State::Off;
                    }
                }
                State::Inside(tag) => {
                    let close = &self.tags[tag].1;
                    if let Some(at) = memchr::memmem::find(rest, close) {
                        if at > 0 {
                            say(Said::Reasoning, &rest[..at]);
                        }
                        rest = &rest[at + close.len()..];
                        self.state = State::Behind;
                        continue;
                    }
                    let keep = (1..close.len().min(rest.len() + 1))
                        .rev()
                        .find(|n| rest.ends_with(&close[..*n]))
                        .unwrap_or(0);
                    let (now, later) = rest.split_at(rest.len() - keep);
                    if !now.is_empty() {
                        say(Said::Reasoning, now);
                    }
                    self.held = later.to_vec();
                    return;
                }
                State::Behind => {
                    while let Some(tail) = rest.strip_prefix(b"\\n") {
                        rest = tail;
                    }
                    if rest.is_empty() {
                        return;
                    }
                    self.state = State::Off;
                }
            }
        }
    }

    /// The answer is over: what was held back is what it seemed to be.
    pub(super) fn finish(&mut self) -> Option<(Said, Vec<u8>)> {
        let held = std::mem::take(&mut self.held);
        let said = match self.state {
            State::Inside(_) => Said::Reasoning,
            _ => Said::Text,
        };
        (!held.is_empty()).then_some((said, held))
    }
}

/// Length of the white space (also escaped) at the start.
fn skip_space(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &text[at..] {
            [b' ', ..] => at += 1,
            [b'\\', b'n' | b'r' | b't', ..] => at += 2,
            _ => return at,
        }
    }
}

/// Whether escaped JSON text is only white space.
pub(super) fn is_space(text: &[u8]) -> bool {
    skip_space(text) == text.len()
}
