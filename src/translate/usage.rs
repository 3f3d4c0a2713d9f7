//! Token counts, wherever providers put them (SPEC 4.3).

use super::stream::Usage;
use crate::json::{Members, Names, Value};

/// The token counts of a chunk or of a whole chat answer.
pub fn of_chunk(chunk: Value<'_>) -> Option<Usage> {
    of_chat(chunk.present("usage"))
        .or_else(|| of_chat(chunk.present("x_groq").and_then(|x| x.present("usage"))))
}

/// Where providers put their counts.
static COUNTS: Names<11> = Names::new([
    "prompt_tokens",
    "input_tokens",
    "completion_tokens",
    "output_tokens",
    "total_tokens",
    "completion_tokens_details",
    "reasoning_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_creation_input_tokens",
]);

/// The token counts of a chat answer, in all the places where providers put them.
pub fn of_chat(usage: Option<Value<'_>>) -> Option<Usage> {
    let counts = Members::of(usage?, &COUNTS);
    let count = |n: usize| counts.get(n).and_then(|count| count.as_u64());
    let either = |a: usize, b: usize| count(a).or_else(|| count(b)).unwrap_or(0);
    let detail = |n: usize, name: &str| counts.present(n)?.get(name)?.as_u64();
    let input = either(0, 1);
    let mut output = either(2, 3);
    let total = count(4).unwrap_or(0);
    let reasoning = detail(5, "reasoning_tokens")
        .or_else(|| count(6))
        .unwrap_or(0);
    if input == 0 && output == 0 && total == 0 {
        return None;
    }
    let beside = output.saturating_add(reasoning);
    if reasoning > 0 && total == input.saturating_add(beside) {
        // xAI counts reasoning beside the completion, not inside it.
        output = beside;
    }
    let cached = detail(7, "cached_tokens")
        .or_else(|| count(9))
        .or_else(|| count(8))
        .unwrap_or(0);
    let cache_write = detail(7, "cache_write_tokens")
        .or_else(|| count(10))
        .unwrap_or(0);
    Some(Usage {
        input,
        cached: cached.min(input),
        cache_write,
        output,
        reasoning: reasoning.min(output),
    })
}

/// The usage of a Responses object.
pub fn of_response(response: Value<'_>) -> Option<Usage> {
    let usage = response.present("usage")?;
    let detail = |object: &str, name: &str| usage.present(object).map_or(0, |o| number(o, name));
    Some(Usage {
        input: number(usage, "input_tokens"),
        cached: detail("input_tokens_details", "cached_tokens"),
        cache_write: detail("input_tokens_details", "cache_write_tokens"),
        output: number(usage, "output_tokens"),
        reasoning: detail("output_tokens_details", "reasoning_tokens"),
    })
}

fn number(object: Value<'_>, name: &str) -> u64 {
    object.get(name).and_then(|n| n.as_u64()).unwrap_or(0)
}
