//! How a provider speaks: one answer, in its words, as a stream or as an object.

use super::{Dialect, Index, Search, Shows, UsageAt, UsageForm};
use crate::provider::Answer;
use serde_json::{Map, Value, json};

/// A call of the model's: its name, and its arguments or freeform input.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: &'static str,
    pub arguments: String,
}

/// What the model says.
#[derive(Clone, Debug, Default)]
pub struct Say {
    pub text: &'static str,
    pub calls: Vec<Call>,
    /// How many calls the conversation has had.
    pub called: usize,
    /// The web was searched.
    pub searched: bool,
    /// The text of an error that ends it half way.
    pub broken: Option<Value>,
    /// Why it ends, where that is unusual.
    pub ended: Option<&'static str>,
}

/// What every model thinks.
pub fn thoughts() -> &'static str {
    "I look outside, ünder the sky."
}

/// The signature on a call of Gemini's.
pub fn signature(n: usize) -> String {
    format!("c2lnbmF0dXJl{n}==")
}

/// What a search finds.
pub fn searched() -> [(&'static str, &'static str); 2] {
    [
        ("https://a.example/one", "One"),
        ("https://b.example/two", "Zwei ü"),
    ]
}

/// The answer to `body`.
pub fn render(d: &Dialect, say: &Say, body: &Value) -> Answer {
    let split = match d.family {
        "minimax" => body["reasoning_split"] == true,
        "groq" if d.model.starts_with("qwen/") => body["reasoning_format"] == "parsed",
        _ => true,
    };
    let mut speech = Speech {
        d,
        body,
        shows: if split { d.shows } else { Shows::Tags("think") },
        thinks: d.thinks(body),
        n: 0,
        out: Vec::new(),
        said: String::new(),
        thought: String::new(),
    };
    if body["stream"] == true {
        speech.stream(say);
        return Answer::Raw(speech.out);
    }
    match &say.broken {
        Some(error) => Answer::Plain(500, "", error.to_string()),
        None => Answer::Plain(200, "", speech.object(say).to_string()),
    }
}

struct Speech<'a> {
    d: &'a Dialect,
    body: &'a Value,
    shows: Shows,
    thinks: bool,
    n: u64,
    out: Vec<u8>,
    /// All text and all thoughts so far.
    said: String,
    thought: String,
}

fn pieces(text: &str, length: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(length).map(|c| c.iter().collect()).collect()
}

