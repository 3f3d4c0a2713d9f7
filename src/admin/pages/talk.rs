//! What was said in an exchange, turn by turn.

use super::wire;
use crate::admin::talk::{self, Kind, Part, Turn};
use crate::ledger::audit::Bodies;
use maud::{Markup, html};
use std::borrow::Cow;

/// Characters after which a part is cut, and lines of a patch; the whole of it is in the raw text.
const PART_MAX: usize = 20_000;
/// Characters of all turns together: what came before the last ones is left out.
const ALL_MAX: usize = 600_000;
/// Characters above which instructions and outputs are folded.
const FOLD: usize = 600;

pub(super) fn show(path: &str, bodies: &Bodies) -> Markup {
    let asked = talk::of_request(&bodies.request.body);
    let answered = talk::of_answer(&bodies.answer.body);
    let turns = asked.as_deref().unwrap_or_default();
    let shown = last(turns);
    let left_out = turns.len() - shown.len();
    html! {
        div.talk {
            @if asked.is_none() { (unread(path, "request", "The request", &bodies.request)) }
            @if left_out > 0 { div.note { p { (left_out) " earlier turns are left out here; " a href={ (path) "/request" } { "the raw request" } " has them." } } }
            @for turn in shown { (one(turn, path, "request", false)) }
            @match &answered {
                None => (unread(path, "answer", "The answer", &bodies.answer)),
                Some(turns) => { h2 { "The answer" } @for turn in turns { (one(turn, path, "answer", true)) } }
            }
            @if answered.is_some() && bodies.answer.cut > 0 { div.note { p { "The answer was longer than what is kept of it." } } }
        }
    }
}

/// What can be shown of the end of a conversation.
fn last(turns: &[Turn]) -> &[Turn] {
    let mut room = ALL_MAX;
    let mut from = turns.len();
    while from > 0 {
        let size: usize = turns[from - 1].parts.iter().map(size).sum();
        if size.min(PART_MAX) > room {
            break;
        }
        room -= size.min(PART_MAX);
        from -= 1;
    }
    &turns[from..]
}

fn size(part: &Part) -> usize {
    let (Part::Code(text) | Part::Diff(text) | Part::Thing(text) | Part::Words(text)) = part;
    text.len()
}

fn unread(path: &str, name: &str, title: &str, said: &crate::ledger::audit::Said) -> Markup {
    let (text, more) = wire::excerpt(said, PART_MAX);
    html! {
        div.note { p {
            @if said.body.is_empty() { (title) " has no body." }
            @else if said.cut > 0 { (title) " is longer than what is kept of it, so it is shown as it was sent." }
            @else { (title) " is no conversation, so it is shown as it was sent." }
        } }
        @if !text.is_empty() { pre tabindex="0" { (text) } @if more { p { a href={ (path) "/" (name) } { "All of it" } } } }
    }
}

fn one(turn: &Turn, path: &str, side: &str, of_answer: bool) -> Markup {
    let class = match turn.kind {
        Kind::Assistant => "assistant",
        Kind::Call => "call",
        Kind::Instructions => "instructions",
        Kind::Other => "other",
        Kind::Output => "output",
        Kind::Reasoning => "reasoning",
        Kind::User => "user",
    };
    let size: usize = turn.parts.iter().map(size).sum();
    let folds = matches!(turn.kind, Kind::Instructions | Kind::Output) && size > FOLD;
    let whole = format!("{path}/{side}");
    html! {
        article class={ "turn " (class) @if of_answer { " answer" } } {
            header {
                b { @if turn.kind == Kind::Call { "calls " span.mono { (plain(&turn.who)) } } @else { (plain(&turn.who)) } }
                @if !turn.note.is_empty() { span.mono { (plain(&turn.note)) } }
            }
            @if folds {
                details { summary { (first_line(&turn.parts)) } div { (parts(&turn.parts, &whole)) } }
            } @else { (parts(&turn.parts, &whole)) }
        }
    }
}

fn first_line(parts: &[Part]) -> String {
    let text = parts.iter().map(|part| {
        let (Part::Code(text) | Part::Diff(text) | Part::Thing(text) | Part::Words(text)) = part;
        text.trim_start().lines().next().unwrap_or_default()
    });
    let line: String = text.collect::<Vec<_>>().join(" ");
    let short: String = plain(&line).chars().take(100).collect();
    match short.is_empty() {
        true => "Show".to_owned(),
        false => short + " …",
    }
}

fn parts(parts: &[Part], whole: &str) -> Markup {
    html! {
        @for part in parts {
            @match part {
                Part::Words(text) => div.words dir="auto" { (cut(text, whole)) },
                Part::Code(text) => pre tabindex="0" { (cut(text, whole)) },
                Part::Diff(text) => (diff(text, whole)),
                Part::Thing(text) => span.tag { (plain(text)) },
            }
        }
    }
}

