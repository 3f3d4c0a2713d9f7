//! `<think>` tags inside content, split anywhere (some servers have no field for reasoning).

/// Where the text stands in relation to the tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Tags are not looked for, or the reasoning is over.
    Off,
    /// At the start of the answer, where `<think>` may stand.
    Start,
    /// Inside.
    Inside,
    /// Behind `</think>`, where line ends are dropped.
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
}

const OPEN: &[u8] = b"<think>";
const CLOSE: &[u8] = b"</think>";

impl Think {
    pub(super) fn new(enabled: bool) -> Self {
        Think {
            state: if enabled { State::Start } else { State::Off },
            held: Vec::new(),
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
                State::Start => {
                    let begin = skip_space(rest);
                    if rest[begin..].starts_with(OPEN) {
                        rest = &rest[begin + OPEN.len()..];
                        self.state = State::Inside;
                    } else if OPEN.starts_with(&rest[begin..]) || rest[begin..] == *b"\\" {
                        self.held = rest.to_vec();
                        return;
                    } else {
                        self.state = State::Off;
                    }
                }
                State::Inside => match memchr::memmem::find(rest, CLOSE) {
                    Some(at) => {
                        if at > 0 {
                            say(Said::Reasoning, &rest[..at]);
                        }
                        rest = &rest[at + CLOSE.len()..];
                        self.state = State::Behind;
                    }
                    None => {
                        let keep = (1..CLOSE.len().min(rest.len() + 1))
                            .rev()
                            .find(|n| rest.ends_with(&CLOSE[..*n]))
                            .unwrap_or(0);
                        let (now, later) = rest.split_at(rest.len() - keep);
                        if !now.is_empty() {
                            say(Said::Reasoning, now);
                        }
                        self.held = later.to_vec();
                        return;
                    }
                },
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
        let said = if self.state == State::Inside {
            Said::Reasoning
        } else {
            Said::Text
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
