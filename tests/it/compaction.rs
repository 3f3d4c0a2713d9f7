//! Compaction on providers that have none: by a trigger, by the endpoint, and what becomes of it.

use crate::client::{Answer as Got, Connection, post_with, respond};
use crate::judge::{judge, judge_bodies};
use crate::provider::{Answer, Provider, Seen, delta, text};
use crate::strait::Strait;
use crate::websocket_client::{WebSocket, as_stream, create, id_of, text_of};
use serde_json::{Value, json};

const SUMMARY: &str = "Goal: \"tab\there\" \u{1f600}\nNext: run\u{2028}the tests.";

fn user(text: &str) -> Value {
    json!({"type":"message","role":"user","content":[{"type":"input_text","text":text}]})
}

fn history() -> Vec<Value> {
    vec![
        json!({"type":"message","role":"developer","content":"Be exact."}),
        user("go"),
        json!({"type":"function_call","call_id":"c1","name":"run","arguments":"{}"}),
        json!({"type":"function_call_output","call_id":"c1","output":"fine"}),
    ]
}

fn ask(items: Vec<Value>, stream: bool) -> Value {
    json!({"model":"m","stream":stream,"store":false,"input":items,
        "tools":[{"type":"function","name":"run","parameters":{"type":"object","properties":{}}}]})
}

fn triggered(stream: bool) -> Value {
    let mut items = history();
    items.push(json!({"type":"compaction_trigger"}));
    ask(items, stream)
}

/// Whether a chat request asks for a summary, and all that it must be then.
fn wants_summary(body: &Value) -> bool {
    let messages = body["messages"].as_array().unwrap();
    let last = &messages[messages.len() - 1];
    let text = last["content"].as_str().unwrap_or("");
    let wants = last["role"] == "user" && text.contains("write a handover");
    if wants {
        assert_eq!(
            (&body["stream"], &body["tool_choice"]),
            (&json!(true), &json!("none"))
        );
        assert_eq!(body["tools"][0]["function"]["name"], "run");
    }
    wants
}

/// Summarises when asked to, and says something otherwise.
fn summarising() -> Provider {
    Provider::answering(|seen: &Seen| match wants_summary(&seen.body) {
        true => Answer::Stream(text(SUMMARY)),
        false => Answer::Stream(text("Going on.")),
    })
}

fn start(provider: &Provider) -> Strait {
    Strait::start("openai-compatible", &provider.url(), "io_uring")
}

fn post(strait: &Strait, path: &str, body: &Value) -> Got {
    let mut connection = Connection::open(strait.address);
    connection.send(post_with(path, "", body.to_string().as_bytes()));
    connection.answer()
}

/// The one compaction among items.
fn compaction(output: &Value) -> Value {
    let items = output.as_array().unwrap();
    let found: Vec<_> = items.iter().filter(|i| i["type"] == "compaction").collect();
    assert_eq!(found.len(), 1, "{output}");
    let content = found[0]["encrypted_content"].as_str().unwrap();
    assert!(content.starts_with("gwc1."), "{content}");
    found[0].clone()
}

