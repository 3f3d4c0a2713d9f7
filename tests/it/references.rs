//! What the reference systems tell their users (GodeX's "Codex Integration", GoModel's "GoModel &
//! Codex" as far as DeepSeek goes), sentence by sentence, done with Strait.

use crate::client::{Answer as Got, Connection, respond};
use crate::codex::{Codex, QUIET};
use crate::judge::judge;
use crate::provider::{Answer, Provider, Seen, calls, text};
use crate::strait::Strait;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A provider that says which model it was asked for.
fn telling() -> Provider {
    Provider::answering(|seen: &Seen| {
        let model = seen.body["model"].as_str().unwrap();
        Answer::Stream(text(&format!("I am {model}")))
    })
}

/// "GodeX ships with these Codex model aliases": the same in `strait.toml`.
const ALIASES: [(&str, &str); 5] = [
    ("gpt-5.5", "deepseek/deepseek-v4-pro"),
    ("gpt-5.4", "deepseek/deepseek-v4-pro"),
    ("gpt-5.4-mini", "zhipu/glm-5.1"),
    ("gpt-5.3-codex", "deepseek/deepseek-v4-pro"),
    ("gpt-5.3-codex-spark", "zhipu/glm-5.1"),
];

/// Strait before the four providers that GodeX serves, all played by `provider`.
fn four(provider: &Provider) -> Strait {
    let mut more = String::new();
    for name in ["deepseek", "zhipu", "minimax", "xiaomi"] {
        let url = provider.url();
        more.push_str(&format!(
            "[providers.{name}]\nbase_url = \"{url}\"\napi_key = \"sk-test-provider-key\"\n"
        ));
    }
    more.push_str("[models]\n");
    for (alias, target) in ALIASES {
        more.push_str(&format!("\"{alias}\" = \"{target}\"\n"));
    }
    Strait::with("openai-compatible", &provider.url(), "io_uring", &more)
}

fn get(strait: &Strait, path: &str) -> Got {
    let mut connection = Connection::open(strait.address);
    connection.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    connection.answer()
}

#[test]
fn aliases_health_models_and_a_test_request() {
    let provider = telling();
    let strait = four(&provider);
    // curl http://localhost:5678/health
    assert_eq!(get(&strait, "/health").status, 200);
    // curl http://localhost:5678/v1/models
    let list = get(&strait, "/v1/models").json();
    let listed = |id: &str| {
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|m| m["id"] == id)
    };
    for (alias, target) in ALIASES {
        assert!(listed(alias), "{alias} is listed");
        // curl http://localhost:5678/v1/responses -d '{"model":"gpt-5.5","input":"Hello, …"}'
        let ask = json!({"model": alias, "input": "Hello, who are you?", "stream": true});
        let got = respond(strait.address, &ask);
        let last = got.events().pop().unwrap();
        let model = target.split_once('/').unwrap().1;
        let said = &last["response"]["output"][0]["content"][0]["text"];
        assert_eq!(*said, json!(format!("I am {model}")), "{alias}");
        // "To Codex, GodeX is an ordinary OpenAI-compatible endpoint."
        assert_eq!(last["response"]["model"], alias);
        judge(&[(alias, &got)]);
    }
}

/// What reaches the provider for an effort, and what is said about it.
fn effort(strait: &Strait, provider: &Provider, model: &str, effort: &str) -> (Value, String) {
    let ask =
        json!({"model": model, "input": "x", "stream": true, "reasoning": {"effort": effort}});
    let got = respond(strait.address, &ask);
    assert_eq!(got.status, 200, "{model} {effort}");
    let said = got
        .head
        .lines()
        .find_map(|l| l.strip_prefix("x-strait-diagnostics: "));
    let said = said.unwrap_or("").to_owned();
    let metadata = &got.events()[0]["response"]["metadata"]["strait_diagnostics"];
    let metadata = metadata.as_str().unwrap_or("").replace("; ", ", ");
    assert_eq!(metadata, said, "header and metadata say the same");
    (provider.bodies().pop().unwrap(), said)
}

