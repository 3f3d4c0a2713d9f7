//! Responses over a WebSocket, through the running server, on both drivers.

use crate::client::{Connection, respond};
use crate::judge::judge_bodies;
use crate::provider::{Answer, Provider, calls, delta, text};
use crate::strait::Strait;
use crate::websocket_client::{WebSocket, as_stream, create, frame, handshake, id_of, text_of};
use serde_json::{Value, json};
use std::time::Duration;

const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

fn user(text: &str) -> Value {
    json!([{"type":"message","role":"user","content":text}])
}

fn say(answer: &str) -> Answer {
    Answer::Stream(text(answer))
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|e| e["type"].as_str().unwrap()).collect()
}

fn roles(body: &Value) -> Vec<&str> {
    let messages = body["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect()
}

#[test]
fn a_warm_up_then_turns_that_bring_only_what_is_new() {
    for driver in DRIVERS {
        let call = calls("think", &[("c1", "f", r#"{"x":1}"#)]);
        let provider = Provider::start(vec![Answer::Stream(call), say("all done")]);
        let strait = Strait::start("openai-compatible", &provider.url(), driver);
        let mut socket = WebSocket::open(strait.address);

        let mut warm = create(
            json!([{"type":"message","role":"developer","content":"base"}]),
            None,
        );
        warm["generate"] = json!(false);
        let warmed = socket.ask(&warm);
        assert_eq!(
            types(&warmed),
            [
                "response.created",
                "response.in_progress",
                "response.completed"
            ]
        );
        assert_eq!(warmed[2]["response"]["output"], json!([]));
        assert!(provider.take_seen().is_empty(), "no provider is asked");

        let mut turn = create(user("go"), Some(&id_of(&warmed)));
        turn["tools"] =
            json!([{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]);
        let called = socket.ask(&turn);
        assert_eq!(called.last().unwrap()["type"], "response.completed");
        let output = json!([{"type":"function_call_output","call_id":"c1","output":"7"}]);
        let mut next = create(output, Some(&id_of(&called)));
        next["tools"] = turn["tools"].clone();
        let done = socket.ask(&next);
        assert_eq!(text_of(&done), "all done");

        let bodies = provider.bodies();
        assert_eq!(roles(&bodies[0]), ["system", "user"]);
        assert_eq!(
            roles(&bodies[1]),
            ["system", "user", "assistant", "tool"],
            "the provider sees all that was said"
        );
        let (a, b) = (&bodies[0]["messages"], &bodies[1]["messages"]);
        assert!(
            b.as_array().unwrap().starts_with(a.as_array().unwrap()),
            "turn N is a prefix of turn N+1"
        );
        assert_eq!(b[2]["tool_calls"][0]["id"], "c1");
        let streams = [as_stream(&warmed), as_stream(&called), as_stream(&done)];
        let streams: Vec<_> = ["warm", "called", "done"]
            .iter()
            .zip(&streams)
            .map(|(n, s)| (*n, &s[..]))
            .collect();
        judge_bodies(&streams);
    }
}

/// Events without what differs from one response to the next.
fn comparable(events: &[Value]) -> Vec<Value> {
    fn scrub(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let own = [
                        "id",
                        "item_id",
                        "created_at",
                        "completed_at",
                        "encrypted_content",
                    ];
                    if own.contains(&key.as_str()) {
                        *value = json!("own");
                    }
                    scrub(value);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(scrub),
            _ => {}
        }
    }
    let mut events = events.to_vec();
    events.iter_mut().for_each(scrub);
    events
}

#[test]
fn the_events_are_those_of_a_stream_over_http() {
    let answers = || {
        vec![
            say("Hello there friend"),
            Answer::Stream(calls(
                "I think.",
                &[("c1", "f", r#"{"a":"long argument"}"#)],
            )),
            say(&"long ".repeat(30_000)),
            Answer::Reset(text("Hello there friend")[..3].to_vec()),
        ]
    };
    let provider = Provider::start(answers().into_iter().chain(answers()).collect());
    let strait = Strait::start("openai-compatible", &provider.url(), "io_uring");
    let mut message = create(user("hi"), None);
    message["tools"] =
        json!([{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]);
    message["include"] = json!(["reasoning.encrypted_content"]);
    let mut body = message.clone();
    body.as_object_mut().unwrap().remove("type");
    let over_http: Vec<_> = answers()
        .iter()
        .map(|_| respond(strait.address, &body).events())
        .collect();
    let mut socket = WebSocket::open(strait.address);
    let mut streams = Vec::new();
    for expected in over_http {
        let got = socket.ask(&message);
        // Codex says who it is in the handshake, and gets a smaller echo of its request.
        let slim = |events: &[Value]| {
            let mut events = comparable(events);
            for event in &mut events {
                if let Some(response) = event.get_mut("response") {
                    response.as_object_mut().unwrap().remove("tools");
                }
            }
            events
        };
        assert_eq!(slim(&got), slim(&expected));
        streams.push(as_stream(&got));
    }
    let names = ["text", "call", "long", "reset"];
    let streams: Vec<_> = names
        .into_iter()
        .zip(streams.iter().map(|s| &s[..]))
        .collect();
    judge_bodies(&streams);
}

#[test]
fn errors_have_a_status_and_the_connection_goes_on() {
    let slow = json!({"error":{"message":"slow down"}}).to_string();
    for driver in DRIVERS {
        let provider = Provider::start(vec![
            Answer::Plain(429, "retry-after: 3\r\n", slow.clone()),
            say("first"),
            Answer::Plain(400, "", json!({"error":{"message":"bad"}}).to_string()),
            say("second"),
        ]);
        let more = "[models]\nm = \"mock/m\"\n";
        let strait = Strait::with("openai-compatible", &provider.url(), driver, more);
        let mut socket = WebSocket::open(strait.address);
        let error = |events: Vec<Value>, status: u64, code: &str| {
            let [error] = &events[..] else {
                panic!("{events:#?}")
            };
            assert_eq!(error["type"], "error");
            assert_eq!(
                (&error["status"], &error["error"]["code"]),
                (&json!(status), &json!(code)),
                "{error}"
            );
            error.clone()
        };
        let limited = error(
            socket.ask(&create(user("hi"), None)),
            429,
            "rate_limit_exceeded",
        );
        assert_eq!(limited["headers"]["retry-after"], "3");
        error(
            socket.ask(&create(user("hi"), Some("resp_unknown"))),
            400,
            "previous_response_not_found",
        );
        for (message, status, code) in [
            (json!([1]), 400, "invalid_request"),
            (json!({"type":"session.update"}), 400, "invalid_request"),
            (
                json!({"type":"response.create","model":"nope","input":"x"}),
                404,
                "model_not_found",
            ),
            (
                json!({"type":"response.create","input":"x"}),
                400,
                "missing_required_parameter",
            ),
            (
                json!({"type":"response.create","model":"nope","input":"x","generate":false}),
                404,
                "model_not_found",
            ),
        ] {
            error(socket.ask(&message), status, code);
        }
        socket.send_frame(0x81, b"{\"type\":");
        error(socket.response(), 400, "invalid_request");

        // What failed leaves what was said before as it was.
        let first = socket.ask(&create(user("one"), None));
        let previous = id_of(&first);
        error(
            socket.ask(&create(user("two"), Some(&previous))),
            400,
            "invalid_request",
        );
        let second = socket.ask(&create(user("three"), Some(&previous)));
        assert_eq!(text_of(&second), "second");
        let last = provider.bodies().pop().unwrap();
        let said: Vec<_> = last["messages"].as_array().unwrap().iter().collect();
        let contents: Vec<_> = said
            .iter()
            .map(|m| m["content"].as_str().unwrap())
            .collect();
        assert_eq!(contents, ["one", "first", "three"]);
    }
}

#[test]
fn what_is_no_handshake_is_an_http_answer() {
    let provider = Provider::start(vec![say("hello")]);
    let url = provider.url();
    let top = "[[keys]]\nname = \"me\"\nkey = \"open-sesame\"\n[models]\n\"*\" = \"mock/*\"\n";
    let keyed = Strait::with("openai-compatible", &url, "io_uring", top);
    let open = Strait::start("openai-compatible", &url, "io_uring");
    let off = Strait::start_with_top("websocket = false\n", &url, "io_uring");
    let bearer = |key: &str| handshake(&format!("authorization: Bearer {key}\r\n"));
    let plain = handshake("");
    let cases = [
        (&keyed, plain.clone(), 401, "invalid_api_key"),
        (&keyed, bearer("wrong"), 401, "invalid_api_key"),
        (&off, plain.clone(), 426, "websocket_not_served"),
        (
            &open,
            plain.replace("version: 13", "version: 8"),
            426,
            "websocket_not_served",
        ),
        (
            &open,
            plain.replace("connection: Upgrade", "connection: keep-alive"),
            400,
            "invalid_request",
        ),
        (
            &open,
            plain.replace("sec-websocket-key", "x-key"),
            400,
            "invalid_request",
        ),
        (
            &open,
            handshake("origin: https://evil.example\r\n"),
            403,
            "foreign_origin",
        ),
        (
            &open,
            plain.replace("websocket\r", "h2c\r"),
            405,
            "method_not_allowed",
        ),
        (&open, plain.replace("/v1/responses", "/v1/models"), 200, ""),
    ];
    for (strait, request, status, code) in cases {
        let mut connection = Connection::open(strait.address);
        connection.send(&request);
        let answer = connection.answer();
        assert_eq!(answer.status, status, "{request}: {}", answer.head);
        if !code.is_empty() {
            assert_eq!(answer.json()["error"]["code"], code, "{request}");
        }
        if status == 426 {
            assert!(answer.head.contains("sec-websocket-version: 13\r\n"));
        }
        // It is still a connection of HTTP.
        connection.send("GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(connection.answer().status, 200, "{request}");
    }
    assert!(provider.take_seen().is_empty());
    let mut connection = Connection::open(keyed.address);
    connection.send(bearer("open-sesame"));
    assert!(connection.head().starts_with("HTTP/1.1 101 "));
}

#[test]
fn pings_are_answered_in_every_phase() {
    for driver in DRIVERS {
        let provider = Provider::start(vec![
            Answer::Mute,
            Answer::Silence(vec![delta(json!({"content":"a"}))]),
        ]);
        let strait = Strait::start("openai-compatible", &provider.url(), driver);
        let pong = |socket: &mut WebSocket, payload: &[u8]| {
            socket.send_frame(0x89, payload);
            let frame = socket.next().unwrap();
            assert_eq!((frame.first, &frame.payload[..]), (0x8a, payload));
        };
        let wait = Duration::from_secs(5);
        for begun in [false, true] {
            let mut socket = WebSocket::open(strait.address);
            pong(&mut socket, b"");
            socket.send_frame(0x8a, b"unasked");
            socket.send(&create(user("hi"), None));
            provider.arrived.recv_timeout(wait).unwrap();
            if begun {
                socket.until("response.output_text.delta");
            }
            pong(&mut socket, b"while a response is under way");
            // In the middle of a message that is still coming, too.
            socket.send_frame(0x01, b"{\"type\":");
            pong(&mut socket, b"between");
            drop(socket);
            provider
                .gone
                .recv_timeout(wait)
                .expect("upstream is closed");
        }
    }
}

#[test]
fn closing_is_answered_and_cancels_the_provider() {
    for driver in DRIVERS {
        let silence = || Answer::Silence(vec![delta(json!({"content":"a"}))]);
        let provider = Provider::start(vec![silence(), silence(), silence()]);
        let strait = Strait::start("openai-compatible", &provider.url(), driver);
        let mut idle = WebSocket::open(strait.address);
        idle.send_frame(0x88, &1000u16.to_be_bytes());
        assert_eq!(idle.next().unwrap().close_code(), 1000);
        assert_eq!(idle.next(), None);
        for (bytes, code) in [
            (frame(0x88, b"\x03\xe9bye"), 1001),
            (frame(0xc1, b"{}"), 1002),
            (frame(0x82, b"{}"), 1003),
        ] {
            let mut socket = WebSocket::open(strait.address);
            socket.send(&create(user("hi"), None));
            socket.until("response.output_text.delta");
            socket.connection.send(bytes);
            assert_eq!(socket.next().unwrap().close_code(), code);
            assert_eq!(socket.next(), None);
            let gone = provider.gone.recv_timeout(Duration::from_secs(5));
            gone.expect("upstream is closed");
        }
    }
}

#[test]
fn messages_come_in_fragments_and_frames_in_pieces() {
    for driver in DRIVERS {
        let provider = Provider::start(vec![say("one"), say("two")]);
        let strait = Strait::start("openai-compatible", &provider.url(), driver);
        let mut socket = WebSocket::open(strait.address);
        let message = create(user("größer 😀"), None).to_string();
        let bytes = message.as_bytes();
        let third = bytes.len() / 3;
        socket.send_frame(0x01, &bytes[..third]);
        socket.send_frame(0x00, b"");
        socket.send_frame(0x00, &bytes[third..2 * third]);
        socket.send_frame(0x80, &bytes[2 * third..]);
        assert_eq!(text_of(&socket.response()), "one");
        for byte in frame(0x81, bytes) {
            socket.connection.send([byte]);
        }
        assert_eq!(text_of(&socket.response()), "two");
        let contents: Vec<_> = provider
            .bodies()
            .iter()
            .map(|b| b["messages"][0]["content"].clone())
            .collect();
        assert_eq!(contents, ["größer 😀", "größer 😀"]);
    }
}

#[test]
fn one_request_waits_its_turn_and_a_third_is_too_many() {
    for driver in DRIVERS {
        let provider = Provider::start(vec![
            say("one"),
            say("two"),
            Answer::Silence(vec![delta(json!({"content":"a"}))]),
        ]);
        let strait = Strait::start("openai-compatible", &provider.url(), driver);
        let mut socket = WebSocket::open(strait.address);
        let message = frame(0x81, create(user("hi"), None).to_string().as_bytes());
        // Behind the handshake, in one write: one is answered, one waits.
        let mut early = Connection::open(strait.address);
        early.send([handshake("").as_bytes(), &message].concat());
        early.wait_for("response.completed");
        socket.connection.send(&message);
        assert_eq!(text_of(&socket.response()), "two");
        socket.connection.send(&message);
        socket.until("response.output_text.delta");
        socket.connection.send([&message[..], &message].concat());
        assert_eq!(socket.next().unwrap().close_code(), 1008);
        assert_eq!(socket.next(), None);
    }
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_head() {
    let provider = Provider::start(vec![]);
    let strait = Strait::start("openai-compatible", &provider.url(), "io_uring");
    let mut socket = WebSocket::open(strait.address);
    let mut head = vec![0x81, 0xff];
    head.extend_from_slice(&(64u64 << 20 | 1).to_be_bytes());
    head.extend_from_slice(b"mask");
    socket.connection.send(head);
    assert_eq!(socket.next().unwrap().close_code(), 1009);
    assert_eq!(socket.next(), None);
}

#[test]
fn draining_lets_a_response_finish_and_closes_what_rests() {
    for driver in DRIVERS {
        let provider = Provider::start(vec![Answer::Silence(vec![delta(json!({"content":"a"}))])]);
        let more = "[models]\n\"*\" = \"mock/*\"\n[timeouts]\ndrain_s = 0.3\n";
        let mut strait = Strait::with("openai-compatible", &provider.url(), driver, more);
        let mut idle = WebSocket::open(strait.address);
        let mut busy = WebSocket::open(strait.address);
        busy.send(&create(user("hi"), None));
        busy.until("response.output_text.delta");
        strait.signal("TERM");
        assert_eq!(idle.next().unwrap().close_code(), 1001);
        assert_eq!(idle.next(), None);
        let rest = busy.response();
        assert_eq!(rest.last().unwrap()["type"], "response.failed");
        assert_eq!(busy.next().unwrap().close_code(), 1001);
        assert_eq!(busy.next(), None);
        drop((idle, busy));
        assert!(strait.child.wait().unwrap().success());
    }
}

#[test]
fn a_provider_that_speaks_responses_is_passed_through_in_frames() {
    let events = |id: &str, text: &str| {
        let item = json!({"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":text,"annotations":[]}]});
        let created = json!({"type":"response.created","sequence_number":0,"response":{"id":id,"status":"in_progress","output":[]}});
        let done = json!({"type":"response.output_item.done","sequence_number":1,"output_index":0,"item":item});
        let completed = json!({"type":"response.completed","sequence_number":2,"response":{"id":id,"status":"completed","output":[item],"usage":null}});
        [created, done, completed]
    };
    let answer = |id: &str, text: &str| {
        Answer::Raw(
            events(id, text)
                .iter()
                .map(|e| format!("event: x\r\ndata: {e}\r\n\r\n"))
                .collect::<String>()
                .into_bytes(),
        )
    };
    let provider = Provider::start(vec![answer("resp_a", "eins"), answer("resp_b", "zwei")]);
    let more = "[providers.mock.override]\nwire = \"responses\"\n[models]\n\"*\" = \"mock/*\"\n";
    let strait = Strait::with("openai-compatible", &provider.url(), "io_uring", more);
    let mut socket = WebSocket::open(strait.address);
    let mut warm = create(user("base"), None);
    warm["generate"] = json!(false);
    let warmed = id_of(&socket.ask(&warm));
    let first = socket.ask(&create(user("hi"), Some(&warmed)));
    assert_eq!(first, events("resp_a", "eins"));
    let second = socket.ask(&create(user("more"), Some("resp_a")));
    assert_eq!(second, events("resp_b", "zwei"));
    let body = provider.bodies().pop().unwrap();
    assert!(body.get("previous_response_id").is_none() && body.get("generate").is_none());
    let input = body["input"].as_array().unwrap();
    let said: Vec<_> = input
        .iter()
        .map(|i| {
            i["content"]
                .as_str()
                .or(i["content"][0]["text"].as_str())
                .unwrap()
        })
        .collect();
    assert_eq!(said, ["base", "hi", "eins", "more"]);
}
