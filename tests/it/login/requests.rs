//! What reaches the backend, and what of its answer reaches the client.

use super::world::{
    ACCOUNT, REFUSED, SECRET, Server, World, ask, completed, field, hello, sse, text,
};
use crate::client::Answer as Got;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

fn head(got: &Got, name: &str) -> Option<String> {
    field(&got.head, name)
}

#[test]
fn a_plain_request_is_made_into_what_the_backend_takes() {
    for driver in ["io_uring", "epoll"] {
        let world = World::new(3600);
        let before = std::fs::read(world.file()).unwrap();
        let strait = world.serve(driver);
        let mut body = ask();
        for name in REFUSED {
            body[name] = json!(1);
        }
        let got = strait.respond(&body);
        assert_eq!(text(&got), "Hello there");
        let said = head(&got, "x-strait-diagnostics").unwrap();
        for name in REFUSED {
            assert!(
                said.contains(&format!("field.dropped {name}")),
                "{name}: {said}"
            );
        }
        let seen = world.taken().pop().unwrap();
        let input = json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}]);
        let expected = json!({"model": "gpt-5.5", "input": input, "instructions": "You are a helpful assistant.",
            "include": ["reasoning.encrypted_content"], "store": false, "stream": true});
        assert_eq!(seen.body, expected);
        let access = world.read()["tokens"]["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        for (name, value) in [
            ("authorization", format!("Bearer {access}")),
            ("chatgpt-account-id", ACCOUNT.to_owned()),
            ("originator", "strait".to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            (
                "user-agent",
                format!("strait/{}", env!("CARGO_PKG_VERSION")),
            ),
            ("accept", "text/event-stream".to_owned()),
            ("content-type", "application/json".to_owned()),
        ] {
            assert_eq!(field(&seen.head, name), Some(value), "{name}");
        }
        assert_eq!(field(&seen.head, "session-id").unwrap().len(), 36);
        assert_eq!(
            std::fs::read(world.file()).unwrap(),
            before,
            "the file is only read"
        );
        assert_eq!(world.refreshes().len(), 0);
    }
}

#[test]
fn what_the_client_says_itself_stands() {
    let world = World::new(3600);
    let own = "[providers.codex.override]\nheaders = { x-team = \"blue\" }\n\
        [providers.codex.override.default_body]\ninstructions = \"Talk like a pirate.\"\n";
    let strait = world.serve_with("io_uring", "", own);
    let mut body = ask();
    strait.respond(&body);
    body["instructions"] = "Be brief.".into();
    body["prompt_cache_key"] = "conversation-7".into();
    body["reasoning"] = json!({"effort": "high"});
    body["input"] = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]);
    strait.respond(&body);
    let seen = world.taken();
    assert_eq!(seen[0].body["instructions"], "Talk like a pirate.");
    assert_eq!(field(&seen[0].head, "x-team").as_deref(), Some("blue"));
    assert_eq!(seen[1].body["instructions"], "Be brief.");
    assert_eq!(seen[1].body["reasoning"], body["reasoning"]);
    assert_eq!(seen[1].body["input"][0]["role"], "developer");
    assert_eq!(
        field(&seen[1].head, "session-id").as_deref(),
        Some("conversation-7")
    );
    // Where the client asks for what the backend has not, the backend's own word is the answer.
    body["store"] = true.into();
    let got = strait.respond(&body);
    assert_eq!(got.status, 400);
    assert_eq!(got.json()["error"]["message"], "Store must be set to false");
}

