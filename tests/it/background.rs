//! Responses in the background, over real sockets: polled, cancelled, followed and resumed, also
//! from another process.

use crate::client::{Answer, Connection, post_with};
use crate::judge::judge_bodies;
use crate::provider::{self, Provider, Seen, delta, finish};
use crate::sdk;
use crate::stored::{DRIVERS, Store, ask, create, get, response_of, start};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Says many words; never ends where it is asked to wait.
fn talks(seen: &Seen) -> provider::Answer {
    let last = seen.body["messages"].as_array().unwrap().last().unwrap();
    let mut data: Vec<String> = (0..40)
        .map(|n| delta(json!({"content": format!("word {n}, ")})))
        .collect();
    if last["content"] == "wait" {
        return provider::Answer::Silence(data);
    }
    data.extend(finish("stop"));
    provider::Answer::Stream(data)
}

fn background(input: &str, stream: bool) -> Value {
    json!({"model": "near", "input": input, "background": true, "stream": stream})
}

/// Polls until the response has this status.
fn until(address: SocketAddr, id: &str, status: &str) -> Value {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let response = get(address, id).json();
        if response["status"] == status {
            return response;
        }
    }
    panic!("it is never {status}: {}", get(address, id).json());
}

fn cancel(address: SocketAddr, id: &str) -> Answer {
    let path = format!("/v1/responses/{id}/cancel");
    ask(address, "key-a", "POST", &path, None)
}

#[test]
fn polled_and_cancelled_from_another_process() {
    for (driver, file) in DRIVERS.into_iter().zip(Store::each()) {
        let provider = Provider::answering(talks);
        let (one, two) = (
            start(&provider, driver, &file),
            start(&provider, driver, &file),
        );
        let queued = create(one.address, background("hi", false)).json();
        assert_eq!(queued["status"], "queued");
        let id = queued["id"].as_str().unwrap();
        let whole = until(two.address, id, "completed");
        let text = whole["output"][0]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("word 0, ") && text.ends_with("word 39, "));
        judge_bodies(&[("completed", whole.to_string().as_bytes())]);

        let queued = create(one.address, background("wait", false)).json();
        let id = queued["id"].as_str().unwrap();
        until(two.address, id, "in_progress");
        for _ in 0..2 {
            assert_eq!(cancel(two.address, id).json()["status"], "cancelled");
        }
        let closed = provider.gone.recv_timeout(Duration::from_secs(10));
        closed.expect("the provider is told to stop");
        assert_eq!(get(one.address, id).json()["status"], "cancelled");
        let next = json!({"model": "near", "input": "x", "previous_response_id": id});
        assert_eq!(create(one.address, next).status, 400);
        let stranger = ask(
            one.address,
            "key-b",
            "GET",
            &format!("/v1/responses/{id}"),
            None,
        );
        assert_eq!(stranger.status, 404);
    }
}

#[test]
fn a_stream_that_is_cut_is_resumed_without_a_gap() {
    for (driver, file) in DRIVERS.into_iter().rev().zip(Store::each()) {
        let provider = Provider::answering(talks);
        let (one, two) = (
            start(&provider, driver, &file),
            start(&provider, driver, &file),
        );
        let whole = create(one.address, background("hi", true));
        assert_eq!(whole.terminals(), ["response.completed"]);
        judge_bodies(&[("whole", &whole.body)]);
        let events = whole.events();
        assert_eq!(events[0]["response"]["status"], "queued");
        let id = response_of(&whole)["id"].as_str().unwrap().to_owned();
        for cut in (0..events.len() - 1).step_by(5) {
            let rest = get(
                two.address,
                &format!("{id}?stream=true&starting_after={cut}"),
            );
            assert_eq!(rest.events(), events[cut + 1..], "behind {cut}");
        }
        // A client that leaves in the middle, and comes to the other process.
        let mut leaving = Connection::open(one.address);
        let body = background("wait", true).to_string();
        let field = "authorization: Bearer key-a\r\n";
        leaving.send(post_with("/v1/responses", field, body.as_bytes()));
        leaving.wait_for("response.queued\",\"sequence_number\":1");
        let said = String::from_utf8(leaving.take_held()).unwrap();
        drop(leaving);
        let said = &said[..said.rfind("\n\n").unwrap()];
        let at = said.find("resp_").unwrap();
        let name = &said[at..at + 53];
        let seen = said.rsplit("\"sequence_number\":").next().unwrap();
        let seen: u64 = seen[..seen.find(',').unwrap()].parse().unwrap();
        // It may have been sent all there is, but did not get to the end of it.
        let seen = seen.min(20);
        let mut coming = Connection::open(two.address);
        let path = format!("/v1/responses/{name}?stream=true&starting_after={seen}");
        coming.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{field}\r\n"));
        coming.wait_for("word 39, ");
        assert_eq!(cancel(one.address, name).status, 200);
        let rest = coming.answer().events();
        let numbers: Vec<u64> = rest
            .iter()
            .map(|e| e["sequence_number"].as_u64().unwrap())
            .collect();
        let missing = seen + 1..seen + 1 + rest.len() as u64;
        assert_eq!(numbers, missing.collect::<Vec<_>>());
        let last = rest.last().unwrap();
        assert_eq!(last["response"]["status"], "cancelled", "{last}");
        let again = get(two.address, &format!("{id}?stream=true"));
        assert_eq!(again.body, whole.body);
        assert_eq!(get(two.address, &id).json(), response_of(&whole));
    }
}

#[test]
fn what_a_stopped_process_worked_on_has_failed() {
    for driver in DRIVERS {
        let provider = Provider::answering(talks);
        let file = Store::file();
        let (mut one, two) = (
            start(&provider, driver, &file),
            start(&provider, driver, &file),
        );
        let queued = create(one.address, background("wait", false)).json();
        let id = queued["id"].as_str().unwrap();
        until(two.address, id, "in_progress");
        one.signal("TERM");
        assert!(one.child.wait().unwrap().success());
        let failed = until(two.address, id, "failed");
        assert_eq!(failed["error"]["code"], "server_error");
    }
}

#[test]
fn openai_for_python_works_in_the_background() {
    for driver in DRIVERS {
        let provider = Provider::answering(talks);
        let strait = start(&provider, driver, &Store::file());
        sdk::run_suite("background_suite.py", strait.address, "key-a", 3);
    }
}