fn cut(text: &str, whole: &str) -> Markup {
    let end = boundary(text, PART_MAX);
    html! { (plain(&text[..end])) @if end < text.len() { (more(text.len() - end, whole)) } }
}

/// A text in which nothing turns the order of what follows around, as a word or a program that is
/// to be misread may: such characters are shown by their numbers.
fn plain(text: &str) -> Cow<'_, str> {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(turns) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match turns(c) {
            true => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The last place for a cut that is not behind `max`.
fn boundary(text: &str, max: usize) -> usize {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

fn more(bytes: usize, whole: &str) -> Markup {
    html! { " … " a href=(whole) { (super::units::bytes(bytes as u64)) " more" } }
}

/// A patch with its lines told apart by colour, and by the signs they begin with.
fn diff(text: &str, whole: &str) -> Markup {
    let end = boundary(text, PART_MAX);
    html! {
        div.diff tabindex="0" role="group" aria-label="Patch" {
            @for line in text[..end].lines() {
                span class=[class_of(line)] { (plain(line)) }
            }
            @if end < text.len() { (more(text.len() - end, whole)) }
        }
    }
}

fn class_of(line: &str) -> Option<&'static str> {
    let file = ["*** ", "diff --git ", "+++ ", "--- ", "index "];
    match line.as_bytes().first() {
        _ if file.iter().any(|begin| line.starts_with(begin)) => Some("file"),
        Some(b'+') => Some("add"),
        Some(b'-') => Some("del"),
        Some(b'@') => Some("hunk"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::audit::Said;

    fn bodies(request: &str, answer: &str) -> Bodies {
        let said = |text: &str| Said {
            body: text.as_bytes().to_vec(),
            ..Said::default()
        };
        Bodies {
            request: said(request),
            answer: said(answer),
            ..Bodies::default()
        }
    }

    #[test]
    fn nothing_that_is_said_becomes_a_part_of_the_page() {
        for hostile in [
            "<script>alert(1)</script>",
            "</script><img src=x onerror=alert(1)>",
            "\" onmouseover=\"alert(1)",
            "' ><svg/onload=alert(1)>",
            "&lt;b&gt;<b>",
            "\u{202e}<b>txt.exe",
        ] {
            let items = serde_json::json!([
                {"role": hostile, "content": hostile},
                {"type": "reasoning", "summary": [{"text": hostile}]},
                {"type": "function_call", "name": hostile, "arguments": hostile},
                {"type": "function_call", "name": "apply_patch", "arguments": serde_json::json!({"input": format!("*** Begin Patch\n+{hostile}")}).to_string()},
                {"type": "function_call_output", "call_id": hostile, "output": hostile},
                {"type": hostile, hostile: hostile},
                {"role": "user", "content": [{"type": hostile, "image_url": hostile}]},
            ]);
            let request = serde_json::json!({"input": items}).to_string();
            let answer = serde_json::json!({"error": {"message": hostile, "code": hostile}});
            let page = show("/p", &bodies(&request, &answer.to_string())).into_string();
            for raw in [
                "<script",
                "<img",
                "<svg",
                "<b>txt",
                "onmouseover=\"alert",
                "<b></",
            ] {
                assert!(!page.contains(raw), "{raw} in {page}");
            }
            assert!(!page.contains('\u{202e}'), "{page}");
            let unread = show("/p", &bodies(hostile, hostile)).into_string();
            assert!(
                !unread.contains("<script") && !unread.contains("<img"),
                "{unread}"
            );
        }
    }

    #[test]
    fn ten_megabytes_are_a_small_page_that_says_where_the_rest_is() {
        let long = "<é>".repeat(2_500_000);
        let request = serde_json::json!({"input": long}).to_string();
        let page = show("/p", &bodies(&request, "")).into_string();
        assert!(page.len() < 200_000, "{}", page.len());
        assert!(
            page.contains("<a href=\"/p/request\">9.98 MB more</a>"),
            "{}",
            &page[page.len() - 600..]
        );
        let many: Vec<_> = (0..5_000).map(|i| serde_json::json!({"role": "user", "content": format!("{i} {}", "x".repeat(2_000))})).collect();
        let request = serde_json::json!({"input": many}).to_string();
        let page = show("/p", &bodies(&request, "")).into_string();
        assert!(page.len() < 1_000_000, "{}", page.len());
        assert!(page.contains("earlier turns are left out") && page.contains(">4999 x"));
    }

    #[test]
    fn lines_of_a_patch_have_their_colours() {
        let page = diff("*** Update File: a\n@@ f\n-old\n+new\n same", "/p").into_string();
        for (class, line) in [
            ("file", "*** Update File: a"),
            ("hunk", "@@ f"),
            ("del", "-old"),
            ("add", "+new"),
        ] {
            assert!(
                page.contains(&format!("<span class=\"{class}\">{line}</span>")),
                "{page}"
            );
        }
        assert!(page.contains("<span> same</span>"));
    }
}