#[test]
fn codex_goes_by_its_own_name_and_nobody_else_does() {
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    let body = json!({"model": "gpt-5.5", "stream": true, "store": false, "input": [{"type": "message", "role": "user"}]});
    let codex = "originator: codex_exec\r\nuser-agent: codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm\r\n\
        session-id: s-1\r\nthread-id: t-1\r\nx-client-request-id: t-1\r\nx-codex-window-id: t-1:0\r\n\
        x-codex-turn-state: turn\r\nx-openai-subagent: review\r\nx-other: 1\r\ncookie: c=1\r\n";
    strait.post("/v1/responses", codex, &body);
    let seen = world.taken().pop().unwrap();
    assert_eq!(seen.raw, body.to_string().into_bytes(), "untouched");
    for (name, value) in [
        ("originator", Some("codex_exec")),
        ("version", Some("0.169.0")),
        (
            "user-agent",
            Some("codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm"),
        ),
        ("session-id", Some("s-1")),
        ("thread-id", Some("t-1")),
        ("x-client-request-id", Some("t-1")),
        ("x-codex-window-id", Some("t-1:0")),
        ("x-codex-turn-state", Some("turn")),
        ("x-openai-subagent", Some("review")),
        ("x-other", None),
        ("cookie", None),
    ] {
        assert_eq!(field(&seen.head, name).as_deref(), value, "{name}");
        let times = seen.head.matches(&format!("\n{name}: ")).count();
        assert_eq!(times, usize::from(value.is_some()), "{name}");
    }
    let other = "originator: my_agent\r\nuser-agent: my_agent/9\r\nversion: 9\r\nsession-id: mine\r\n\
        authorization: Bearer x\r\nchatgpt-account-id: theirs\r\n";
    let mut body = body;
    body["instructions"] = "i".into();
    strait.post("/v1/responses", other, &body);
    let seen = world.taken().pop().unwrap();
    assert_eq!(field(&seen.head, "originator").as_deref(), Some("strait"));
    assert_eq!(field(&seen.head, "session-id").as_deref(), Some("mine"));
    assert!(
        !seen.head.contains("my_agent") && !seen.head.contains("theirs"),
        "{}",
        seen.head
    );
}

#[test]
fn a_stream_passes_untouched_and_codex_gets_what_it_reads() {
    let world = World::new(3600);
    world.state.lock().unwrap().fields = "x-codex-turn-state: sticky\r\nx-codex-primary-used-percent: 7\r\n\
        openai-model: other\r\nset-cookie: c=1\r\n";
    let strait = world.serve("epoll");
    let mut body = ask();
    body["stream"] = true.into();
    let got = strait.respond(&body);
    assert_eq!(got.body, sse(&hello()));
    assert_eq!(head(&got, "x-codex-turn-state").as_deref(), Some("sticky"));
    assert_eq!(
        head(&got, "x-codex-primary-used-percent").as_deref(),
        Some("7")
    );
    assert_eq!(
        (head(&got, "openai-model"), head(&got, "set-cookie")),
        (None, None)
    );
}

/// One item of every kind that the API has, and one that it has not.
fn items() -> Vec<Value> {
    vec![
        json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAA"}),
        json!({"type": "message", "id": "msg_1", "role": "assistant", "phase": "commentary", "status": "completed", "content": [{"type": "output_text", "text": "\u{e9}\n", "annotations": []}]}),
        json!({"type": "message", "id": "msg_2", "role": "assistant", "status": "completed", "content": [{"type": "refusal", "refusal": "No."}]}),
        json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "namespace": "ns", "arguments": "{\"a\":1.50}", "status": "completed"}),
        json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin Patch\n", "status": "completed"}),
        json!({"type": "tool_search_call", "id": "ts_1", "call_id": "call_3", "execution": "client", "arguments": {"query": "q"}, "status": "completed"}),
        json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}),
        json!({"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"], "results": null}),
        json!({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}),
        json!({"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "container_id": "c", "outputs": []}),
        json!({"type": "local_shell_call", "id": "ls_1", "call_id": "call_4", "status": "completed", "action": {"type": "exec", "command": ["ls"], "env": {}}}),
        json!({"type": "shell_call", "id": "sh_1", "call_id": "call_5", "status": "completed", "action": {"commands": ["ls"]}}),
        json!({"type": "apply_patch_call", "id": "ap_1", "call_id": "call_6", "status": "completed", "operation": {"type": "delete_file", "path": "p"}}),
        json!({"type": "computer_call", "id": "cc_1", "call_id": "call_7", "status": "completed", "action": {"type": "screenshot"}, "pending_safety_checks": []}),
        json!({"type": "mcp_list_tools", "id": "ml_1", "server_label": "l", "tools": []}),
        json!({"type": "mcp_approval_request", "id": "ma_1", "server_label": "l", "name": "n", "arguments": "{}"}),
        json!({"type": "mcp_call", "id": "mc_1", "server_label": "l", "name": "n", "arguments": "{}", "output": "o", "error": null}),
        json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "gBBBB"}),
        json!({"type": "of_a_kind_to_come", "id": "x_1", "deep": {"list": [1, null, 2.5]}}),
    ]
}

