//! What is asked of kept responses: shown, listed, forgotten; by whom, and with which methods.

use super::exchange::Input;
use super::exchange_tests::{Peer, post, snapshot};
use super::keep_tests::{ASK, ask, keeping, kept};
use super::memory::Memory;
use crate::config::ClientKey;
use crate::ledger::stored::Reply;
use serde_json::{Value as Json, json};
use std::sync::Arc;

#[test]
fn a_response_is_visible_to_its_key_alone() {
    let keyed = || {
        let mut snapshot = keeping(snapshot());
        for name in ["a", "b"] {
            let key = ClientKey::new(name, name, false);
            snapshot.keys.push(Arc::new(key));
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
pub(super) fn get(store: &mut Memory, method: &str, path: &str) -> (u16, Json) {
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
