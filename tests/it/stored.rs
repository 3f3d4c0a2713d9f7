//! Responses that are kept, over real sockets: asked for, continued, forgotten; by another
//! process, after a kill, and by OpenAI's SDK.

use crate::client::{Answer, Connection, post_with};
use crate::cluster::Cluster;
use crate::judge::judge;
use crate::provider::{self, Provider, Seen, delta, finish};
use crate::sdk;
use crate::skip;
use crate::strait::{Strait, scratch};
use serde_json::{Value, json};
use std::net::SocketAddr;

pub const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// Says how many messages it was given, and the last of them.
fn counts(seen: &Seen) -> provider::Answer {
    let list = ["messages", "input"].map(|name| seen.body[name].as_array());
    let list = list.into_iter().flatten().next().unwrap();
    let last = &list.last().unwrap()["content"];
    let last = last.as_str().or(last[0]["text"].as_str()).unwrap_or("?");
    let text = format!("{}: {last}", list.len());
    match seen.head.contains("/responses") {
        true => provider::Answer::Raw(responses_stream(&text)),
        false => {
            let mut data = vec![delta(json!({"role": "assistant", "content": text}))];
            data.extend(finish("stop"));
            provider::Answer::Stream(data)
        }
    }
}

/// What a provider that speaks Responses says.
fn responses_stream(text: &str) -> Vec<u8> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = format!("resp_{:048}", COUNT.fetch_add(1, Ordering::Relaxed));
    let item = json!({"id": "msg_up", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]});
    let response = |status: &str, output: Value| {
        json!({"id": id, "object": "response", "created_at": 5, "status": status, "model": "m",
            "output": output, "store": true})
    };
    let events = [
        json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress", json!([]))}),
        json!({"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": item}),
        json!({"type": "response.completed", "sequence_number": 2, "response": response("completed", json!([item]))}),
    ];
    let frame = |e: &Value| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap());
    events.iter().map(frame).collect::<String>().into_bytes()
}

/// A Strait with two providers and two client keys.
pub fn start(provider: &Provider, driver: &str, store: &Store) -> Strait {
    let more = format!(
        "[providers.far]\nprofile = \"openai\"\nbase_url = \"{}\"\napi_key = \"sk-test-provider-key\"\n\
         [models]\nfar = \"far/m\"\nnear = \"mock/m\"\n\
         [[keys]]\nname = \"a\"\nkey = \"key-a\"\n[[keys]]\nname = \"b\"\nkey = \"key-b\"\n\
         [timeouts]\ndrain_s = 0.3\n[store]\nurl = \"{url}\"\n",
        provider.url(),
        url = store.url
    );
    Strait::with("openai-compatible", &provider.url(), driver, &more)
}

/// Where responses are kept.
pub struct Store {
    url: String,
    _server: Option<Cluster>,
}

impl Store {
    /// A file.
    pub fn file() -> Store {
        let file = scratch("store").join("strait.db");
        Store {
            url: format!("sqlite:{}", file.display()),
            _server: None,
        }
    }

    /// A file, and a PostgreSQL server where it is installed.
    pub fn each() -> Vec<Store> {
        let mut stores = vec![Store::file()];
        match Cluster::start() {
            Some(server) => stores.push(Store {
                url: server.url("127.0.0.1", "postgres"),
                _server: Some(server),
            }),
            None => skip("PostgreSQL is not installed"),
        }
        stores
    }
}

/// One request on a connection of its own.
pub fn ask(
    address: SocketAddr,
    key: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let mut connection = Connection::open(address);
    let field = format!("authorization: Bearer {key}\r\n");
    match body {
        Some(body) => connection.send(post_with(path, &field, body.to_string().as_bytes())),
        None => connection.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\n{field}\r\n"
        )),
    }
    connection.answer()
}

pub fn create(address: SocketAddr, body: Value) -> Answer {
    ask(address, "key-a", "POST", "/v1/responses", Some(&body))
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(
        address,
        "key-a",
        "GET",
        &format!("/v1/responses/{path}"),
        None,
    )
}

/// The response object at the end of a stream, or the object itself.
pub fn response_of(answer: &Answer) -> Value {
    match answer.body.starts_with(b"{") {
        true => answer.json(),
        false => answer.events().pop().unwrap()["response"].clone(),
    }
}