#[test]
fn items_of_every_kind_stand_in_the_object() {
    let items = items();
    let mut events = hello()[..1].to_vec();
    for (i, item) in items.iter().enumerate() {
        events.push(json!({"type": "response.output_item.done", "sequence_number": i, "output_index": i, "item": item}));
    }
    events.push(completed(99));
    for driver in ["io_uring", "epoll"] {
        let world = World::new(3600);
        world.state.lock().unwrap().events = events.clone();
        let strait = world.serve(driver);
        let got = strait.respond(&ask());
        assert_eq!(
            head(&got, "content-type").as_deref(),
            Some("application/json")
        );
        let object = got.json();
        assert_eq!(object["output"], json!(items));
        let mut whole = completed(0)["response"].clone();
        whole["output"] = json!(items);
        assert_eq!(object, whole);
    }
}

#[test]
fn every_recorded_stream_folds_to_its_own_end() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    let mut count = 0;
    for folder in ["vectors", "situations"] {
        for entry in std::fs::read_dir(tests.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if !path.to_string_lossy().ends_with(".events.jsonl") {
                continue;
            }
            let lines = std::fs::read_to_string(&path).unwrap();
            let mut events: Vec<Value> = lines
                .lines()
                .map(|l| serde_json::from_str(l).unwrap())
                .collect();
            let end = events.last_mut().unwrap();
            let (failed, expected) = (end["type"] == "response.failed", end["response"].clone());
            // As the backend does it.
            end["response"]["output"] = json!([]);
            world.state.lock().unwrap().events = events;
            let got = strait.respond(&ask());
            if failed {
                assert!(got.status >= 400, "{path:?}");
                assert!(got.json()["error"]["message"].is_string(), "{path:?}");
            } else {
                assert_eq!((got.status, got.json()), (200, expected), "{path:?}");
            }
            count += 1;
        }
    }
    assert!(count > 80);
}