impl Speech<'_> {
    fn line(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\n\n");
    }

    fn head(&mut self) -> Map<String, Value> {
        self.n += 1;
        let own = if self.d.wanders { self.n } else { 0 };
        let mut head = Map::new();
        head.insert("id".into(), json!(format!("chatcmpl-{own}")));
        head.insert("object".into(), json!("chat.completion.chunk"));
        head.insert("created".into(), json!(1_760_000_000 + own));
        head.insert("model".into(), json!(self.d.model));
        match self.d.family {
            "openrouter" => drop(head.insert("provider".into(), json!("Somebody"))),
            "minimax" => drop(head.insert("input_sensitive".into(), json!(false))),
            "openai" => drop(head.insert("system_fingerprint".into(), Value::Null)),
            _ => {}
        }
        head
    }

    fn chunk(&mut self, choices: Value, more: Value) {
        let mut chunk = self.head();
        chunk.insert("choices".into(), choices);
        if let Value::Object(more) = more {
            chunk.extend(more);
        }
        self.line(&format!("data: {}", Value::Object(chunk)));
    }

    fn delta(&mut self, delta: Value) {
        // The key is absent, or null, or even empty until the end.
        let choice = match self.d.family {
            "xai" => json!([{"index":0,"delta":delta}]),
            "qwen" => json!([{"index":0,"delta":delta,"finish_reason":null,"logprobs":null}]),
            "vllm" => {
                json!([{"index":0,"delta":delta,"finish_reason":null,"stop_reason":null,"token_ids":null}])
            }
            _ => json!([{"index":0,"delta":delta,"finish_reason":null}]),
        };
        let usage = match self.d.family {
            "deepseek" | "qwen" => json!({"usage":null}),
            _ => Value::Null,
        };
        self.chunk(choice, usage);
    }

    fn stream(&mut self, say: &Say) {
        if let Some(comment) = self.d.comment {
            self.line(&format!(": {comment}"));
        }
        match self.d.family {
            "azure" => self.chunk(json!([]), json!({"id":"","model":"","created":0,"prompt_filter_results":[{"prompt_index":0}]})),
            "llama.cpp" | "vllm" => self.delta(json!({"role":"assistant","content":null})),
            _ => self.delta(json!({"role":"assistant","content":""})),
        }
        if self.thinks {
            self.think();
        }
        if let Some(comment) = self.d.comment {
            self.line(&format!(": {comment}"));
        }
        if say.searched && self.d.search == Some(Search::Glm) {
            self.chunk(
                json!([{"index":0,"delta":{"role":"assistant","content":""}}]),
                json!({"web_search": glm_found()}),
            );
        }
        for piece in pieces(say.text, 5) {
            self.text(&piece);
        }
        if say.searched && self.d.search == Some(Search::MiMo) {
            self.delta(json!({"content":"","annotations": mimo_found()}));
        }
        if let Some(error) = &say.broken {
            let frame = match self.d.family {
                "lmstudio" | "groq" => format!("event: error\ndata: {error}"),
                _ => format!("data: {error}"),
            };
            return self.line(&frame);
        }
        if self.d.family == "vllm" && say.text.is_empty() {
            // Its parsers let the gap around the tags of a call through.
            self.delta(json!({"content":"\n\n"}));
        }
        for (i, call) in say.calls.iter().enumerate() {
            self.call(i, say.called + i, call);
        }
        self.end(say);
        self.line("data: [DONE]");
    }

    fn think(&mut self) {
        let last = pieces(thoughts(), 4).len() - 1;
        for (i, piece) in pieces(thoughts(), 4).into_iter().enumerate() {
            self.thought += &piece;
            let delta = match self.shows {
                Shows::Hidden => return,
                Shows::Field(name) => json!({name: piece}),
                Shows::Parts => {
                    json!({"content":[{"type":"thinking","thinking":[{"type":"text","text":piece}]}]})
                }
                Shows::Cumulative => {
                    json!({"content":"","reasoning_details":[{"type":"reasoning.text","id":"reasoning-1","format":"MiniMax-response-v1","index":0,"text":self.thought}]})
                }
                Shows::Details => {
                    let mut detail = json!({"type":"reasoning.text","text":piece,"format":"anthropic-claude-v1","index":0});
                    if i == last {
                        detail["signature"] = json!("c2lnbmVk");
                    }
                    json!({"content":"","reasoning":piece,"reasoning_details":[detail]})
                }
                Shows::Tags(tag) => {
                    let open = if i == 0 {
                        format!("<{tag}>")
                    } else {
                        String::new()
                    };
                    let close = if i == last {
                        format!("</{tag}>")
                    } else {
                        String::new()
                    };
                    for bit in pieces(&format!("{open}{piece}{close}"), 3) {
                        self.delta(json!({"content":bit}));
                    }
                    continue;
                }
            };
            self.delta(delta);
        }
        if self.shows == Shows::Details {
            let sealed = json!({"type":"reasoning.encrypted","data":"ZW5jcnlwdGVk","format":"anthropic-claude-v1","index":1});
            self.delta(json!({"content":"","reasoning_details":[sealed]}));
        }
    }

    fn text(&mut self, piece: &str) {
        self.said += piece;
        let delta = match self.shows {
            Shows::Cumulative => json!({"content":self.said}),
            Shows::Parts if self.thinks => json!({"content":[{"type":"text","text":piece}]}),
            _ => json!({"content":piece}),
        };
        self.delta(delta);
    }

    fn number(&self, i: usize, entry: &mut Value) {
        match self.d.index {
            Index::Counted => entry["index"] = json!(i),
            Index::Float => entry["index"] = json!(i as f64),
            Index::Zero => entry["index"] = json!(0),
            Index::Missing => {}
        }
    }

    fn call(&mut self, i: usize, n: usize, call: &Call) {
        let mut whole = self.entry(i, n, call);
        self.number(i, &mut whole);
        if self.d.whole_calls {
            return self.delta(json!({"tool_calls":[whole]}));
        }
        let (kind, key) = match whole["type"] == "custom" {
            true => ("custom", "input"),
            false => ("function", "arguments"),
        };
        whole[kind][key] = json!("");
        self.delta(json!({"tool_calls":[whole]}));
        for piece in pieces(&call.arguments, 6) {
            let mut entry = json!({kind:{key:piece}});
            match self.d.family {
                "qwen" => entry["id"] = json!(""),
                "mistral" => entry[kind]["name"] = json!(""),
                _ => {}
            }
            self.number(i, &mut entry);
            self.delta(json!({"tool_calls":[entry]}));
        }
    }

    /// One call, whole.
    fn entry(&self, i: usize, n: usize, call: &Call) -> Value {
        let id = self.d.call_id(call.name, n);
        if self.d.freeform && call.name == "apply_patch" {
            return json!({"id":id,"type":"custom","custom":{"name":call.name,"input":call.arguments}});
        }
        let mut entry = json!({"id":id,"type":"function","function":{"name":call.name,"arguments":call.arguments}});
        if self.d.family == "gemini" && i == 0 {
            entry["extra_content"] = json!({"google":{"thought_signature":signature(n)}});
        }
        entry
    }

    fn reason(&self, say: &Say) -> &'static str {
        let (text, calls) = self.d.finish;
        let usual = if say.calls.is_empty() { text } else { calls };
        say.ended.unwrap_or(usual)
    }

    fn end(&mut self, say: &Say) {
        let usage = self.usage();
        let asked = self.body["stream_options"]["include_usage"] == true;
        let mut choice = json!({"index":0,"delta":{},"finish_reason":self.reason(say)});
        let more = match self.d.usage_at {
            UsageAt::Choice => {
                choice["usage"] = usage.clone();
                Value::Null
            }
            UsageAt::Finish => json!({"usage":usage}),
            UsageAt::Groq => json!({"x_groq":{"id":"req_1","usage":usage}}),
            _ => Value::Null,
        };
        self.chunk(json!([choice]), more);
        let own = self.d.usage_at == UsageAt::Own || self.d.usage_at == UsageAt::Asked && asked;
        if own {
            self.chunk(json!([]), json!({"usage":usage}));
        }
        if self.d.repeats {
            let message = self.object(say);
            self.line(&format!("data: {message}"));
        }
    }

    fn usage(&self) -> Value {
        let reasoning = if self.thinks { 5 } else { 0 };
        match self.d.usage {
            UsageForm::Details => {
                json!({"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":reasoning}})
            }
            UsageForm::HitMiss => {
                json!({"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_cache_hit_tokens":40,"prompt_cache_miss_tokens":60,"completion_tokens_details":{"reasoning_tokens":reasoning}})
            }
            UsageForm::Top => {
                json!({"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"cached_tokens":40})
            }
            UsageForm::Beside => {
                json!({"prompt_tokens":100,"completion_tokens":20-reasoning,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":reasoning}})
            }
            UsageForm::Bare => {
                json!({"prompt_tokens":100,"completion_tokens":20,"total_tokens":120})
            }
        }
    }

    fn object(&mut self, say: &Say) -> Value {
        let calls: Vec<Value> = say
            .calls
            .iter()
            .enumerate()
            .map(|(i, c)| self.entry(i, say.called + i, c))
            .collect();
        let mut message = json!({"role":"assistant","content":say.text});
        if say.text.is_empty() {
            message["content"] = Value::Null;
        }
        if self.thinks {
            let think = thoughts();
            match self.shows {
                Shows::Hidden => {}
                Shows::Field(name) => message[name] = json!(think),
                Shows::Cumulative => {
                    message["reasoning_details"] = json!([{"type":"reasoning.text","id":"reasoning-1","format":"MiniMax-response-v1","index":0,"text":think}])
                }
                Shows::Details => {
                    message["reasoning"] = json!(think);
                    message["reasoning_details"] = json!([
                        {"type":"reasoning.text","text":think,"format":"anthropic-claude-v1","index":0,"signature":"c2lnbmVk"},
                        {"type":"reasoning.encrypted","data":"ZW5jcnlwdGVk","format":"anthropic-claude-v1","index":1}]);
                }
                Shows::Parts => {
                    let text = if say.text.is_empty() {
                        json!([])
                    } else {
                        json!([{"type":"text","text":say.text}])
                    };
                    let mut parts =
                        vec![json!({"type":"thinking","thinking":[{"type":"text","text":think}]})];
                    parts.extend(text.as_array().cloned().unwrap_or_default());
                    message["content"] = Value::Array(parts);
                }
                Shows::Tags(tag) => {
                    message["content"] = json!(format!("<{tag}>{think}</{tag}>{}", say.text))
                }
            }
        }
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        let mut object = self.head();
        object.insert("object".into(), json!("chat.completion"));
        if say.searched && self.d.search == Some(Search::Glm) {
            object.insert("web_search".into(), glm_found());
        }
        if say.searched && self.d.search == Some(Search::MiMo) {
            message["annotations"] = mimo_found();
        }
        object.insert(
            "choices".into(),
            json!([{"index":0,"message":message,"finish_reason":self.reason(say)}]),
        );
        let usage = self.usage();
        object.insert("usage".into(), usage);
        if self.d.family == "minimax" {
            object.insert("base_resp".into(), json!({"status_code":0,"status_msg":""}));
        }
        Value::Object(object)
    }
}

fn glm_found() -> Value {
    let found = searched();
    let entry = |i: usize| json!({"title":found[i].1,"link":found[i].0,"content":"…","refer":format!("ref_{}", i + 1),"icon":"","media":"m","publish_date":"2026-11-01"});
    json!([entry(0), entry(1)])
}

fn mimo_found() -> Value {
    let found = searched();
    let entry = |i: usize| json!({"type":"url_citation","url":found[i].0,"title":found[i].1,"summary":"…","site_name":"s","publish_time":"2026-11-01","logo_url":""});
    json!([entry(0), entry(1)])
}
