//! What a provider refuses: every request is held against the rules that all share and then
//! against the provider's own. The first offence is the answer.

use super::{Dialect, Ids, Rule};
use crate::provider::Seen;
use serde_json::Value;

/// A refusal in words, with its status; nothing where the request is fine.
pub fn refuse(d: &Dialect, seen: &Seen) -> Option<(u16, String)> {
    if let Err(why) = head(d, seen) {
        return Some((401, why));
    }
    let checks = [shape, history, tools];
    let shared = checks.iter().find_map(|check| check(d, &seen.body).err());
    let own = || {
        d.rules
            .iter()
            .find_map(|rule| own(d, rule, &seen.body).err())
    };
    shared.or_else(own).map(|why| (400, why))
}

type Checked = Result<(), String>;

fn want(holds: bool, why: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(why()),
    }
}

fn head(d: &Dialect, seen: &Seen) -> Checked {
    let path = "POST /v1/chat/completions HTTP/1.1";
    want(seen.head.starts_with(path), || {
        format!("no such path: {}", seen.head)
    })?;
    let (name, prefix) = d.key;
    let line = format!("{name}: {prefix}{}", d.secret());
    want(seen.head.lines().any(|l| l == line), || {
        format!("the key is not in {name}")
    })?;
    let other = if name == "authorization" {
        "api-key:"
    } else {
        "authorization:"
    };
    let head = seen.head.to_ascii_lowercase();
    want(!head.contains(other), || {
        format!("{other} has no place here")
    })?;
    want(!head.contains("client-key"), || {
        "the client's key came along".into()
    })?;
    for field in [
        "originator",
        "session_id",
        "openai-beta",
        "chatgpt-account-id",
    ] {
        let there = head.lines().any(|l| l.starts_with(&format!("{field}:")));
        want(!there, || format!("the client's header {field} came along"))?;
    }
    Ok(())
}

fn messages(body: &Value) -> &[Value] {
    body["messages"].as_array().map_or(&[], Vec::as_slice)
}

/// Members and messages as every chat API has them.
fn shape(d: &Dialect, body: &Value) -> Checked {
    want(body["model"] == d.model, || {
        format!("no model {}", body["model"])
    })?;
    for name in [
        "client_metadata",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "previous_response_id",
        "prompt_cache_retention",
        "reasoning_summary",
        "safety_settings",
        "store",
        "text",
        "truncation",
    ] {
        want(body.get(name).is_none(), || format!("unknown field {name}"))?;
    }
    let nulls = body
        .as_object()
        .into_iter()
        .flatten()
        .find(|(_, v)| v.is_null());
    want(nulls.is_none(), || format!("{nulls:?} is null"))?;
    if body.get("stream_options").is_some() {
        want(body["stream"] == true, || {
            "stream_options without a stream".into()
        })?;
    }
    want(!messages(body).is_empty(), || "no messages".into())?;
    for message in messages(body) {
        let content = &message["content"];
        match message["role"].as_str() {
            Some("system" | "developer") => {
                want(content.is_string(), || format!("content of {message}"))?
            }
            Some("user" | "tool") => {
                let parts = content.as_array().is_some_and(|p| !p.is_empty());
                want(content.is_string() || parts, || {
                    format!("content of {message}")
                })?;
            }
            Some("assistant") => {
                let calls = message["tool_calls"].is_array();
                want(!content.is_null() || calls, || {
                    format!("an empty answer: {message}")
                })?;
            }
            _ => return Err(format!("unknown role in {message}")),
        }
    }
    let last = &messages(body)[messages(body).len() - 1];
    want(last["role"] != "assistant", || {
        "the last message is the assistant's".into()
    })
}

/// Every call has its answer, directly behind it.
fn history(d: &Dialect, body: &Value) -> Checked {
    let mut open: Vec<&str> = Vec::new();
    let mut used: Vec<&str> = Vec::new();
    for message in messages(body) {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or("");
            let at = open.iter().position(|o| *o == id);
            open.remove(at.ok_or_else(|| format!("tool_call_id {id:?} is not found"))?);
            continue;
        }
        want(open.is_empty(), || format!("no tool messages for {open:?}"))?;
        let Some(calls) = message.get("tool_calls") else {
            continue;
        };
        let calls = calls
            .as_array()
            .filter(|c| !c.is_empty())
            .ok_or("empty tool_calls")?;
        for call in calls {
            let id = call["id"].as_str().ok_or("a call without id")?;
            want(!used.contains(&id), || format!("the id {id} is used twice"))?;
            let fits = match d.ids {
                Ids::Prefix(_) => id.len() <= 64 && !id.is_empty(),
                Ids::Kimi => !id.is_empty() && !id.starts_with("callx_"),
                Ids::Nine => id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()),
            };
            let short = !matches!(d.family, "openai" | "azure") || id.len() <= 40;
            want(fits && short, || format!("the id {id:?} is not allowed"))?;
            used.push(id);
            open.push(id);
            if call["type"] == "custom" && d.freeform {
                want(call["custom"]["input"].is_string(), || format!("{call}"))?;
                continue;
            }
            want(call["type"] == "function", || format!("the type of {call}"))?;
            let arguments = call["function"]["arguments"]
                .as_str()
                .ok_or("arguments are a string")?;
            let object: Option<Value> = serde_json::from_str(arguments).ok();
            let object = object.is_some_and(|a| a.is_object());
            want(object, || {
                format!("arguments are no JSON object: {arguments}")
            })?;
        }
    }
    want(open.is_empty(), || format!("no tool messages for {open:?}"))
}

