//! Responses that are kept, continued and asked for: the exchange with a store that is quick,
//! slow, in trouble or not there.

use super::exchange::{Input, Machine};
use super::exchange_tests::{Peer, SSE, post, snapshot};
use super::memory::Memory;
use crate::config::{Place, Snapshot};
use crate::ledger::stored::{Ask, Reply, Status};
use crate::limits;
use crate::provider::Profile;
use serde_json::{Value as Json, json};

pub(super) const ASK: &str = r#"{"model":"m","stream":true,"input":"hi"}"#;

pub(super) fn keeping(mut snapshot: Snapshot) -> Snapshot {
    snapshot.store.place = Place::Sqlite("unused".into());
    snapshot
}

fn passing(profile: &str) -> Snapshot {
    let profile = Profile::parse(
        "mock",
        &format!("key_optional = true\nwire = 'responses'\n{profile}"),
    );
    keeping(Snapshot::single(profile.unwrap(), "http://127.0.0.1:9/v1"))
}

fn ask_of(snapshot: Snapshot, body: &str) -> Peer {
    Peer::with(
        snapshot,
        &post("/v1/responses", body.len()),
        body.as_bytes(),
    )
}

pub(super) fn ask(body: &str) -> Peer {
    ask_of(keeping(snapshot()), body)
}

impl Peer {
    /// A chat provider that says `text`.
    pub(super) fn answer(&mut self, text: &str) {
        self.connected();
        self.bytes(SSE);
        self.text(text);
        self.chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
        self.chunk("[DONE]");
        self.bytes("0\r\n\r\n");
    }

    /// The store answers all that it was asked.
    pub(super) fn stored(&mut self, store: &mut Memory) {
        while let Some(question) = self.questions.pop_front() {
            self.input(Input::Stored(store.answer(question)));
        }
    }

