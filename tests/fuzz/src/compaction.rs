//! Oracles for a provider's answer that becomes a compaction.

use super::chat::plan;
use super::{Run, check_stream, frames, is_json, segmentations};
use serde_json::Value as Json;
use strait::auth::secret::SealKey;
use strait::json::{Tape, Value};
use strait::route::answer::frames_of_events;
use strait::translate::compaction::{ask, is_asked_for, kept};
use strait::translate::seal::unseal_summary;
use strait::translate::stream::{Compactor, Form, Progress, Reader, Sink, Translator, UpstreamEnd};

/// The request for a summary of what `request` holds, where there is one; it asks for a stream and
/// for no calls, once each.
pub(super) fn asked(request: Value<'_>) -> Option<Vec<u8>> {
    if !request.raw().starts_with(b"{") {
        return None;
    }
    let kept = kept(request, &[5; 32]);
    assert!(is_json(&[b"[", &kept[..], b"]"].concat()));
    let asked = ask(request).ok()?;
    assert!(is_json(&asked), "{}", String::from_utf8_lossy(&asked));
    let mut tape = Tape::new();
    let root = tape.parse(&asked).expect("JSON");
    for (name, value) in [("stream", "true"), ("tool_choice", "\"none\"")] {
        let said: Vec<_> = root.entries().filter(|(key, _)| *key == *name).collect();
        assert!(
            said.len() == 1 && said[0].1.raw() == value.as_bytes(),
            "{name}"
        );
    }
    assert!(!is_asked_for(root), "it asks for a compaction again");
    Some(asked)
}

fn run(sink: Sink, options: u32, pieces: &[&[u8]], early: bool) -> Run {
    let reader = match options & 1 << 13 {
        0 => Reader::Chat(Box::new(Translator::new(plan(Sink::Json, options)))),
        _ => Reader::Responses(Box::default()),
    };
    let key = SealKey::new([7; 32]);
    let mut compactor = Compactor::new(reader, plan(sink, options), Form::Response, key);
    let mut out = Vec::new();
    if early {
        compactor.commit(&mut out);
    }
    for piece in pieces {
        let before = out.len();
        match compactor.feed(piece, &mut out) {
            Ok(Progress::Terminal) => break,
            Ok(_) => assert_eq!(out.len(), before, "something shows before the end"),
            Err(error) => {
                let error = Some(error);
                return Run { out, error };
            }
        }
    }
    let error = compactor.finish(UpstreamEnd::Clean, &mut out).err();
    assert!(compactor.status().is_some(), "finished without a status");
    let len = out.len();
    compactor.keepalive(&mut out);
    assert_eq!(
        compactor.feed(b"data: {}\n\n", &mut out),
        Ok(Progress::Terminal)
    );
    assert_eq!(out.len(), len, "something follows the end");
    Run { out, error }
}

/// At most one item, which opens to a text that is not blank.
fn sealed(out: &[u8]) {
    let frames = frames(out);
    let done = |f: &&(Vec<u8>, Vec<u8>)| f.0 == b"response.output_item.done";
    let items: Vec<_> = frames.iter().filter(done).collect();
    let completed = frames.iter().any(|f| f.0 == b"response.completed");
    assert_eq!(items.len(), usize::from(completed));
    for (_, data) in items {
        let event: Json = serde_json::from_slice(data).expect("our own event");
        let content = event["item"]["encrypted_content"].as_str();
        let text = unseal_summary(&SealKey::new([7; 32]), content.expect("an envelope"));
        let quoted = [b"\"", &text.expect("ours")[..], b"\""].concat();
        assert!(is_json(&quoted) && quoted.len() > 2);
    }
}

/// Runs the machine on `upstream` in every way there is, and checks what it writes.
pub fn check(upstream: &[u8], options: u32) {
    let [whole, bytes, pieces] = segmentations(upstream);
    for early in [false, true] {
        let first = run(Sink::Sse, options, &whole, early);
        match &first.error {
            Some(error) => assert!(first.out.is_empty() && !early, "{error} behind output"),
            None => {
                check_stream(&first.out);
                sealed(&first.out);
            }
        }
        let framed = run(Sink::WebSocket, options, &whole, early);
        let mut expected = first.out.clone();
        frames_of_events(&mut expected, 0);
        assert!(framed.out == expected && framed.error == first.error);
        for split in [&bytes, &pieces] {
            let again = run(Sink::Sse, options, split, early);
            assert!(
                first == again,
                "the segmentation matters: {again:?}\n{first:?}"
            );
        }
    }
    let object = run(Sink::Json, options, &pieces, false);
    assert_eq!(object.error.is_some(), object.out.is_empty());
    assert!(object.out.is_empty() || is_json(&object.out));
}