/// Tools as every chat API has them.
fn tools(d: &Dialect, body: &Value) -> Checked {
    let Some(tools) = body.get("tools") else {
        for name in ["tool_choice", "parallel_tool_calls"] {
            want(body.get(name).is_none(), || format!("{name} without tools"))?;
        }
        return Ok(());
    };
    let tools = tools.as_array().ok_or("tools is an array")?;
    want(!tools.is_empty(), || "[] is too short - 'tools'".into())?;
    let mut names: Vec<&str> = Vec::new();
    for tool in tools {
        let kind = tool["type"].as_str().unwrap_or("");
        if kind == "web_search" && d.search.is_some() {
            continue;
        }
        if kind == "custom" && d.freeform {
            want(tool["custom"]["name"].is_string(), || format!("{tool}"))?;
            continue;
        }
        want(kind == "function", || {
            format!("tools of type {kind:?} are not supported")
        })?;
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or("");
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let legal = (1..=64).contains(&name.len()) && name.bytes().all(legal);
        want(legal, || format!("the name {name:?} is not allowed"))?;
        want(!names.contains(&name), || {
            format!("two tools are called {name}")
        })?;
        names.push(name);
        want(function["parameters"]["type"] == "object", || {
            format!("parameters of {name}")
        })?;
        schemas(&function["parameters"], &|schema| {
            want(
                schema.get("encrypted").is_none_or(|e| !e.is_boolean()),
                || "unknown keyword 'encrypted'".into(),
            )
        })?;
    }
    Ok(())
}

