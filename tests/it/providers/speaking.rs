//! Text, thoughts and token counts.

use super::bench::{Bench, Cell, of_type, response, same, text, user, want};
use super::script::TEXT;
use crate::dialects::{Shows, Thinks, UsageForm, thoughts};
use serde_json::{Value, json};

pub fn streamed(b: &mut Bench) -> Cell {
    let request =
        json!({"stream":true,"instructions":"Be brief.","input":[user("text")],"store":false});
    if b.passes() {
        return b.passed(&request);
    }
    let (got, body) = b.ask(&request)?;
    same("text", &json!(text(&got)), &json!(TEXT))?;
    let system = body["messages"][0]["content"].as_str().unwrap_or("");
    want(system == "Be brief.", format!("instructions: {body}"))?;
    let deltas = got
        .events()
        .iter()
        .filter(|e| e["type"] == "response.output_text.delta")
        .count();
    want(deltas > 2, format!("{deltas} deltas: it did not stream"))?;
    want(got.terminals().len() == 1, "one end")?;
    Ok("")
}

pub fn whole(b: &mut Bench) -> Cell {
    let request = json!({"input":"cue: text","metadata":{"a":"b"},"user":"user-123456","prompt_cache_key":"k"});
    if b.passes() {
        return b.passed(&request);
    }
    let (got, body) = b.ask(&request)?;
    same("text", &json!(text(&got)), &json!(TEXT))?;
    want(
        body.get("stream").is_none_or(|s| s == false),
        "no stream upstream",
    )?;
    Ok("")
}

pub fn reasoning(b: &mut Bench) -> Cell {
    let ask = |summary: bool, stream: bool| {
        let mut reasoning = json!({"effort":"high"});
        if summary {
            reasoning["summary"] = json!("auto");
        }
        json!({"stream":stream,"reasoning":reasoning,"input":[user("text")]})
    };
    if b.passes() {
        return b.passed(&ask(true, true));
    }
    let shown = b.d.shows != Shows::Hidden && !matches!(b.d.thinks, Thinks::Never);
    for (summary, stream) in [(true, true), (false, true), (true, false), (false, false)] {
        let (got, _) = b.ask(&ask(summary, stream))?;
        same("text", &json!(text(&got)), &json!(TEXT))?;
        let found = of_type(&got, "reasoning");
        if !shown {
            want(
                found.is_empty(),
                format!("thoughts from nowhere: {found:?}"),
            )?;
            continue;
        }
        want(
            found.len() == 1,
            format!("one reasoning item, not {found:?}"),
        )?;
        let (place, kind) = if summary {
            ("summary", "summary_text")
        } else {
            ("content", "reasoning_text")
        };
        same(
            "thoughts",
            &found[0][place],
            &json!([{"type":kind,"text":thoughts()}]),
        )?;
    }
    Ok(if shown {
        ""
    } else {
        "the provider shows no thoughts"
    })
}

pub fn usage(b: &mut Bench) -> Cell {
    let request = |stream: bool| json!({"stream":stream,"reasoning":{"effort":"high"},"input":[user("text")]});
    if b.passes() {
        return b.passed(&request(false));
    }
    for stream in [true, false] {
        let (got, body) = b.ask(&request(stream))?;
        let bare = b.d.usage == UsageForm::Bare;
        let cached = if bare { 0 } else { 40 };
        let told = b.d.thinks(&body) && !bare && b.d.usage != UsageForm::Top;
        let expected: Value = json!({"input_tokens":100,"input_tokens_details":{"cached_tokens":cached,"cache_write_tokens":0},
            "output_tokens":20,"output_tokens_details":{"reasoning_tokens":if told { 5 } else { 0 }},"total_tokens":120});
        same("usage", &response(&got)["usage"], &expected)?;
    }
    Ok("")
}