#[test]
fn what_the_backend_refuses_keeps_its_meaning() {
    let limit = json!({"error": {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus", "resets_in_seconds": 99}});
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    for (status, fields, body, expected, code) in [
        (429, "", limit, 429, "insufficient_quota"),
        (
            429,
            "retry-after: 3\r\n",
            json!({"detail": "slow down"}),
            429,
            "rate_limit_exceeded",
        ),
        (
            400,
            "",
            json!({"detail": "The 'x' model is not supported when using Codex with a ChatGPT account."}),
            400,
            "invalid_request",
        ),
        (
            403,
            "",
            json!({"detail": "Forbidden"}),
            400,
            "provider_auth",
        ),
        (500, "", json!({"detail": "Oops"}), 502, "server_error"),
    ] {
        for stream in [false, true] {
            world.state.lock().unwrap().instead = Some((status, fields, body.to_string()));
            let mut asked = ask();
            asked["stream"] = stream.into();
            let got = strait.respond(&asked);
            let error = &got.json()["error"];
            assert_eq!(
                (got.status, error["code"].as_str()),
                (expected, Some(code)),
                "{error}"
            );
            assert!(
                !error["message"].as_str().unwrap().contains("codex login"),
                "{error}"
            );
        }
    }
}

fn strait(arguments: &[&str], world: &World) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_strait"))
        .args(arguments)
        .env_clear()
        .env("CODEX_HOME", &world.home)
        .current_dir(crate::strait::scratch("login-cli"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text.into_owned())
}

#[test]
fn beyond_loopback_it_is_served_to_nobody_without_a_key() {
    let world = World::new(3600);
    let open = world.config("listen = [\"0.0.0.0:0\"]", "");
    let (code, said) = strait(&["serve", "--config", open.to_str().unwrap()], &world);
    assert!(
        code == 2 && said.contains("beyond loopback, and no client keys"),
        "{said}"
    );
    let config = world.config("listen = [\"127.0.0.1:0\"]", "");
    let arguments = [
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--config",
        config.to_str().unwrap(),
    ];
    let (code, said) = strait(&arguments, &world);
    assert!(
        code == 2 && said.contains("no client keys are set"),
        "{said}"
    );
    // With the login as the only thing there is, the same.
    let (code, said) = strait(&["serve", "--listen", "0.0.0.0:0"], &world);
    assert!(
        code == 2 && said.contains("no client keys are set"),
        "{said}"
    );
    let keyed = world.config(
        "listen = [\"0.0.0.0:0\"]\n[[keys]]\nname = \"me\"\nkey = \"client-key\"\n",
        "",
    );
    let server = Server::start(&keyed, "epoll");
    let address = format!("127.0.0.1:{}", server.address.port())
        .parse()
        .unwrap();
    let mut server = server;
    server.address = address;
    assert_eq!(server.respond(&ask()).status, 401);
    assert_eq!(world.taken().len(), 0);
    let got = server.post(
        "/v1/responses",
        "authorization: Bearer client-key\r\n",
        &ask(),
    );
    assert_eq!(text(&got), "Hello there");
    let seen = world.taken().pop().unwrap();
    assert!(!seen.head.contains("client-key"), "{}", seen.head);
}

#[test]
fn a_web_page_does_not_get_at_the_login() {
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    let page = "origin: http://rebound.test:8787\r\n";
    for path in ["/v1/responses", "/v1/chat/completions"] {
        let mut body = ask();
        body["messages"] = json!([{"role": "user", "content": "x"}]);
        let got = strait.post(path, page, &body);
        assert_eq!(got.status, 403);
        assert_eq!(got.json()["error"]["code"], "foreign_origin");
    }
    assert_eq!(world.taken().len(), 0);
    let own = "origin: http://localhost:3000\r\n";
    assert_eq!(
        text(&strait.post("/v1/responses", own, &ask())),
        "Hello there"
    );
}

#[test]
fn check_and_models_tell_of_the_login_and_nothing_in_it() {
    let world = World::new(3600);
    let config = world.config("", "");
    let file = world.file().display().to_string();
    for arguments in [
        &["check", "--config", config.to_str().unwrap()][..],
        &["check"],
    ] {
        let (code, said) = strait(arguments, &world);
        assert_eq!(code, 0, "{said}");
        for part in [
            "codex (profile codex)",
            &file,
            "account …0001",
            "token until 20",
            "gpt-5.5",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains(SECRET), "{said}");
    }
    let (code, said) = strait(&["models"], &world);
    assert!(
        code == 0 && said.contains("gpt-5.5") && !said.contains('$'),
        "{said}"
    );
    let (_, said) = strait(&["profiles"], &world);
    let line = said.lines().find(|l| l.starts_with("codex ")).unwrap();
    assert!(
        line.contains("https://chatgpt.com/backend-api/codex") && line.contains("codex login"),
        "{line}"
    );
    let old = json!({"auth_mode": "apikey", "OPENAI_API_KEY": format!("sk-{SECRET}")});
    for (text, part) in [
        (old.to_string(), "apikey"),
        ("nonsense".to_owned(), "no JSON object"),
    ] {
        std::fs::write(world.file(), text).unwrap();
        let (code, said) = strait(&["check"], &world);
        assert!(
            code == 0 && said.contains(part) && said.contains("Mend: run `codex login`"),
            "{said}"
        );
        assert!(!said.contains(SECRET), "{said}");
    }
    std::fs::remove_file(world.file()).unwrap();
    let (_, said) = strait(&["check", "--config", config.to_str().unwrap()], &world);
    assert!(
        said.contains("entity not found. Mend: run `codex login`"),
        "{said}"
    );
    let (code, said) = strait(&["serve"], &world);
    assert!(code == 2 && said.contains("run `codex login`"), "{said}");
}
