//! Responses that are kept, continued and asked for: the exchange with a store that is quick,
//! slow, in trouble or not there.

use super::exchange::{Input, Machine};
use super::exchange_tests::{Peer, SSE, post, snapshot};
use super::memory::Memory;
use crate::config::{ClientKey, Place, Snapshot};
use crate::ledger::stored::{Ask, Reply, Status};
use crate::limits;
use crate::provider::Profile;
use serde_json::{Value as Json, json};

const ASK: &str = r#"{"model":"m","stream":true,"input":"hi"}"#;

fn keeping(mut snapshot: Snapshot) -> Snapshot {
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

fn ask(body: &str) -> Peer {
    ask_of(keeping(snapshot()), body)
}

impl Peer {
    /// A chat provider that says `text`.
    fn answer(&mut self, text: &str) {
        self.connected();
        self.bytes(SSE);
        self.text(text);
        self.chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
        self.chunk("[DONE]");
        self.bytes("0\r\n\r\n");
    }

    /// The store answers all that it was asked.
    fn stored(&mut self, store: &mut Memory) {
        while let Some(question) = self.questions.pop_front() {
            self.input(Input::Stored(store.answer(question)));
        }
    }

    /// The head and the body of a whole answer.
    fn answered(&self) -> (u16, Json) {
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
fn kept(store: &mut Memory, text: &str) -> String {
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
        assert!(peer.exchange.record().contains(" stored=yes"));
    }
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let quiet = ASK.replace("}", r#","store":false}"#);
    let mut peer = ask(&quiet);
    peer.answer("a");
    assert_eq!((peer.questions.len(), peer.done), (0, Some(true)));
    assert_eq!(last_response(&peer.said())["store"], false);
    assert!(!peer.exchange.record().contains("stored="));
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
    assert!(peer.exchange.record().contains("stored=no"));
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
        let record = peer.exchange.record();
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

#[test]
fn a_response_is_visible_to_its_key_alone() {
    let keyed = || {
        let mut snapshot = keeping(snapshot());
        for name in ["a", "b"] {
            let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
            snapshot.keys.push(ClientKey {
                name: name.to_owned(),
                sha256: digest.as_ref().try_into().unwrap(),
            });
        }
        snapshot
    };
    let with_key = |head: &str, key: &str| {
        head.replacen("\r\n", &format!("\r\nauthorization: Bearer {key}\r\n"), 1)
    };
    let mut store = Memory::default();
    let head = with_key(&post("/v1/responses", ASK.len()), "a");
    let mut peer = Peer::with(keyed(), &head, ASK.as_bytes());
    peer.answer("mine");
    peer.stored(&mut store);
    let id = store.only().key.id.clone();
    assert_eq!(store.only().key.owner, "a");
    for (key, status) in [("b", 404), ("a", 200)] {
        for (method, path) in [("GET", ""), ("GET", "/input_items"), ("DELETE", "")] {
            let head = format!("{method} /v1/responses/{id}{path} HTTP/1.1\r\nhost: x\r\n\r\n");
            let mut peer = Peer::with(keyed(), &with_key(&head, key), b"");
            peer.stored(&mut store);
            assert_eq!(peer.answered().0, status, "{key} {method} {path}");
        }
    }
    assert_eq!(store.len(), 0);
}

/// What a path is answered with a method.
fn get(store: &mut Memory, method: &str, path: &str) -> (u16, Json) {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut peer = Peer::with(keeping(snapshot()), &head, b"");
    peer.stored(store);
    assert_eq!(peer.done, Some(true), "{method} {path}");
    peer.answered()
}

#[test]
fn a_response_is_shown_and_forgotten() {
    let mut store = Memory::default();
    let id = kept(&mut store, "hello");
    let path = format!("/v1/responses/{id}");
    let (status, object) = get(&mut store, "GET", &path);
    assert_eq!((status, &object["id"]), (200, &json!(id)));
    assert_eq!(object["output"][0]["content"][0]["text"], "hello");
    assert_eq!(get(&mut store, "HEAD", &path), (200, Json::Null));
    let (status, body) = get(&mut store, "GET", &format!("{path}?stream=true"));
    assert_eq!((status, &body["error"]["param"]), (400, &json!("stream")));
    let (status, body) = get(&mut store, "POST", &format!("{path}/cancel"));
    let message = "Cannot cancel a synchronous response.";
    assert_eq!((status, &body["error"]["message"]), (400, &json!(message)));
    let deleted = json!({"id": id, "object": "response", "deleted": true});
    assert_eq!(get(&mut store, "DELETE", &path), (200, deleted));
    let gone = json!({"error": {"message": format!("Response with id '{id}' not found."),
        "type": "invalid_request_error", "param": "id", "code": null}});
    for method in ["GET", "DELETE"] {
        assert_eq!(get(&mut store, method, &path), (404, gone.clone()));
    }
    for odd in [
        "/v1/responses/a%20b",
        "/v1/responses/a.b/input_items",
        &format!("/v1/responses/{}", "a".repeat(129)),
    ] {
        let head = format!("GET {odd} HTTP/1.1\r\nhost: x\r\n\r\n");
        let peer = Peer::with(keeping(snapshot()), &head, b"");
        assert_eq!((peer.answered().0, peer.questions.len()), (404, 0), "{odd}");
    }
}

#[test]
fn methods_and_a_missing_store_are_told() {
    for (method, path, allow) in [
        ("POST", "/v1/responses/resp_1", "GET, HEAD, DELETE"),
        ("PUT", "/responses/resp_1/input_items", "GET, HEAD"),
        ("GET", "/v1/responses/resp_1/cancel", "POST"),
        ("DELETE", "/v1/responses", "GET, POST"),
        ("POST", "/v1/models", "GET, HEAD"),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let peer = Peer::with(keeping(snapshot()), &head, b"");
        let said = peer.said();
        assert!(said.starts_with("HTTP/1.1 405 "), "{method} {path}");
        assert!(said.contains(&format!("\r\nallow: {allow}\r\n")), "{said}");
    }
    let peer = Peer::with(
        keeping(snapshot()),
        "GET /v1/responses/a/b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"",
    );
    assert_eq!(peer.answered().0, 404);
    let peer = Peer::with(
        snapshot(),
        "GET /v1/responses/resp_1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"",
    );
    let (status, body) = peer.answered();
    assert_eq!((status, &body["error"]["code"]), (501, &json!("store_off")));
    assert!(peer.said().contains("\r\nx-should-retry: false\r\n"));
    // A store that says nothing, or that it is in trouble.
    for late in [true, false] {
        let head = "GET /v1/responses/resp_1 HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut peer = Peer::with(keeping(snapshot()), head, b"");
        match late {
            true => peer.wait(),
            false => peer.input(Input::Stored(Reply::Failed("x".to_owned()))),
        }
        assert_eq!((peer.answered().0, peer.done), (503, Some(true)));
    }
}

#[test]
fn input_items_come_in_pages() {
    let mut store = Memory::default();
    let items: Vec<Json> = (0..25)
        .map(|n| json!({"role": "user", "content": n.to_string(), "id": format!("msg_{n}")}))
        .collect();
    let body = json!({"model": "m", "stream": true, "input": items}).to_string();
    let mut peer = ask(&body);
    peer.answer("a");
    peer.stored(&mut store);
    let path = format!("/v1/responses/{}/input_items", store.only().key.id);
    let mut page = |query: &str| {
        let (status, list) = get(&mut store, "GET", &format!("{path}{query}"));
        if status != 200 {
            return Err((status, list["error"]["param"].clone()));
        }
        let data = list["data"].as_array().unwrap();
        let ids: Vec<String> = data
            .iter()
            .map(|i| i["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(list["first_id"].as_str(), ids.first().map(String::as_str));
        assert_eq!(list["last_id"].as_str(), ids.last().map(String::as_str));
        assert_eq!(list["object"], "list");
        Ok((ids, list["has_more"].as_bool().unwrap()))
    };
    let ids = |range: &mut dyn Iterator<Item = u32>| -> Vec<String> {
        range.map(|n| format!("msg_{n}")).collect()
    };
    assert_eq!(page(""), Ok((ids(&mut (5..25).rev()), true)));
    assert_eq!(page("?after=msg_5"), Ok((ids(&mut (0..5).rev()), false)));
    assert_eq!(page("?order=asc&limit=3"), Ok((ids(&mut (0..3)), true)));
    assert_eq!(
        page("?limit=3&order=asc&after=msg_21"),
        Ok((ids(&mut (22..25)), false))
    );
    assert_eq!(page("?order=asc&after=msg_24"), Ok((Vec::new(), false)));
    for (query, param) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=x", "limit"),
        ("?order=up", "order"),
        ("?after=msg_99", "after"),
    ] {
        assert_eq!(page(query), Err((400, json!(param))), "{query}");
    }
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
        assert!(peer.exchange.record().contains("stored=no"));
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
