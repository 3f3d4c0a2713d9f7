use super::*;
use crate::script::{Script, digits, variant};

fn script() -> Script {
    Script {
        deltas: 12,
        reasoning: 2,
        tool_deltas: 3,
        ..Script::default()
    }
}

fn answer(answers: &Answers, api: Api, streaming: bool, id: &[u8; 8]) -> Vec<u8> {
    let pattern = match streaming {
        true => &answers.stream(api, true, variant(id)).plain,
        false => answers.object(api, variant(id)),
    };
    let mut out = Vec::new();
    pattern.copy(0..pattern.bytes.len(), id, &mut out);
    out
}

fn verdict(
    answers: &Arc<Answers>,
    api: Api,
    streaming: bool,
    bytes: &[u8],
    step: usize,
) -> Result<Notes, Fault> {
    let mut checker = Checker::new(answers, api, streaming, digits(42));
    for piece in bytes.chunks(step) {
        checker.feed(piece);
    }
    checker.finish()
}

const KINDS: [(Api, bool); 4] = [
    (Api::Chat, true),
    (Api::Chat, false),
    (Api::Responses, true),
    (Api::Responses, false),
];

#[test]
fn the_scripts_own_answers_are_right_at_every_cut() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    for (api, streaming) in KINDS {
        let bytes = answer(&answers, api, streaming, &digits(42));
        for step in [1, 2, 7, 61, 1000, bytes.len()] {
            let notes = verdict(&answers, api, streaming, &bytes, step).unwrap();
            let plain = notes.iter().all(|n| *n == "unchanged");
            assert!(plain, "{api:?} {streaming} {step}: {notes:?}");
        }
    }
}

#[test]
fn every_delta_is_counted() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    for api in [Api::Chat, Api::Responses] {
        let bytes = answer(&answers, api, true, &digits(42));
        let mut checker = Checker::new(&answers, api, true, digits(42));
        checker.feed(&bytes);
        assert_eq!(checker.events(), 17, "{api:?}");
    }
}

#[test]
fn any_changed_letter_of_the_text_is_noticed() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    for (api, streaming) in KINDS {
        let bytes = answer(&answers, api, streaming, &digits(42));
        let texts = crate::script::Texts::new(&script(), variant(&digits(42)));
        for delta in texts.text[1..4].iter().chain(&texts.arguments[1..2]) {
            let plain = delta.as_bytes();
            let at = memchr::memmem::find(&bytes, plain).expect("plain ASCII");
            for i in 0..plain.len() {
                let mut bad = bytes.clone();
                bad[at + i] = b'~';
                let verdict = verdict(&answers, api, streaming, &bad, 1000);
                assert!(
                    matches!(verdict, Err(Fault::Garbled(_))),
                    "{api:?} {streaming} {i}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn an_answer_for_somebody_else_is_noticed() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    for (api, streaming) in KINDS {
        // The same variant, and nothing but the number differs.
        let other = (43..)
            .map(digits)
            .find(|d| variant(d) == variant(&digits(42)))
            .unwrap();
        let bytes = answer(&answers, api, streaming, &other);
        let verdict = verdict(&answers, api, streaming, &bytes, 1000);
        assert!(
            matches!(verdict, Err(Fault::Garbled(_))),
            "{api:?}: {verdict:?}"
        );
    }
}

#[test]
fn an_answer_that_ends_early_is_noticed() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    for api in [Api::Chat, Api::Responses] {
        let bytes = answer(&answers, api, true, &digits(42));
        for end in (0..bytes.len()).step_by(13) {
            let verdict = verdict(&answers, api, true, &bytes[..end], 500);
            assert!(
                matches!(verdict, Err(Fault::Lost(_))),
                "{api:?} {end}: {verdict:?}"
            );
        }
    }
}

/// Takes the event with the given mark out of a stream.
fn without(bytes: &[u8], mark: &str) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    let blocks: Vec<&str> = text.split_inclusive("\n\n").collect();
    let at = blocks.iter().position(|b| b.contains(mark)).unwrap();
    let rest = blocks.iter().enumerate().filter(|(i, _)| *i != at);
    rest.map(|(_, b)| *b).collect::<String>().into_bytes()
}

#[test]
fn a_missing_delta_is_noticed_and_so_is_one_twice() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    let texts = crate::script::Texts::new(&script(), variant(&digits(42)));
    for api in [Api::Chat, Api::Responses] {
        let bytes = answer(&answers, api, true, &digits(42));
        for delta in &texts.text[1..4] {
            let bad = without(&bytes, delta);
            let missing = verdict(&answers, api, true, &bad, 1000);
            assert!(
                matches!(missing, Err(Fault::Garbled(_))),
                "{api:?} {missing:?}"
            );
            let text = String::from_utf8(bytes.clone()).unwrap();
            let block = text
                .split_inclusive("\n\n")
                .find(|b| b.contains(delta.as_str()))
                .unwrap();
            let twice = text.replacen(block, &block.repeat(2), 1);
            let twice = verdict(&answers, api, true, twice.as_bytes(), 1000);
            assert!(matches!(twice, Err(Fault::Garbled(_))), "{api:?} {twice:?}");
        }
    }
}

#[test]
fn a_stream_written_anew_is_right_and_its_habits_are_noted() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    let chat = answer(&answers, Api::Chat, true, &digits(42));
    let text = String::from_utf8(chat)
        .unwrap()
        .replace("\"logprobs\":null,", "");
    let notes = verdict(&answers, Api::Chat, true, text.as_bytes(), 100).unwrap();
    assert!(!notes.contains("unchanged"));
    let stream = answer(&answers, Api::Responses, true, &digits(42));
    let text = without(&stream, "event: response.output_text.done");
    let notes = verdict(&answers, Api::Responses, true, &text, 100).unwrap();
    let wanted = ["no output_text.done", "sequence_number jumps"];
    assert_eq!(notes.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn two_terminal_events_are_wrong() {
    let answers = Arc::new(Answers::new(&script()).unwrap());
    let stream = answer(&answers, Api::Responses, true, &digits(42));
    let text = String::from_utf8(stream).unwrap();
    let last = text.split_inclusive("\n\n").last().unwrap();
    let twice = verdict(
        &answers,
        Api::Responses,
        true,
        format!("{text}{last}").as_bytes(),
        100,
    );
    assert!(matches!(twice, Err(Fault::Garbled(_))), "{twice:?}");
}