/// Calls `check` with each schema inside `schema`.
fn schemas(schema: &Value, check: &dyn Fn(&Value) -> Checked) -> Checked {
    check(schema)?;
    for (key, value) in schema.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            (
                "properties" | "$defs" | "definitions" | "patternProperties",
                Value::Object(named),
            ) => {
                named.values().try_for_each(|s| schemas(s, check))?;
            }
            ("const" | "default" | "enum" | "examples" | "required", _) => {}
            (_, Value::Object(_)) => schemas(value, check)?,
            (_, Value::Array(list)) => {
                list.iter()
                    .filter(|s| s.is_object())
                    .try_for_each(|s| schemas(s, check))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn every_schema(body: &Value, check: &dyn Fn(&Value) -> Checked) -> Checked {
    for tool in body["tools"].as_array().into_iter().flatten() {
        schemas(&tool["function"]["parameters"], check)?;
    }
    schemas(&body["response_format"]["json_schema"]["schema"], check)
}

/// The form of `tool_choice`.
fn form(body: &Value) -> Option<&str> {
    let choice = body.get("tool_choice")?;
    Some(choice.as_str().unwrap_or("function"))
}

fn own(d: &Dialect, rule: &Rule, body: &Value) -> Checked {
    match rule {
        Rule::Fields(known) => {
            let mut fields = body.as_object().into_iter().flatten();
            let odd = fields.find(|(k, _)| !known.contains(&k.as_str()));
            want(odd.is_none(), || {
                format!("property {:?} is unsupported", odd.map(|o| o.0))
            })
        }
        Rule::No(fields) => {
            let odd = fields.iter().find(|f| body.get(**f).is_some());
            want(odd.is_none(), || {
                format!("{odd:?} is not supported with this model")
            })
        }
        Rule::Range(name, low, high) => match body.get(*name).map(Value::as_f64) {
            Some(n) => want(n.is_some_and(|n| (*low..=*high).contains(&n)), || {
                format!("{name} is {n:?}, not in [{low}, {high}]")
            }),
            None => Ok(()),
        },
        Rule::AboveZero(name) => want(body[*name].as_f64() != Some(0.0), || {
            format!("{name} must be above 0")
        }),
        Rule::Length(name, low, high) => match body
            .get(*name)
            .map(|v| v.as_str().map_or(0, |s| s.chars().count()))
        {
            Some(n) => want((*low..=*high).contains(&n), || {
                format!("{name} has {n} characters")
            }),
            None => Ok(()),
        },
        Rule::Values(path, values) => {
            let found = path.split('.').try_fold(body, |at, key| at.get(key));
            match found {
                Some(value) => want(value.as_str().is_some_and(|v| values.contains(&v)), || {
                    format!("{path}: {value} is not one of {values:?}")
                }),
                None => Ok(()),
            }
        }
        Rule::Choice(forms) => want(form(body).is_none_or(|f| forms.contains(&f)), || {
            format!("tool_choice {} is not supported", body["tool_choice"])
        }),
        Rule::ChoiceThinking(forms) => want(
            !d.thinks(body) || form(body).is_none_or(|f| forms.contains(&f)),
            || {
                format!(
                    "tool_choice {} is incompatible with thinking",
                    body["tool_choice"]
                )
            },
        ),
        Rule::Formats(_) | Rule::NoFormatWithTools | Rule::NoFormatThinking => {
            formats(d, rule, body)
        }
        Rule::ToolsWithHistory => {
            let called = messages(body).iter().any(|m| m.get("tool_calls").is_some());
            want(!called || body.get("tools").is_some(), || {
                "requests with tool_use blocks must define tools".into()
            })
        }
        Rule::Keywords(refused) => every_schema(body, &|schema| {
            let odd = refused.iter().find(|k| schema.get(**k).is_some());
            want(odd.is_none(), || {
                format!("Unknown name {odd:?} at 'parameters'")
            })
        }),
        Rule::Moonshot => every_schema(body, &|schema| {
            let lone =
                schema.get("$ref").is_none() || schema.as_object().is_some_and(|o| o.len() == 1);
            want(lone, || "$ref must not have siblings".into())?;
            let apart = schema.get("anyOf").is_none() || schema.get("type").is_none();
            want(apart, || {
                "when using anyOf, type should be defined in anyOf items instead".into()
            })
        }),
        Rule::OneType => every_schema(body, &|schema| {
            want(!schema["type"].is_array(), || "type is not a list".into())
        }),
        Rule::NoStrict => {
            let mut tools = body["tools"].as_array().into_iter().flatten();
            let strict = tools.any(|t| t["function"].get("strict").is_some());
            want(!strict, || "unknown field strict".into())
        }
        Rule::Images { .. } | Rule::NoDetail => images(rule, body),
        _ => in_messages(d, rule, body),
    }
}

fn formats(d: &Dialect, rule: &Rule, body: &Value) -> Checked {
    let Some(kind) = body["response_format"]["type"].as_str() else {
        return want(body.get("response_format").is_none(), || {
            "response_format has no type".into()
        });
    };
    match rule {
        Rule::Formats(known) => want(known.contains(&kind), || {
            format!("response_format type {kind} is unavailable now")
        })?,
        Rule::NoFormatWithTools => want(body.get("tools").is_none(), || {
            "json mode cannot be combined with tool/function calling".into()
        })?,
        _ => want(!d.thinks(body), || {
            "json mode response is not supported when enable_thinking is true".into()
        })?,
    }
    if kind == "json_object" {
        let said = messages(body)
            .iter()
            .any(|m| m["content"].as_str().is_some_and(|c| c.contains("JSON")));
        want(said, || "Prompt must contain the word 'json'".into())?;
    }
    Ok(())
}

fn images(rule: &Rule, body: &Value) -> Checked {
    for message in messages(body) {
        for part in message["content"].as_array().into_iter().flatten() {
            let Some(image) = part.get("image_url") else {
                continue;
            };
            let url = image["url"].as_str().ok_or("image_url without url")?;
            match rule {
                Rule::NoDetail => want(image.get("detail").is_none(), || {
                    "Extra inputs are not permitted: detail".into()
                })?,
                Rule::Images { user, tool, http } => {
                    let may = if message["role"] == "tool" {
                        *tool
                    } else {
                        *user
                    };
                    want(may, || {
                        format!(
                            "this model does not support image input ({})",
                            message["role"]
                        )
                    })?;
                    want(*http || url.starts_with("data:"), || {
                        "invalid image input".into()
                    })?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn in_messages(d: &Dialect, rule: &Rule, body: &Value) -> Checked {
    let mut last = "";
    for (i, message) in messages(body).iter().enumerate() {
        let role = message["role"].as_str().unwrap_or("");
        let calls = message["tool_calls"].as_array();
        match rule {
            Rule::Developer => want(role != "developer", || "unknown variant `developer`".into())?,
            Rule::LeadingSystem => want(role != "system" || i == 0, || {
                "System message must be at the beginning.".into()
            })?,
            Rule::Alternate => want(role != "user" || last != "user", || {
                "Conversation roles must alternate user/assistant".into()
            })?,
            Rule::NotInAssistant(fields) if role == "assistant" => {
                let odd = fields.iter().find(|f| message.get(**f).is_some());
                want(odd.is_none(), || format!("property {odd:?} is unsupported"))?;
            }
            Rule::Reasoning(field) if calls.is_some() && d.thinks(body) => {
                want(message[*field].is_string(), || {
                    format!("The `{field}` in the thinking mode must be passed back to the API.")
                })?;
            }
            Rule::NameOnTool if role == "tool" => {
                want(message["name"].is_string(), || {
                    "a tool message needs its function's name".into()
                })?;
            }
            Rule::NoNullContent => {
                want(!message["content"].is_null(), || "content is null".into())?
            }
            Rule::Signature => {
                let Some(first) = calls.and_then(|c| c.first()) else {
                    continue;
                };
                let signature = &first["extra_content"]["google"]["thought_signature"];
                want(signature.is_string(), || {
                    "Function call is missing a thought_signature in functionCall parts.".into()
                })?;
            }
            _ => {}
        }
        last = message["role"].as_str().unwrap_or("");
    }
    Ok(())
}
