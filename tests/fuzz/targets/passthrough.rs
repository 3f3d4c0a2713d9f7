//! `translate::passthrough::Tap`, on a Responses and on a chat stream: what it lets through is
//! the upstream's bytes, unchanged and in order, whatever the segmentation; a stream that did
//! not say how it ended is given a terminal event, as a frame of its own that is JSON; one that
//! did is given nothing but the blank line that it left out; and one that fails before there is
//! output leaves no trace.

use strait_fuzz::fuzz_target;
use strait::error::{Error, Kind, Source};
use strait::translate::passthrough::Tap;
use strait::translate::stream::UpstreamEnd;

/// What a run passed on, what it added, and how it ended.
#[derive(Eq, PartialEq)]
struct Run {
    passed: Vec<u8>,
    added: Vec<u8>,
    status: Option<&'static str>,
    usage: Option<strait::translate::stream::Usage>,
    /// Why nothing was passed on.
    refused: Option<Error>,
}

impl Run {
    fn refused(why: Error, passed: &[u8]) -> Run {
        assert!(passed.is_empty(), "what was passed on cannot be refused");
        Run {
            passed: Vec::new(),
            added: Vec::new(),
            status: None,
            usage: None,
            refused: Some(why),
        }
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (passed, added) = (self.passed.escape_ascii(), self.added.escape_ascii());
        let len = self.passed.len();
        write!(
            f,
            "{len} bytes \"{passed}\", then \"{added}\", {:?} {:?} {:?}",
            self.status, self.usage, self.refused
        )
    }
}

fn run(mut tap: Tap, data: &[u8], pieces: &[&[u8]], end: &UpstreamEnd) -> Run {
    let mut passed = Vec::new();
    for piece in pieces {
        let before = passed.len();
        if let Err(why) = tap.feed(piece, &mut passed) {
            return Run::refused(why, &passed);
        }
        let (news, theirs) = (&passed[before..], data.get(before..passed.len()));
        assert_eq!(Some(news), theirs, "other bytes than the upstream's");
    }
    let ended = tap.ended();
    let mut out = passed.clone();
    if let Err(why) = tap.finish(end.clone(), &mut out) {
        return Run::refused(why, &out);
    }
    assert!(tap.ended(), "finished, and yet not over");
    let mut added = out[passed.len()..].to_vec();
    let left = &data[passed.len()..];
    if added.starts_with(left) && (ended || matches!(added.strip_prefix(left), Some(b"\n\n"))) {
        passed.extend_from_slice(left);
        added.drain(..left.len());
        assert_eq!(passed, data);
        assert!(added.is_empty() || added == b"\n\n");
        assert!(!ended || added.is_empty());
    } else {
        assert!(!ended, "bytes are lost behind the end");
        failure(&out, &added);
    }
    // An empty line more or less between frames says nothing.
    passed.truncate(passed.trim_ascii_end().len());
    let (status, usage) = (tap.status(), tap.usage());
    let mut late = Vec::new();
    tap.finish(end.clone(), &mut late).expect("it is over");
    assert!(late.is_empty(), "a second end");
    Run {
        passed,
        added,
        status,
        usage,
        refused: None,
    }
}

/// The frames that were added stand alone behind what was passed, and are JSON.
fn failure(out: &[u8], added: &[u8]) {
    let (all, own) = (strait_fuzz::frames(out), strait_fuzz::frames(added));
    assert!(all.ends_with(&own), "the end is glued to a frame before it");
    assert_eq!(own.len(), 2);
    for (event, data) in &own {
        assert!(strait_fuzz::is_json(data) || data == b"[DONE]");
        let text = std::str::from_utf8(data).expect("text");
        assert!(event.is_empty() || text.contains(std::str::from_utf8(event).expect("text")));
    }
    assert!(own[1].0 == b"response.failed" || own[1].1 == b"[DONE]");
}

fuzz_target!(|data: &[u8]| {
    let [whole, bytes, pieces] = strait_fuzz::segmentations(data);
    let reset = Error::new(Source::Upstream, Kind::UpstreamBroken, "reset");
    for end in [UpstreamEnd::Clean, UpstreamEnd::Broken(reset)] {
        for tap in [Tap::responses, Tap::chat] {
            let first = run(tap(), data, &whole, &end);
            for split in [&bytes, &pieces] {
                assert_eq!(run(tap(), data, split, &end), first);
            }
        }
    }
});