#[test]
fn reasoning_effort_is_bridged_for_each_provider_and_said() {
    let provider = telling();
    let strait = four(&provider);
    let asked = ["low", "medium", "high", "xhigh"];
    // "DeepSeek: native reasoning_effort." GoModel: "DeepSeek V4 only accepts high and max, so
    // GoModel maps low and medium up to high."
    for (asked, sent) in asked.into_iter().zip(["high", "high", "high", "max"]) {
        let (body, said) = effort(&strait, &provider, "deepseek/deepseek-v4-pro", asked);
        assert_eq!(body["reasoning_effort"], sent, "{asked}");
        assert_eq!(body["thinking"], json!({"type": "enabled"}));
        let degraded = said.contains("field.degraded reasoning.effort");
        assert_eq!(degraded, asked != sent, "{asked}: {said:?}");
    }
    // "Zhipu: boolean thinking switch, mapped from effort level"; "Xiaomi MiMo: similar".
    for model in ["zhipu/glm-4.7", "xiaomi/mimo-v2.5-pro"] {
        for asked in asked {
            let (body, said) = effort(&strait, &provider, model, asked);
            assert_eq!(body["thinking"]["type"], "enabled", "{model} {asked}");
            assert_eq!(body.get("reasoning_effort"), None, "{model} {asked}");
            assert!(said.contains("field.degraded reasoning.effort"), "{said:?}");
        }
        let (body, _) = effort(&strait, &provider, model, "none");
        assert_eq!(body["thinking"]["type"], "disabled", "{model}");
    }
    // Newer GLM has degrees of effort, which GodeX does not send.
    let (body, _) = effort(&strait, &provider, "zhipu/glm-5.3", "xhigh");
    assert_eq!(body["reasoning_effort"], "max");
    // "MiniMax: no native reasoning, ignored": M3 has a switch, M2.7 has none, and that is said.
    let (body, said) = effort(&strait, &provider, "minimax/MiniMax-M3", "high");
    assert_eq!(body["thinking"], json!({"type": "adaptive"}));
    assert!(said.contains("field.degraded reasoning.effort"), "{said:?}");
    let (body, said) = effort(&strait, &provider, "minimax/MiniMax-M2.7", "high");
    assert_eq!(body.get("thinking"), None);
    assert!(said.contains("field.dropped reasoning.effort"), "{said:?}");
}

#[test]
fn codex_works_with_godexs_own_configuration_block() {
    let provider = telling();
    let strait = four(&provider);
    let config = format!(
        "model = \"gpt-5.5\"\nmodel_provider = \"godex\"\n[model_providers.godex]\nname = \"GodeX\"\nbase_url = \"http://{}/v1\"\nwire_api = \"responses\"\nrequires_openai_auth = false\nsupports_websockets = false\n{QUIET}",
        strait.address
    );
    let Some(codex) = Codex::configured(&config) else {
        return;
    };
    let run = codex.exec_with(&["who are you?"], &[]);
    assert_eq!(
        (run.code, run.text()),
        (0, "I am deepseek-v4-pro".into()),
        "{run:#?}"
    );
    // "No client-side changes required when switching providers": another alias, another provider.
    let run = codex.exec_with(&["-m", "gpt-5.4-mini", "who are you?"], &[]);
    assert_eq!(
        (run.code, run.text()),
        (0, "I am glm-5.1".into()),
        "{run:#?}"
    );
}

/// GoModel's page: a gateway with a master key, DeepSeek behind it, and nothing translated that
/// need not be.
fn gomodel(provider: &Provider) -> Strait {
    let more = format!(
        "[[keys]]\nname = \"master\"\nkey = \"change-me\"\n[providers.deepseek]\nbase_url = \"{}\"\napi_key = \"sk-test-provider-key\"\n[models]\n\"gpt-4.1-mini\" = \"deepseek/deepseek-v4-pro\"\n",
        provider.url().trim_end_matches("/v1")
    );
    Strait::with("openai-compatible", &provider.url(), "io_uring", &more)
}

