//! The summary of every vector, at every split, and of every ending.

use super::super::tests::{plan, vectors};
use super::*;
use crate::translate::stream::Sink;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn key() -> SealKey {
    SealKey::new([7; 32])
}

fn compactor(options: &Json, sink: Sink, form: Form) -> Compactor {
    let reader = Reader::Chat(Box::new(Translator::new(plan(options, Sink::Json))));
    Compactor::new(reader, plan(options, sink), form, key())
}

/// What the client gets of a stream that is cut there.
fn told(mut compactor: Compactor, stream: &[u8], cut: usize) -> (Result<(), Error>, Vec<u8>) {
    let mut out = Vec::new();
    let mut result = Ok(());
    for piece in [&stream[..cut], &stream[cut..]] {
        result = result.and_then(|()| compactor.feed(piece, &mut out).map(drop));
    }
    let result = result.and_then(|()| compactor.finish(UpstreamEnd::Clean, &mut out));
    assert_eq!(result.is_err(), out.is_empty());
    assert!(compactor.status().is_some());
    (result, out)
}

fn events(sse: &[u8]) -> Vec<Json> {
    let text = std::str::from_utf8(sse).unwrap();
    let data = text.lines().filter_map(|l| l.strip_prefix("data: "));
    data.filter(|d| *d != "[DONE]")
        .map(|d| serde_json::from_str(d).unwrap())
        .collect()
}

fn opened(item: &Json) -> String {
    assert_eq!(item["type"], "compaction");
    assert!(item["id"].as_str().unwrap().starts_with("cmp_"));
    let text = seal::unseal_summary(&key(), item["encrypted_content"].as_str().unwrap());
    let quoted = [b"\"", &text.unwrap()[..], b"\""].concat();
    serde_json::from_slice(&quoted).unwrap()
}

fn chat(deltas: &[Json], reason: &str) -> Vec<u8> {
    let mut stream = String::new();
    for delta in deltas {
        let chunk = json!({"id":"c","choices":[{"index":0,"delta":delta,"finish_reason":null}]});
        stream += &format!("data: {chunk}\n\n");
    }
    let end = json!({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":reason}],
        "usage":{"prompt_tokens":90,"completion_tokens":7,"total_tokens":97}});
    stream += &format!("data: {end}\n\ndata: [DONE]\n\n");
    stream.into_bytes()
}

#[test]
fn the_text_of_every_vector_is_the_summary_wherever_it_is_cut() {
    let (mut sealed, mut refused, mut incomplete) = (0, 0, 0);
    for (name, options, stream, _) in vectors() {
        let mut inner = Translator::new(plan(&options, Sink::Json));
        let mut object = Vec::new();
        let said = inner
            .feed(&stream, &mut object)
            .and_then(|_| inner.finish(UpstreamEnd::Clean, &mut object));
        let make = || compactor(&options, Sink::Sse, Form::Response);
        let (whole, out) = told(make(), &stream, 0);
        // Every place in small streams; in large ones each takes as long as the stream does.
        let step = 1 + stream.len() / 400;
        for cut in (0..=stream.len()).step_by(step) {
            assert_eq!(
                told(make(), &stream, cut),
                (whole.clone(), out.clone()),
                "{name} at {cut}"
            );
        }
        let Ok(()) = said else {
            assert!(whole.is_err(), "{name}");
            continue;
        };
        let object: Json = serde_json::from_slice(&object).unwrap();
        let text: String = object["output"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|i| i["type"] == "message")
            .flat_map(|i| i["content"].as_array().unwrap())
            .filter_map(|part| part["text"].as_str())
            .collect();
        if whole.is_err() {
            refused += 1;
            let refusal = object["output"].to_string().contains("\"refusal\"");
            assert!(text.trim().is_empty() || refusal, "{name}");
            continue;
        }
        let events = events(&out);
        let kinds: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
        if object["status"] == "incomplete" {
            incomplete += 1;
            let expected = [
                "response.created",
                "response.in_progress",
                "response.incomplete",
            ];
            assert_eq!(kinds, expected, "{name}");
            assert_eq!(events[2]["response"]["output"], json!([]));
            continue;
        }
        sealed += 1;
        let expected = [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.compaction.compacting",
            "response.output_item.done",
            "response.completed",
        ];
        assert_eq!(kinds, expected, "{name}");
        assert_eq!(opened(&events[4]["item"]), text, "{name}");
        let response = &events[5]["response"];
        assert_eq!(response["output"], json!([events[4]["item"]]));
        assert_eq!(response["usage"], object["usage"], "{name}");
    }
    assert!(
        sealed > 30 && refused > 5 && incomplete > 1,
        "{sealed} {refused} {incomplete}"
    );
}