fn text_of(response: &Value) -> &str {
    let output = response["output"].as_array().unwrap();
    output.last().unwrap()["content"][0]["text"]
        .as_str()
        .unwrap()
}

#[test]
fn kept_shown_continued_and_forgotten() {
    for driver in DRIVERS {
        let provider = Provider::answering(counts);
        let strait = start(&provider, driver, &Store::file());
        let at = strait.address;
        let first = create(at, json!({"model": "near", "input": "one", "stream": true}));
        let whole = create(at, json!({"model": "near", "input": "one"}));
        let one = response_of(&first);
        let id = one["id"].as_str().unwrap();
        assert_eq!(get(at, id).json(), one);
        assert_eq!(
            get(at, whole.json()["id"].as_str().unwrap()).json(),
            whole.json()
        );

        // On by another provider, which speaks the other dialect, and back; two children.
        let next = |model: &str, previous: &str, input: &str| json!({"model": model, "stream": true, "input": input, "previous_response_id": previous});
        let far = create(at, next("far", id, "two"));
        let two = response_of(&far);
        assert_eq!(text_of(&two), "3: two");
        let back = create(at, next("near", two["id"].as_str().unwrap(), "three"));
        let three = response_of(&back);
        assert_eq!(
            (text_of(&three), &three["previous_response_id"]),
            ("5: three", &two["id"])
        );
        let fork = create(at, next("near", id, "other"));
        assert_eq!(text_of(&response_of(&fork)), "3: other");
        judge(&[
            ("first", &first),
            ("whole", &whole),
            ("back", &back),
            ("fork", &fork),
        ]);

        let path = format!("{}/input_items?limit=2", three["id"].as_str().unwrap());
        let mut ids = Vec::new();
        let mut page = get(at, &path).json();
        while page["has_more"] == true {
            ids.extend(
                page["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|i| i["id"].clone()),
            );
            let after = page["last_id"].as_str().unwrap();
            page = get(at, &format!("{path}&after={after}")).json();
        }
        ids.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| i["id"].clone()),
        );
        assert_eq!(ids.len(), 5, "all that the model was given");
        assert_eq!(ids[1], "msg_up");

        let path = format!("/v1/responses/{id}");
        for (method, path) in [
            ("GET", path.clone()),
            ("DELETE", path.clone()),
            ("GET", format!("{path}/input_items")),
        ] {
            let answer = ask(at, "key-b", method, &path, None);
            assert_eq!(
                answer.status,
                404,
                "{}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        let stolen = ask(
            at,
            "key-b",
            "POST",
            "/v1/responses",
            Some(&next("near", id, "x")),
        );
        assert_eq!(
            stolen.json()["error"]["code"],
            "previous_response_not_found"
        );
        assert_eq!(
            ask(at, "key-a", "DELETE", &path, None).json()["deleted"],
            true
        );
        assert_eq!(get(at, id).status, 404);
        let orphan = create(at, next("near", id, "x"));
        assert_eq!(
            (orphan.status, &orphan.json()["error"]["code"]),
            (400, &json!("previous_response_not_found"))
        );
        // What continued it stays whole.
        let still = create(at, next("near", three["id"].as_str().unwrap(), "four"));
        assert_eq!(text_of(&response_of(&still)), "7: four");
        let quiet = create(at, json!({"model": "near", "input": "x", "store": false}));
        assert_eq!(get(at, quiet.json()["id"].as_str().unwrap()).status, 404);
    }
}