    /// The head and the body of a whole answer.
    pub(super) fn answered(&self) -> (u16, Json) {
        let said = self.said();
        let (head, body) = said.split_once("\r\n\r\n").expect("an answer");
        let status = head[9..12].parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Json::Null))
    }

    /// The body of the last request to the provider.
    fn sent(&self) -> Json {
        let text = String::from_utf8_lossy(&self.upstream);
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

/// The response object of a stream's terminal event.
fn last_response(said: &str) -> Json {
    let of = |line: &str| serde_json::from_str::<Json>(line.strip_prefix("data: ")?).ok();
    let ends = [
        "response.completed",
        "response.incomplete",
        "response.failed",
    ];
    let mut events = said.lines().filter_map(of);
    let end = events.find(|e| ends.contains(&e["type"].as_str().unwrap()));
    end.expect("a terminal event")["response"].clone()
}

/// A kept response's id, after `text` was answered.
pub(super) fn kept(store: &mut Memory, text: &str) -> String {
    let mut peer = ask(ASK);
    peer.answer(text);
    peer.stored(store);
    last_response(&peer.said())["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_last_piece_waits_until_the_response_is_kept() {
    for stream in [true, false] {
        let mut peer = ask(&ASK.replace("true", if stream { "true" } else { "false" }));
        peer.answer("hello");
        assert_eq!(
            (peer.questions.len(), peer.terminals(), peer.done),
            (1, 0, None)
        );
        assert_eq!(peer.said().contains("hello"), stream);
        assert_eq!(peer.released, 1, "the connection does not wait");
        let mut store = Memory::default();
        peer.stored(&mut store);
        assert_eq!((peer.done, peer.released), (Some(true), 1));
        let response = match stream {
            true => last_response(&peer.said()),
            false => peer.answered().1,
        };
        let stored = store.only();
        let object: Json = serde_json::from_slice(&stored.response).unwrap();
        assert_eq!(object, response, "what is kept is what the client got");
        assert_eq!(
            (&response["store"], &response["status"]),
            (&json!(true), &json!("completed"))
        );
        assert_eq!(
            (stored.status, stored.background),
            (Status::Completed, false)
        );
        assert_eq!(
            (stored.streamed, stored.created_at),
            (stream, 1_760_000_000)
        );
        let input: Json = serde_json::from_slice(&stored.input).unwrap();
        assert!(input["id"].as_str().unwrap().starts_with("msg_"));
        assert_eq!(input["content"], json!([{"type":"input_text","text":"hi"}]));
        assert!(peer.exchange.record().to_string().contains(" stored=yes"));
    }
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let quiet = ASK.replace("}", r#","store":false}"#);
    let mut peer = ask(&quiet);
    peer.answer("a");
    assert_eq!((peer.questions.len(), peer.done), (0, Some(true)));
    assert_eq!(last_response(&peer.said())["store"], false);
    assert!(!peer.exchange.record().to_string().contains("stored="));
    // Without a store nothing is, and that is said.
    let mut peer = Peer::ask(&ASK.replace("}", r#","store":true}"#));
    peer.answer("a");
    assert_eq!((peer.questions.len(), peer.done), (0, Some(true)));
    let response = last_response(&peer.said());
    assert_eq!(response["store"], false);
    assert_eq!(
        response["metadata"]["strait_diagnostics"],
        "field.degraded store"
    );
    assert!(peer.exchange.record().to_string().contains("stored=no"));
    // Nor what failed before there was output.
    let mut peer = ask(ASK);
    peer.connected();
    peer.bytes("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((peer.questions.len(), peer.answered().0), (0, 502));
}

#[test]
fn a_store_in_trouble_costs_no_answer() {
    for (stream, late) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut peer = ask(&ASK.replace("true", if stream { "true" } else { "false" }));
        peer.answer("hello");
        let begun = peer.now;
        match late {
            true => {
                peer.wait();
                assert_eq!(peer.now - begun, limits::STORE_WAIT);
            }
            false => peer.input(Input::Stored(Reply::Failed("disk full".to_owned()))),
        }
        assert_eq!(peer.done, Some(true));
        let response = match stream {
            true => last_response(&peer.said()),
            false => peer.answered().1,
        };
        assert_eq!(
            (&response["store"], &response["status"]),
            (&json!(false), &json!("completed"))
        );
        let record = peer.exchange.record().to_string();
        let (said, why) = if late {
            ("late", "in time")
        } else {
            ("failed", "disk full")
        };
        assert!(
            record.contains(&format!("stored={said}")) && record.contains(why),
            "{record}"
        );
        assert!(record.contains("outcome=completed"));
        let before = peer.client.len();
        peer.input(Input::Stored(Reply::Kept));
        assert_eq!(
            peer.client.len(),
            before,
            "an answer that comes too late changes nothing"
        );
    }
}

#[test]
fn what_failed_after_output_is_kept_and_not_continued() {
    let mut store = Memory::default();
    let mut peer = ask(ASK);
    peer.connected();
    peer.bytes(SSE);
    peer.text("half");
    peer.input(Input::UpstreamBroken("reset"));
    assert!(
        peer.said().contains("event: error\n"),
        "what is known is said at once"
    );
    assert_eq!(peer.terminals(), 0);
    peer.stored(&mut store);
    assert_eq!((peer.terminals(), peer.closed), (1, 1));
    assert_eq!(store.only().status, Status::Failed);
    let id = last_response(&peer.said())["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut next = ask(&ASK.replace("}", &format!(r#","previous_response_id":"{id}"}}"#)));
    next.stored(&mut store);
    let (status, body) = next.answered();
    assert_eq!(
        (status, &body["error"]["param"]),
        (400, &json!("previous_response_id"))
    );
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("failed"),
        "{body}"
    );
}

#[test]
fn a_client_that_leaves_meanwhile_loses_nothing() {
    let mut peer = ask(ASK);
    peer.answer("a");
    let mut store = Memory::default();
    peer.input(Input::ClientGone);
    assert_eq!(peer.done, None);
    peer.stored(&mut store);
    assert_eq!((peer.done, store.len()), (Some(false), 1));
    assert_eq!(peer.terminals(), 0);
    // One that leaves before the end has cancelled it.
    let mut peer = ask(ASK);
    peer.connected();
    peer.bytes(SSE);
    peer.text("a");
    peer.input(Input::ClientGone);
    assert_eq!((peer.done, peer.questions.len()), (Some(false), 0));
}

#[test]
fn a_drain_does_not_wait_long_for_the_store() {
    let mut peer = ask(ASK);
    peer.connected();
    peer.bytes(SSE);
    peer.text("a");
    peer.input(Input::Drain);
    assert_eq!((peer.questions.len(), peer.terminals()), (1, 0));
    let mut store = Memory::default();
    peer.stored(&mut store);
    assert_eq!((peer.terminals(), store.only().status), (1, Status::Failed));
    let mut peer = ask(ASK);
    peer.answer("a");
    peer.input(Input::Drain);
    let begun = peer.now;
    peer.wait();
    assert_eq!(peer.now - begun, limits::STORE_LAST_WAIT);
    assert_eq!((peer.terminals(), peer.done), (1, Some(false)));
}

#[test]
fn an_end_of_the_provider_meanwhile_changes_nothing() {
    let mut peer = ask(ASK);
    peer.input(Input::Connected { reused: true });
    // The head was held as long as it may be; then Strait stops.
    peer.wait();
    peer.input(Input::Drain);
    assert_eq!((peer.questions.len(), peer.connects), (1, 1));
    peer.input(Input::UpstreamEof);
    assert_eq!(peer.connects, 1, "nothing is asked again");
    let mut store = Memory::default();
    peer.stored(&mut store);
    assert_eq!((peer.terminals(), peer.done), (1, Some(false)));
}

#[test]
fn a_request_goes_on_from_a_kept_response() {
    let mut store = Memory::default();
    let first = kept(&mut store, "hello");
    let next = format!(
        r#"{{"model":"m","stream":true,"instructions":"Be brief.","input":[{{"role":"user","content":"more"}}],"previous_response_id":"{first}"}}"#
    );
    let mut ids = Vec::new();
    // Two children of one parent.
    for text in ["one", "two"] {
        let mut peer = ask(&next);
        assert_eq!(
            (peer.connects, peer.questions.len()),
            (0, 1),
            "the store is asked first"
        );
        peer.stored(&mut store);
        peer.answer(text);
        let messages = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": "more"},
        ]);
        assert_eq!(peer.sent()["messages"], messages);
        peer.stored(&mut store);
        let response = last_response(&peer.said());
        assert_eq!(response["previous_response_id"], first.as_str());
        ids.push(response["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(store.len(), 3);
    // The grandchild is given everything, in order, each item with its id as before.
    let before = store.get(&ids[0]).input.clone();
    let mut peer = ask(&next.replace(&first, &ids[0]));
    peer.stored(&mut store);
    peer.answer("three");
    assert_eq!(peer.sent()["messages"].as_array().unwrap().len(), 6);
    let Some(Ask::Put(last)) = peer.questions.pop_front() else {
        panic!("it is kept")
    };
    assert!(last.input.starts_with(&before));
}

#[test]
fn what_cannot_be_continued_is_told_in_the_apis_words() {
    let ask_for = |id: &str| ASK.replace("}", &format!(r#","previous_response_id":{id}}}"#));
    let mut store = Memory::default();
    let legal = kept(&mut store, "hello");
    for (id, code) in [
        ("\"resp_nobody\"", "previous_response_not_found"),
        ("\"../etc\"", "previous_response_not_found"),
        ("\"\"", "previous_response_not_found"),
        ("7", "invalid_type"),
    ] {
        let mut peer = ask(&ask_for(id));
        peer.stored(&mut store);
        let (status, body) = peer.answered();
        assert_eq!(
            (status, &body["error"]["code"]),
            (400, &json!(code)),
            "{id}"
        );
        assert_eq!(body["error"]["param"], "previous_response_id");
        assert_eq!(peer.connects, 0);
    }
    let (_, body) = {
        let mut peer = ask(&ask_for("\"resp_abc\""));
        peer.stored(&mut store);
        peer.answered()
    };
    let message = "Previous response with id 'resp_abc' not found.";
    assert_eq!(body["error"]["message"], message);
    // Without a store the same; with one in trouble a 503.
    let peer = Peer::ask(&ask_for(&format!("{legal:?}")));
    assert_eq!(
        peer.answered().1["error"]["code"],
        "previous_response_not_found"
    );
    let mut peer = ask(&ask_for(&format!("{legal:?}")));
    peer.input(Input::Stored(Reply::Failed("gone".to_owned())));
    assert_eq!(peer.answered().0, 503);
    let mut peer = ask(&ask_for(&format!("{legal:?}")));
    peer.wait();
    assert_eq!((peer.answered().0, peer.done), (503, Some(true)));
    let mut peer = ask(&ask_for(&format!("{legal:?}")));
    peer.input(Input::ClientGone);
    assert_eq!((peer.done, peer.connects), (Some(false), 0));
}

const STREAM: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_up\",\"model\":\"m\",\"created_at\":5}}\n\n\
    data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"hello\"}]}}\n\n\
    event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_up\",\"status\":\"completed\", \"store\":true,\"output\":[]}}\n\ndata: [DONE]\n\n";

#[test]
fn a_stream_that_passes_through_is_kept_at_every_cut() {
    let expected = {
        let mut peer = ask_of(passing(""), &ASK.replace("}", ",\"store\":false}"));
        peer.connected();
        peer.bytes(&format!("{SSE}{:x}\r\n{STREAM}\r\n0\r\n\r\n", STREAM.len()));
        peer.said()
            .replace("\r\n", "")
            .replace(|c: char| c.is_ascii_hexdigit(), "")
    };
    for fails in [false, true] {
        for cut in 0..=STREAM.len() {
            let mut peer = ask_of(passing(""), ASK);
            peer.connected();
            peer.bytes(SSE);
            for piece in [&STREAM[..cut], &STREAM[cut..]] {
                if !piece.is_empty() {
                    peer.bytes(&format!("{:x}\r\n{piece}\r\n", piece.len()));
                }
            }
            assert!(!peer.said().contains("response.completed"), "cut at {cut}");
            peer.bytes("0\r\n\r\n");
            let mut store = Memory::default();
            match fails {
                true => peer.input(Input::Stored(Reply::Failed("x".to_owned()))),
                false => peer.stored(&mut store),
            }
            assert_eq!((peer.done, peer.released), (Some(true), 1), "cut at {cut}");
            let said = peer
                .said()
                .replace("\r\n", "")
                .replace(|c: char| c.is_ascii_hexdigit(), "");
            if fails {
                assert_eq!(last_response(&peer.said())["store"], false);
                continue;
            }
            assert_eq!(said, expected, "cut at {cut}");
            let object: Json = serde_json::from_slice(&store.only().response).unwrap();
            assert_eq!(object["output"][0]["content"][0]["text"], "hello");
            assert_eq!(store.only().key.id, "resp_up");
        }
    }
}

#[test]
fn a_provider_that_never_ends_its_stream_is_not_waited_for() {
    let mut peer = ask_of(passing(""), ASK);
    peer.connected();
    peer.bytes(SSE);
    peer.bytes(&format!("{:x}\r\n{STREAM}\r\n", STREAM.len()));
    let begun = peer.now;
    peer.wait();
    assert_eq!(peer.now - begun, limits::FINISH_GRACE);
    let mut store = Memory::default();
    peer.stored(&mut store);
    assert_eq!((peer.terminals(), store.len()), (1, 1));
}

#[test]
fn objects_that_pass_or_are_folded_are_kept() {
    let body = ASK.replace("true", "false");
    let object = json!({"id": "resp_up", "status": "completed", "store": false,
        "output": [{"type": "message", "id": "msg_1"}]})
    .to_string();
    let mut peer = ask_of(passing(""), &body);
    peer.connected();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
    peer.bytes(&format!("{head}: {}\r\n\r\n{object}", object.len()));
    let mut store = Memory::default();
    peer.stored(&mut store);
    assert_eq!(peer.answered().1.to_string(), object);
    assert_eq!(String::from_utf8_lossy(&store.only().response), object);

    let mut peer = ask_of(passing("stream_only = true"), &body);
    peer.connected();
    peer.bytes(&format!("{SSE}{:x}\r\n{STREAM}\r\n0\r\n\r\n", STREAM.len()));
    let mut store = Memory::default();
    peer.stored(&mut store);
    let (status, object) = peer.answered();
    assert_eq!((status, &object["output"][0]["id"]), (200, &json!("msg_1")));
    let kept: Json = serde_json::from_slice(&store.only().response).unwrap();
    assert_eq!(kept, object);
}

#[test]
fn an_answer_that_cannot_be_kept_is_said_all_the_same() {
    for object in [
        json!({"id": "a/b", "status": "completed"}),
        json!({"status": "completed"}),
        json!({"id": "resp_1", "status": "queued"}),
        json!({"id": "resp_1"}),
        json!([1]),
    ] {
        let object = object.to_string();
        let mut peer = ask_of(passing(""), &ASK.replace("true", "false"));
        peer.connected();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        peer.bytes(&format!("{head}: {}\r\n\r\n{object}", object.len()));
        assert_eq!(
            (peer.questions.len(), peer.done),
            (0, Some(true)),
            "{object}"
        );
        assert_eq!(peer.answered().1.to_string(), object);
        assert!(peer.exchange.record().to_string().contains("stored=no"));
    }
}

#[test]
fn what_a_provider_keeps_it_may_continue_itself() {
    let body = ASK.replace("}", r#","previous_response_id":"resp_theirs"}"#);
    let mut peer = ask_of(passing("keeps_responses = true"), &body);
    let mut store = Memory::default();
    peer.stored(&mut store);
    peer.connected();
    assert_eq!(peer.sent()["previous_response_id"], "resp_theirs");
    peer.bytes(&format!("{SSE}{:x}\r\n{STREAM}\r\n0\r\n\r\n", STREAM.len()));
    // Its input is not known, so it is not kept here either.
    assert_eq!((peer.done, peer.questions.len()), (Some(true), 0));
    let mut peer = ask_of(passing(""), &body);
    peer.stored(&mut store);
    assert_eq!(
        peer.answered().1["error"]["code"],
        "previous_response_not_found"
    );
    // What is kept here goes on there whole.
    let mut store = Memory::default();
    let first = kept(&mut store, "hello");
    let mut peer = ask_of(
        passing("keeps_responses = true"),
        &body.replace("resp_theirs", &first),
    );
    peer.stored(&mut store);
    peer.connected();
    let sent = peer.sent();
    assert!(sent.get("previous_response_id").is_none());
    assert_eq!(sent["input"].as_array().unwrap().len(), 3, "{sent}");
}