fn exactly_ok() -> Provider {
    Provider::answering(|seen: &Seen| {
        // DeepSeek's base URL has no /v1: "exposes chat completions instead of a Responses API".
        if !seen.head.starts_with("POST /chat/completions HTTP/1.1") {
            return Answer::Plain(404, "", r#"{"error":{"message":"no such path"}}"#.into());
        }
        if seen.body["stream"] == true {
            return Answer::Stream(text("ok"));
        }
        let message = json!({"role": "assistant", "content": "ok"});
        let whole = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}});
        Answer::Plain(200, "", whole.to_string())
    })
}

#[test]
fn the_responses_api_by_curl_with_a_master_key() {
    let provider = exactly_ok();
    let strait = gomodel(&provider);
    let body =
        json!({"model": "gpt-4.1-mini", "input": "Reply with exactly ok", "max_output_tokens": 16})
            .to_string();
    let ask = |key: &str| {
        let mut connection = Connection::open(strait.address);
        let fields = format!("authorization: Bearer {key}\r\n");
        connection.send(crate::client::post_with(
            "/v1/responses",
            &fields,
            body.as_bytes(),
        ));
        connection.answer()
    };
    let got = ask("change-me");
    assert_eq!(
        (got.status, &got.json()["output"][0]["content"][0]["text"]),
        (200, &json!("ok"))
    );
    judge(&[("curl", &got)]);
    assert_eq!(provider.bodies()[0]["max_tokens"], 16);
    assert_eq!(ask("something else").status, 401);
    assert!(provider.bodies().is_empty());
}

#[test]
fn codex_exec_replies_exactly_ok() {
    let provider = exactly_ok();
    let strait = gomodel(&provider);
    let config = format!(
        "model_provider = \"gomodel\"\nmodel = \"deepseek-v4-pro\"\n[model_providers.gomodel]\nname = \"GoModel\"\nbase_url = \"http://{}/v1\"\nenv_key = \"OPENAI_API_KEY\"\nwire_api = \"responses\"\n{QUIET}",
        strait.address
    );
    let Some(codex) = Codex::configured(&config) else {
        return;
    };
    let key = [("OPENAI_API_KEY", "change-me")];
    let prompt = "Reply with exactly ok and no punctuation.";
    let run = codex.exec_with(&["-m", "gpt-4.1-mini", prompt], &key);
    assert_eq!((run.code, run.text()), (0, "ok".into()), "{run:#?}");
    let run = codex.exec_with(&[prompt], &key);
    assert_eq!((run.code, run.text()), (0, "ok".into()), "{run:#?}");
    // "The same custom provider failed without OPENAI_API_KEY": at once, and without a request.
    provider.take_seen();
    let run = codex.exec_with(&[prompt], &[]);
    assert_ne!(run.code, 0);
    assert!(provider.take_seen().is_empty());
}

/// `docker run -p 8080:8080 -e GOMODEL_MASTER_KEY="change-me" -e OPENAI_API_KEY="sk-..."`: three
/// variables, and no file.
fn by_environment(provider: &Provider) -> Strait {
    let url = provider.url();
    Strait::by_environment(&[
        ("DEEPSEEK_API_KEY", "sk-test-provider-key"),
        ("DEEPSEEK_BASE_URL", url.trim_end_matches("/v1")),
    ])
}

fn operator(strait: &Strait, path: &str) -> Got {
    let mut connection = Connection::open(strait.address);
    connection.send(format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer change-me\r\n\r\n"
    ));
    connection.answer()
}