#[test]
fn a_trigger_gives_one_compaction_that_any_node_opens() {
    let provider = summarising();
    for driver in ["io_uring", "epoll"] {
        let strait = Strait::start("openai-compatible", &provider.url(), driver);
        let stream = respond(strait.address, &triggered(true));
        assert_eq!(stream.terminals(), ["response.completed"]);
        let kinds: Vec<_> = stream.events().iter().map(|e| e["type"].clone()).collect();
        let expected = [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.compaction.compacting",
            "response.output_item.done",
            "response.completed",
        ];
        assert_eq!(kinds, expected);
        let whole = respond(strait.address, &triggered(false));
        let response = stream.events().pop().unwrap()["response"].clone();
        assert_eq!(response["usage"]["total_tokens"], 120);
        assert_eq!(
            response["usage"]["input_tokens_details"]["cached_tokens"],
            40
        );
        judge(&[("compaction-stream", &stream), ("compaction-whole", &whole)]);
        let items = [
            compaction(&response["output"]),
            compaction(&whole.json()["output"]),
        ];
        // Another node: all that they share is the key, which follows from the provider's.
        let other = start(&provider);
        for item in items {
            provider.take_seen();
            let mut items = history();
            items.truncate(2);
            items.extend([item, user("on")]);
            let next = respond(other.address, &ask(items, true));
            assert_eq!(next.terminals(), ["response.completed"]);
            assert!(!next.head.contains("x-strait-diagnostics"), "{}", next.head);
            let asked = &provider.bodies()[0]["messages"];
            let told = asked[2]["content"].as_str().unwrap();
            assert!(told.ends_with(SUMMARY), "{asked}");
            assert_eq!(
                (&asked[1]["content"], &asked[3]["content"]),
                (&json!("go"), &json!("on"))
            );
        }
    }
}

#[test]
fn over_a_websocket_the_next_request_goes_on_from_the_summary() {
    let provider = summarising();
    let strait = start(&provider);
    let mut socket = WebSocket::open(strait.address);
    let tools = triggered(true)["tools"].clone();
    let with_tools = |mut message: Value| {
        message["tools"] = tools.clone();
        message
    };
    let first = socket.ask(&with_tools(create(json!(history()), None)));
    let trigger = json!([{"type":"compaction_trigger"}]);
    let second = socket.ask(&with_tools(create(trigger, Some(&id_of(&first)))));
    judge_bodies(&[("compaction-frames", &as_stream(&second))]);
    let item = compaction(&second.last().unwrap()["response"]["output"]);
    provider.take_seen();
    let third = socket.ask(&create(json!([user("on")]), Some(&id_of(&second))));
    assert_eq!(text_of(&third), "Going on.");
    let asked = provider.bodies()[0]["messages"].clone();
    let roles: Vec<_> = asked
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["role"])
        .collect();
    assert_eq!(roles, ["system", "user", "user", "user"], "{asked}");
    assert!(asked[2]["content"].as_str().unwrap().ends_with(SUMMARY));
    // What Codex does: all that it kept, as a new chain.
    let fourth = socket.ask(&create(json!([user("go"), item, user("on")]), None));
    assert_eq!(text_of(&fourth), "Going on.");
    assert!(
        provider.bodies()[0]["messages"][1]["content"]
            .as_str()
            .unwrap()
            .ends_with(SUMMARY)
    );
}

#[test]
fn a_summary_that_takes_long_is_kept_alive_and_a_silent_one_fails() {
    let half = vec![delta(
        json!({"role":"assistant","content":"half a summary"}),
    )];
    let provider = Provider::start(vec![Answer::Silence(half)]);
    let timeouts = "[timeouts]\nhold_s = 0.1\nkeepalive_s = 0.1\nsilence_s = 1.0\n[models]\n\"*\" = \"mock/*\"\n";
    let strait = Strait::with("openai-compatible", &provider.url(), "io_uring", timeouts);
    let answer = respond(strait.address, &triggered(true));
    assert_eq!(
        (answer.status, answer.terminals()),
        (200, vec!["response.failed".to_owned()])
    );
    let events = answer.events();
    let alive = events
        .iter()
        .filter(|e| e["type"] == "response.in_progress");
    assert!(alive.count() > 3, "{events:?}");
    assert!(events.iter().all(|e| e["item"].is_null()), "{events:?}");
    judge(&[("compaction-silent", &answer)]);
}