#[test]
fn nothing_that_is_no_summary_is_sealed() {
    let text = |t: &str| json!({ "content": t });
    let call =
        json!({"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]});
    for (stream, kind, status) in [
        (chat(&[], "stop"), Kind::UpstreamBroken, 502),
        (chat(&[text(" \n\t ")], "stop"), Kind::UpstreamBroken, 502),
        (chat(&[call], "tool_calls"), Kind::UpstreamBroken, 502),
        (
            chat(&[json!({"reasoning_content":"Hm."})], "stop"),
            Kind::UpstreamBroken,
            502,
        ),
        (
            chat(&[json!({"refusal":"No."})], "stop"),
            Kind::ContentFilter,
            400,
        ),
        (
            chat(&[text("half")], "network_error"),
            Kind::UpstreamBroken,
            502,
        ),
        (
            b"data: {\"error\":{\"message\":\"x\"}}\n\n".to_vec(),
            Kind::UpstreamBroken,
            502,
        ),
        (b"".to_vec(), Kind::UpstreamBroken, 502),
    ] {
        for sink in [Sink::Sse, Sink::Json, Sink::WebSocket] {
            let (result, _) = told(compactor(&json!({}), sink, Form::Response), &stream, 0);
            let error = result.unwrap_err();
            assert_eq!((error.kind, error.status()), (kind, status), "{error}");
        }
    }
}

#[test]
fn a_summary_that_is_cut_off_is_incomplete() {
    for (reason, said) in [
        ("length", "max_output_tokens"),
        ("content_filter", "content_filter"),
    ] {
        let stream = chat(&[json!({"content":"half a"})], reason);
        let (result, out) = told(
            compactor(&json!({}), Sink::Json, Form::Response),
            &stream,
            9,
        );
        assert_eq!(result, Ok(()));
        let object: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!(object["status"], "incomplete");
        assert_eq!(object["incomplete_details"]["reason"], said);
        assert_eq!(
            (&object["output"], &object["usage"]["total_tokens"]),
            (&json!([]), &json!(97))
        );
        let form = Form::Compaction(Vec::new());
        let (result, _) = told(compactor(&json!({}), Sink::Json, form), &stream, 9);
        let error = result.unwrap_err();
        assert_eq!((error.status(), error.api_code()), (400, said));
    }
}

#[test]
fn what_was_committed_is_kept_alive_and_ended() {
    let good = chat(&[json!({"content":"S"})], "stop");
    let bad = chat(&[], "stop");
    for (stream, last) in [(good, "response.completed"), (bad, "response.failed")] {
        let (mut c, mut out) = (compactor(&json!({}), Sink::Sse, Form::Response), Vec::new());
        c.keepalive(&mut out);
        assert!(out.is_empty(), "nothing lives before it has begun");
        c.feed(&stream[..40], &mut out).unwrap();
        c.commit(&mut out);
        c.commit(&mut out);
        c.keepalive(&mut out);
        assert_eq!(c.feed(&stream[40..], &mut out), Ok(Progress::Terminal));
        c.keepalive(&mut out);
        c.finish(UpstreamEnd::Clean, &mut out).unwrap();
        assert!(out.ends_with(b"data: [DONE]\n\n"));
        let events = events(&out);
        for (event, n) in events.iter().zip(0..) {
            assert_eq!(event["sequence_number"], json!(n));
        }
        let kinds: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
        assert_eq!(
            kinds[..3],
            [
                "response.created",
                "response.in_progress",
                "response.in_progress"
            ]
        );
        assert_eq!(kinds[kinds.len() - 1], last);
        assert_eq!(
            kinds.contains(&"response.output_item.added"),
            last == "response.completed"
        );
    }
}

#[test]
fn an_answer_that_breaks_is_no_summary() {
    let stream = chat(&[json!({"content":"S"})], "stop");
    let error = || Error::new(Source::Upstream, Kind::UpstreamBroken, "reset");
    for cut in 0..stream.len() - 20 {
        let (mut c, mut out) = (compactor(&json!({}), Sink::Sse, Form::Response), Vec::new());
        let fed = c.feed(&stream[..cut], &mut out).unwrap();
        let ended = c.finish(UpstreamEnd::Broken(error()), &mut out);
        assert_eq!(ended.is_ok(), fed == Progress::Terminal, "cut at {cut}");
        assert_eq!(ended.is_ok(), !out.is_empty());
    }
}

#[test]
fn a_responses_provider_writes_summaries_too() {
    let part = json!({"type":"output_text","text":"S \u{1f600}","annotations":[]});
    let message = json!({"type":"message","id":"msg_1","role":"assistant","content":[part]});
    let response = json!({"id":"resp_far","status":"completed","output":[message],
        "usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13}});
    let event = json!({"type":"response.completed","response":response});
    let stream = format!("event: response.completed\ndata: {event}\n\n");
    for cut in 0..=stream.len() {
        let reader = Reader::Responses(Box::default());
        let compactor = Compactor::new(reader, plan(&json!({}), Sink::Json), Form::Response, key());
        let (result, out) = told(compactor, stream.as_bytes(), cut);
        assert_eq!(result, Ok(()), "cut at {cut}");
        let object: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!(object["id"], "resp_1");
        assert_eq!(opened(&object["output"][0]), "S \u{1f600}");
        assert_eq!(object["usage"]["total_tokens"], 13);
    }
}

#[test]
fn the_object_holds_what_is_kept_before_the_compaction() {
    let form = Form::Compaction(br#"{"type":"message","role":"user"}"#.to_vec());
    let mut compactor = compactor(&json!({}), Sink::Json, form);
    let mut out = Vec::new();
    let body =
        json!({"choices":[{"message":{"role":"assistant","content":"S"},"finish_reason":"stop"}]});
    compactor
        .feed_object(body.to_string().as_bytes(), &mut out)
        .unwrap();
    let object: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&object["object"], &object["id"]),
        (&json!("response.compaction"), &json!("resp_1"))
    );
    assert_eq!(
        (&object["created_at"], &object["usage"]),
        (&json!(1_760_000_000), &Json::Null)
    );
    assert_eq!(object["output"][0]["role"], "user");
    assert_eq!(opened(&object["output"][1]), "S");
    assert_eq!(
        compactor.response(),
        None,
        "no response can be continued from it"
    );
}

proptest! {
    #[test]
    fn any_text_comes_back_byte_for_byte(text in any::<String>(), at in 0usize..4000) {
        let half = text.chars().count() / 2;
        let (a, b): (String, String) = (text.chars().take(half).collect(), text.chars().skip(half).collect());
        let stream = chat(&[json!({"content":a}), json!({"content":b})], "stop");
        let cut = at.min(stream.len());
        let (result, out) = told(compactor(&json!({}), Sink::Sse, Form::Response), &stream, cut);
        match text.trim().is_empty() {
            true => prop_assert!(result.is_err()),
            // Blanks before the first word are no text.
            false => {
                prop_assert_eq!(result, Ok(()));
                prop_assert_eq!(opened(&events(&out)[4]["item"]), text);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_summary_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
        let cut = cut.min(bytes.len());
        let (result, out) = told(compactor(&json!({}), Sink::Sse, Form::Response), &bytes, cut);
        prop_assert_eq!(result.is_ok(), !out.is_empty());
    }
}
