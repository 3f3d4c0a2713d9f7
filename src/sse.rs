//! Server-sent events, frame by frame, whatever the segmentation (WHATWG HTML, section 9.2).

use crate::limits;

/// One frame: the event's name and its data lines joined by LF.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// The `event` field; empty where there was none.
    pub event: &'a [u8],
    /// The `data` fields.
    pub data: &'a [u8],
}

/// Why [`Frames::feed`] stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FeedError<E> {
    /// The callback's own error.
    Frame(E),
    /// A frame is longer than [`limits::FRAME_BYTES_MAX`].
    TooLarge,
}

/// Finds the frames of a stream. Comments, `id`, `retry` and unknown fields are skipped; frames
/// without data are not reported. A line that lies whole in one read is not copied unless its
/// frame has several data lines or does not end in that read.
#[derive(Debug, Default)]
pub struct Frames {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    event: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
    begun: bool,
}

impl Frames {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it stands between two frames, behind the first.
    pub fn idle(&self) -> bool {
        self.begun
            && self.line.is_empty()
            && self.event.is_empty()
            && !self.has_data
            && !self.after_cr
    }

    /// Takes the next bytes; calls `on` for every frame that is complete.
    pub fn feed<E>(
        &mut self,
        input: &[u8],
        mut on: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), FeedError<E>> {
        let mut rest = input;
        // The data line of the current frame, while it still lies in `input`.
        let mut pending: Option<&[u8]> = None;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.keep(pending.take());
                self.line.extend_from_slice(rest);
                return self.check();
            };
            let (line, tail) = rest.split_at(end);
            self.after_cr = tail[0] == b'\r';
            rest = &tail[1..];
            if self.line.is_empty() {
                self.line(line, &mut pending, &mut on)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                let mut held = pending.take();
                self.keep(held.take());
                let mut own = None;
                let result = self.line(&whole, &mut own, &mut on);
                self.keep(own);
                whole.clear();
                self.line = whole;
                result?;
            }
        }
        self.keep(pending);
        self.check()
    }

    /// The stream has ended: a last frame without its blank line counts, since some servers
    /// leave it out.
    pub fn finish<E>(
        &mut self,
        mut on: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), FeedError<E>> {
        if !self.line.is_empty() {
            self.feed(b"\n", &mut on)?;
        }
        self.dispatch(None, &mut on)
    }

    fn line<'a, E>(
        &mut self,
        line: &'a [u8],
        pending: &mut Option<&'a [u8]>,
        on: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), FeedError<E>> {
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            true => line,
        };
        if line.is_empty() {
            return self.dispatch(pending.take(), on);
        }
        if let Some(value) = field(line, b"data") {
            if pending.is_some() || self.has_data {
                self.keep(pending.take());
                self.keep(Some(value));
            } else {
                *pending = Some(value);
            }
        } else if let Some(value) = field(line, b"event") {
            self.event.clear();
            self.event.extend_from_slice(value);
        }
        self.check()
    }

    fn dispatch<E>(
        &mut self,
        pending: Option<&[u8]>,
        on: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), FeedError<E>> {
        let result = match pending {
            Some(data) => on(Frame {
                event: &self.event,
                data,
            }),
            None if self.has_data => on(Frame {
                event: &self.event,
                data: &self.data,
            }),
            None => Ok(()),
        };
        self.event.clear();
        self.data.clear();
        self.has_data = false;
        result.map_err(FeedError::Frame)
    }

    /// Copies a data line that outlives its read.
    fn keep(&mut self, data: Option<&[u8]>) {
        let Some(data) = data else { return };
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(data);
    }

    fn check<E>(&self) -> Result<(), FeedError<E>> {
        let held = self.line.len() + self.data.len() + self.event.len();
        if held > limits::FRAME_BYTES_MAX {
            Err(FeedError::TooLarge)
        } else {
            Ok(())
        }
    }
}

/// The value of the field `name` on this line, one leading space removed.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.split_first() {
        None => Some(b""),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Seen = Vec<(Vec<u8>, Vec<u8>)>;

    fn run(pieces: &[&[u8]]) -> Seen {
        let (mut frames, mut seen) = (Frames::new(), Vec::new());
        let mut on = |f: Frame<'_>| -> Result<(), ()> {
            seen.push((f.event.to_vec(), f.data.to_vec()));
            Ok(())
        };
        for piece in pieces {
            frames.feed(piece, &mut on).unwrap();
        }
        frames.finish(&mut on).unwrap();
        seen
    }

    const STREAM: &[u8] = b"\xef\xbb\xbfdata: a\n\n: ping\n\nevent: e\r\ndata:b\r\ndata: c\r\n\r\nid: 1\rdata\r\rdatax: no\n\nevent: only\n\ndata:  two\n\ndata: last";

    fn expected() -> Seen {
        [
            ("", "a"),
            ("e", "b\nc"),
            ("", ""),
            ("", " two"),
            ("", "last"),
        ]
        .map(|(e, d)| (e.as_bytes().to_vec(), d.as_bytes().to_vec()))
        .to_vec()
    }

    #[test]
    fn every_two_cuts_are_the_same() {
        for a in 0..=STREAM.len() {
            for b in a..=STREAM.len() {
                assert_eq!(
                    run(&[&STREAM[..a], &STREAM[a..b], &STREAM[b..]]),
                    expected(),
                    "{a} {b}"
                );
            }
        }
    }

    #[test]
    fn a_frame_that_never_ends_is_refused() {
        let mut frames = Frames::new();
        let piece = vec![b'x'; 1 << 20];
        let result = (0..10).try_for_each(|_| frames.feed(&piece, |_| Ok::<(), ()>(())));
        assert_eq!(result, Err(FeedError::TooLarge));
    }

    proptest! {
        #[test]
        fn random_cuts_are_the_same(
            src in "(data: [a-z]{0,6}|event:x|:c|\r|\n|\r\n|\n\n){0,20}",
            cut in any::<prop::sample::Index>(),
        ) {
            let at = cut.index(src.len() + 1);
            let (a, b) = src.as_bytes().split_at(at);
            prop_assert_eq!(run(&[a, b]), run(&[src.as_bytes()]));
        }
    }
}