#[test]
fn what_is_no_summary_is_an_honest_failure() {
    let chunk = |content: &str, reason: &str| {
        let mut data = vec![delta(json!({"role":"assistant","content":content}))];
        data.extend(crate::provider::finish(reason));
        Answer::Stream(data)
    };
    let provider = Provider::start(vec![
        chunk("", "stop"),
        chunk("half", "length"),
        chunk("half", "length"),
        Answer::Plain(
            400,
            "",
            json!({"error":{"message":"maximum context length is 9 tokens"}}).to_string(),
        ),
    ]);
    let strait = start(&provider);
    let empty = respond(strait.address, &triggered(true));
    assert_eq!(empty.status, 502);
    assert!(
        empty.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nothing was compacted")
    );
    let cut = respond(strait.address, &triggered(true));
    assert_eq!(cut.terminals(), ["response.incomplete"]);
    judge(&[("compaction-cut", &cut)]);
    let cut = post(&strait, "/v1/responses/compact", &ask(history(), false));
    assert_eq!(
        (cut.status, &cut.json()["error"]["code"]),
        (400, &json!("max_output_tokens"))
    );
    let long = respond(strait.address, &triggered(true));
    assert_eq!(
        (long.status, &long.json()["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
}

#[test]
fn another_target_writes_the_summary_where_one_cannot() {
    let mute = Provider::start(vec![Answer::Stream(text(" "))]);
    let provider = summarising();
    let more = format!(
        "[providers.good]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\napi_key = \"sk-test-provider-key\"\n[models]\nm = [\"mock/a\", \"good/b\"]\n",
        provider.url()
    );
    let strait = Strait::with("openai-compatible", &mute.url(), "io_uring", &more);
    let answer = respond(strait.address, &triggered(true));
    compaction(&answer.events().pop().unwrap()["response"]["output"]);
    assert_eq!((mute.bodies().len(), provider.bodies().len()), (1, 1));
}

#[test]
fn the_endpoint_gives_what_is_kept_and_the_compaction() {
    let provider = summarising();
    let strait = start(&provider);
    for path in ["/v1/responses/compact", "/responses/compact"] {
        let answer = post(&strait, path, &ask(history(), false));
        let object = answer.json();
        assert_eq!(
            (answer.status, &object["object"]),
            (200, &json!("response.compaction"))
        );
        assert!(object["id"].as_str().unwrap().starts_with("resp_"));
        assert!(object["created_at"].is_u64());
        assert_eq!(object["usage"]["total_tokens"], 120);
        let output = object["output"].as_array().unwrap();
        assert_eq!(output.len(), 2, "{output:?}");
        assert_eq!(output[0]["content"][0]["text"], "go");
        compaction(&object["output"]);
        provider.take_seen();
        let mut items = output.clone();
        items.push(user("on"));
        assert_eq!(respond(strait.address, &ask(items, false)).status, 200);
        let asked = provider.bodies()[0]["messages"].clone();
        assert!(
            asked[1]["content"].as_str().unwrap().ends_with(SUMMARY),
            "{asked}"
        );
    }
    let mut without = ask(history(), false);
    without.as_object_mut().unwrap().remove("model");
    let refused = post(&strait, "/v1/responses/compact", &without);
    assert_eq!(
        (refused.status, &refused.json()["error"]["param"]),
        (400, &json!("model"))
    );
    let empty = post(&strait, "/v1/responses/compact", &json!({"model":"m"}));
    assert_eq!(
        (empty.status, &empty.json()["error"]["param"]),
        (400, &json!("input"))
    );
}

const FAR: &str = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_9\",\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"A far summary.\",\"annotations\":[]}]}],\"usage\":{\"input_tokens\":5,\"output_tokens\":2,\"total_tokens\":7}}}\n\n";

#[test]
fn a_responses_provider_without_compaction_is_asked_for_a_summary() {
    let far = || Answer::Raw(FAR.into());
    let provider = Provider::start(vec![far(), far(), far(), far()]);
    let strait = Strait::start("deepseek-responses", &provider.url(), "io_uring");
    let stream = respond(strait.address, &triggered(true));
    let whole = respond(strait.address, &triggered(false));
    judge(&[("far-stream", &stream), ("far-whole", &whole)]);
    let item = compaction(&whole.json()["output"]);
    assert_eq!(whole.json()["usage"]["total_tokens"], 7);
    let compacted = post(&strait, "/v1/responses/compact", &ask(history(), false));
    compaction(&compacted.json()["output"]);
    let seen = provider.take_seen();
    for seen in &seen {
        assert!(
            seen.head.starts_with("POST /v1/responses HTTP"),
            "{}",
            seen.head
        );
        assert_eq!(
            (&seen.body["stream"], &seen.body["tool_choice"]),
            (&json!(true), &json!("none"))
        );
        let input = seen.body["input"].as_array().unwrap();
        assert_eq!(input[..4], history()[..]);
        assert_eq!((input.len(), &input[4]["role"]), (5, &json!("user")));
    }
    let foreign = json!({"type":"compaction","encrypted_content":"gAAAA"});
    let next = respond(strait.address, &ask(vec![item, foreign, user("on")], true));
    assert!(
        next.head.contains("item.degraded input[1]"),
        "{}",
        next.head
    );
    let input = provider.bodies()[0]["input"].clone();
    assert!(
        input[0]["content"][0]["text"]
            .as_str()
            .unwrap()
            .ends_with("A far summary.")
    );
    assert!(
        input[1]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("cannot be read")
    );
    assert_eq!(input[2], user("on"));
}

#[test]
fn a_provider_that_compacts_by_itself_is_left_to_it() {
    let object = json!({"id":"resp_9","object":"response.compaction","created_at":1,"output":[],"usage":null});
    let counted = json!({"object":"response.input_tokens","input_tokens":11});
    let provider = Provider::start(vec![
        Answer::Raw(FAR.into()),
        Answer::Plain(200, "", object.to_string()),
        Answer::Plain(200, "", counted.to_string()),
    ]);
    let strait = Strait::start("openai", &provider.url(), "io_uring");
    let mut items = history();
    items.push(json!({"type":"compaction","encrypted_content":"gAAAA"}));
    items.push(json!({"type":"compaction_trigger"}));
    let request = ask(items, true);
    let stream = respond(strait.address, &request);
    assert_eq!(stream.body, FAR.as_bytes());
    let compacted = post(&strait, "/v1/responses/compact", &request);
    assert_eq!(compacted.json(), object);
    let count = post(&strait, "/v1/responses/input_tokens", &request);
    assert_eq!(count.json(), counted);
    assert!(!count.head.contains("x-strait-estimate"), "{}", count.head);
    let seen = provider.take_seen();
    let paths: Vec<_> = seen
        .iter()
        .map(|s| s.head.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "/v1/responses",
            "/v1/responses/compact",
            "/v1/responses/input_tokens"
        ]
    );
    assert!(seen.iter().all(|s| s.body == request));
}

#[test]
fn tokens_are_estimated_and_the_answer_says_so() {
    let provider = Provider::start(vec![]);
    let strait = start(&provider);
    let path = "/v1/responses/input_tokens";
    let count = |body: &Value| post(&strait, path, body);
    let answer = count(&ask(history(), false));
    assert_eq!(
        (answer.status, &answer.json()["object"]),
        (200, &json!("response.input_tokens"))
    );
    assert!(
        answer.head.contains("x-strait-estimate: input_tokens\r\n"),
        "{}",
        answer.head
    );
    let tokens = answer.json()["input_tokens"].as_u64().unwrap();
    assert!((40..80).contains(&tokens), "{tokens}");
    // A model need not be named, nor need there be an input.
    assert_eq!(count(&json!({})).json()["input_tokens"], 3);
    for (body, status) in [
        (json!([]), 400),
        (json!({"input": 7}), 400),
        (json!({"model": 7}), 400),
        (json!({"previous_response_id": "resp_1"}), 400),
    ] {
        assert_eq!(count(&body).status, status, "{body}");
    }
    assert!(provider.bodies().is_empty());
    let mut connection = Connection::open(strait.address);
    connection.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    assert_eq!(connection.answer().status, 405);
}