/// "Check the traffic": the audit logs confirm that Codex is reaching the gateway, and show the
/// full request and response trail; from the same dashboard one follows traffic and usage.
#[test]
fn the_traffic_is_seen_in_the_audit_logs() {
    let provider = exactly_ok();
    let strait = by_environment(&provider);
    let body = json!({"model": "deepseek-v4-pro", "input": "Reply with exactly ok"});
    let fields = "authorization: Bearer change-me\r\nuser-agent: curl/8.5.0\r\n";
    let mut connection = Connection::open(strait.address);
    connection.send(crate::client::post_with(
        "/v1/responses",
        fields,
        body.to_string().as_bytes(),
    ));
    assert_eq!(connection.answer().status, 200);
    let config = format!(
        "model_provider = \"gomodel\"\nmodel = \"deepseek-v4-pro\"\n[model_providers.gomodel]\nname = \"GoModel\"\nbase_url = \"http://{}/v1\"\nenv_key = \"OPENAI_API_KEY\"\nwire_api = \"responses\"\n{QUIET}",
        strait.address
    );
    let mut rows = 1;
    if let Some(codex) = Codex::configured(&config) {
        let prompt = "Reply with exactly ok and no punctuation.";
        let run = codex.exec_with(&[prompt], &[("OPENAI_API_KEY", "change-me")]);
        assert_eq!((run.code, run.text()), (0, "ok".into()), "{run:#?}");
        rows += 1;
    }
    let until = Instant::now() + Duration::from_secs(30);
    let log = loop {
        // The audit is written behind what clients see.
        let log = operator(&strait, "/admin/api/v1/audit").json()["data"].clone();
        if log.as_array().map_or(0, Vec::len) >= rows {
            break log;
        }
        assert!(Instant::now() < until, "{log}");
        std::thread::yield_now();
    };
    let log = log.as_array().unwrap();
    assert_eq!(log.len(), rows, "{log:#?}");
    let agents = ["curl/8.5.0", "codex_exec/0.169.0"];
    for (row, agent) in log.iter().rev().zip(agents) {
        assert_eq!(row["key"], "master");
        assert_eq!(row["provider"], "deepseek");
        assert_eq!(row["target"], "deepseek-v4-pro");
        assert!(row["agent"].as_str().unwrap().starts_with(agent), "{row}");
        let page = operator(&strait, &format!("/admin/audit/{}", row["number"]));
        let page = String::from_utf8(page.body).unwrap();
        assert!(
            page.contains("deepseek-v4-pro") && page.contains(agent),
            "{page}"
        );
    }
    for path in ["/admin/audit", "/admin/usage"] {
        let page = String::from_utf8(operator(&strait, path).body).unwrap();
        assert!(page.contains("deepseek-v4-pro"), "{path}: {page}");
    }
    let usage = operator(&strait, "/admin/api/v1/usage?by=key").json();
    assert_eq!(usage["data"][0]["name"], "master", "{usage}");
}

#[test]
fn deepseek_thinks_and_calls_through_codex() {
    let answers = vec![
        Answer::Stream(calls(
            "Look.",
            &[("call_1", "exec_command", r#"{"cmd":"echo seen"}"#)],
        )),
        Answer::Stream(text("seen")),
    ];
    let provider = Provider::deepseek(answers);
    let strait = Strait::with(
        "deepseek",
        &provider.url(),
        "io_uring",
        "[models]\n\"*\" = \"mock/deepseek-v4-pro\"\n",
    );
    let more = "model_reasoning_effort = \"medium\"\n";
    let config = format!(
        "{more}model_provider = \"s\"\nmodel = \"gpt-5.5\"\n[model_providers.s]\nname = \"S\"\nbase_url = \"http://{}/v1\"\nwire_api = \"responses\"\n{QUIET}",
        strait.address
    );
    let Some(codex) = Codex::configured(&config) else {
        return;
    };
    let run = codex.exec_with(&["look"], &[]);
    assert_eq!((run.code, run.text()), (0, "seen".into()), "{run:#?}");
    let bodies = provider.bodies();
    assert_eq!(bodies[0]["reasoning_effort"], "high");
    let replayed = bodies[1]["messages"].as_array().unwrap();
    assert!(replayed.iter().any(|m| m["reasoning_content"] == "Look."));
}