#[test]
fn what_is_kept_can_be_counted_and_compacted() {
    let provider = Provider::answering(counts);
    let strait = start(&provider, "io_uring", &Store::file());
    let about = |path: &str, previous: &Value| {
        let body = json!({"model": "near", "input": "more", "previous_response_id": previous});
        let path = format!("/v1/responses/{path}");
        ask(strait.address, "key-a", "POST", &path, Some(&body))
    };
    let said = "word ".repeat(100);
    let kept = create(strait.address, json!({"model": "near", "input": said})).json();
    let tokens = |previous: &Value| {
        let counted = about("input_tokens", previous).json();
        counted["input_tokens"].as_u64().unwrap()
    };
    assert!(tokens(&kept["id"]) > tokens(&Value::Null) + 200);

    let compacted = about("compact", &kept["id"]).json();
    assert_eq!(compacted["object"], "response.compaction");
    let mut output = compacted["output"].as_array().unwrap().clone();
    assert_eq!(output[0]["content"][0]["text"], said);
    assert_eq!(output.last().unwrap()["type"], "compaction");
    output.push(json!({"type": "message", "role": "user", "content": "on"}));
    let on = create(strait.address, json!({"model": "near", "input": output})).json();
    assert_eq!(text_of(&on), "4: on");

    for path in ["input_tokens", "compact"] {
        let lost = about(path, &json!("resp_lost"));
        let code = &lost.json()["error"]["code"];
        assert_eq!(
            (lost.status, code),
            (400, &json!("previous_response_not_found"))
        );
    }
}

#[test]
fn a_conversation_goes_on_on_another_process() {
    let provider = Provider::answering(counts);
    for store in Store::each() {
        for driver in DRIVERS {
            let straits = [0, 1].map(|_| start(&provider, driver, &store));
            let mut previous = Value::Null;
            for turn in 0..6 {
                let body = json!({"model": "near", "input": format!("turn {turn}"),
                    "stream": turn % 3 == 0, "previous_response_id": previous});
                let response = response_of(&create(straits[turn % 2].address, body));
                assert_eq!(text_of(&response), format!("{}: turn {turn}", 2 * turn + 1));
                previous = response["id"].clone();
            }
            let id = previous.as_str().unwrap();
            let bodies = straits.each_ref().map(|s| get(s.address, id).body);
            assert_eq!(bodies[0], bodies[1]);
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    for store in Store::each() {
        kill_again_and_again(&store);
    }
}

fn kill_again_and_again(store: &Store) {
    let provider = Provider::answering(counts);
    let mut acknowledged: Vec<Value> = Vec::new();
    for (round, pause_ms) in [0u64, 3, 11, 2, 29, 7, 17, 5].into_iter().enumerate() {
        let mut strait = start(&provider, DRIVERS[round % 2], store);
        for response in &acknowledged {
            let id = response["id"].as_str().unwrap();
            assert_eq!(get(strait.address, id).json(), *response);
        }
        let address = strait.address;
        let clients: Vec<_> = (0..4)
            .map(|n| std::thread::spawn(move || clients_until_killed(address, n % 2 == 0)))
            .collect();
        // The moment is what is under test: it only has to differ from round to round.
        std::thread::sleep(std::time::Duration::from_millis(60 + pause_ms));
        strait.child.kill().unwrap();
        strait.child.wait().unwrap();
        for client in clients {
            acknowledged.extend(client.join().unwrap());
        }
    }
    assert!(acknowledged.len() > 8, "{} responses", acknowledged.len());
}

/// Asks until the connection breaks; the responses whose end was seen.
fn clients_until_killed(address: SocketAddr, stream: bool) -> Vec<Value> {
    use std::io::{Read, Write};
    let body = json!({"model": "near", "input": "x", "stream": stream}).to_string();
    let request = post_with(
        "/v1/responses",
        "authorization: Bearer key-a\r\nconnection: close\r\n",
        body.as_bytes(),
    );
    let mut seen = Vec::new();
    loop {
        let Ok(mut connection) = std::net::TcpStream::connect(address) else {
            return seen;
        };
        let mut said = Vec::new();
        let whole = connection.write_all(&request).is_ok();
        let _ = connection.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        let data = |line: &str| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok();
        let end = match stream {
            true => said
                .lines()
                .filter_map(data)
                .find(|e| e["type"] == "response.completed")
                .map(|e| e["response"].clone()),
            false => said
                .split_once("\r\n\r\n")
                .and_then(|(_, body)| serde_json::from_str(body).ok()),
        };
        match end {
            Some(response) => seen.push(response),
            None if whole => return seen,
            None => {}
        }
    }
}

#[test]
fn openai_for_python_keeps_and_continues() {
    for driver in DRIVERS {
        let provider = Provider::answering(counts);
        let strait = start(&provider, driver, &Store::file());
        sdk::run_suite("stored_suite.py", strait.address, "key-a", 6);
    }
}
