//! What is asked of the way back: of chat chunks that were made from Responses events, and of
//! Responses requests that were made from chat requests.

use crate::dialect::{self, Dialect};
use crate::{Run, digest, excused, frames, is_json, segmentations, tree};
use serde_json::Value as Json;
use strait::auth::secret::SealKey;
use strait::error::{Error, Kind, Source};
use strait::json::{Tape, Value};
use strait::provider::profile::Wire;
use strait::translate::diagnostic::Diagnostic;
use strait::translate::reverse::request::{self, Context};
use strait::translate::reverse::stream::{Plan, Progress, Sink, Translator, UpstreamEnd};

/// A plan; the bits of `options` choose what the client declared, where its texts stop, whether
/// reasoning is sealed and whether usage is sent. Bit 5 breaks the upstream, see [`check`].
pub fn plan(sink: Sink, options: u32) -> Plan {
    let some = |bit: u32, names: &[&str]| match options & bit {
        0 => Vec::new(),
        _ => names.iter().copied().map(String::from).collect(),
    };
    let stops: &[&str] = match options >> 6 & 3 {
        0 => &["STOP"],
        1 => &["aab", "b\u{e9}"],
        2 => &["\n\n", "", "lo"],
        _ => &["</", "ab", "abc", "x"],
    };
    Plan {
        sink,
        id: "chatcmpl-1".into(),
        created: 1_760_000_000,
        model: "m\"".into(),
        include_usage: options & 1 != 0,
        custom_tools: some(2, &["p", "q\u{e9}"]),
        legacy_functions: options & 4 != 0,
        stop: some(8, stops),
        seed: [3; 32],
        seal: (options & 16 != 0).then(|| (SealKey::new([7; 32]), "p".into())),
    }
}

/// A call as the client sees it: id, kind, name, arguments or input.
pub type Call = (String, &'static str, String, String);

/// A chat answer, put together from its chunks or read from the whole object.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub reasoning: String,
    pub text: String,
    pub refusal: String,
    pub calls: Vec<Call>,
    /// Entries of `reasoning_details`, of `annotations` and of `logprobs`.
    pub lists: [Vec<Json>; 3],
    pub finish: Option<String>,
    pub usage: Option<Json>,
    /// The stream ended in an error.
    pub failed: bool,
}

/// Adds a string member, if it is there.
fn add(to: &mut String, object: &Json, name: &str) {
    match &object[name] {
        Json::Null => {}
        Json::String(text) => to.push_str(text),
        other => panic!("{name} is {other}"),
    }
}

fn extend(to: &mut Vec<Json>, list: &Json) {
    match list {
        Json::Null => {}
        Json::Array(list) => {
            assert!(!list.is_empty(), "an empty list");
            to.extend(list.iter().cloned());
        }
        other => panic!("no list: {other}"),
    }
}

impl Answer {
    /// Takes a `delta` or a `message`.
    fn message(&mut self, message: &Json) {
        add(&mut self.reasoning, message, "reasoning_content");
        add(&mut self.text, message, "content");
        add(&mut self.refusal, message, "refusal");
        extend(&mut self.lists[0], &message["reasoning_details"]);
        extend(&mut self.lists[1], &message["annotations"]);
        if let Json::Object(call) = &message["function_call"] {
            let call = Json::Object(call.clone());
            if let Some(name) = call["name"].as_str() {
                assert!(self.calls.is_empty(), "a second function_call");
                let none = String::new;
                self.calls.push((none(), "legacy", name.to_owned(), none()));
            }
            let last = self.calls.last_mut().expect("arguments of no call");
            add(&mut last.3, &call, "arguments");
        }
        let calls = message["tool_calls"].as_array();
        for (n, call) in calls.into_iter().flatten().enumerate() {
            let at = call["index"].as_u64().map_or(n, |at| at as usize);
            let kind = match (call.get("custom"), call.get("function")) {
                (Some(_), None) => "custom",
                (None, Some(_)) => "function",
                _ => panic!("a call of no kind: {call}"),
            };
            let inner = &call[kind];
            if let Some(id) = call["id"].as_str() {
                assert_eq!(at, self.calls.len(), "calls are counted");
                assert_eq!(call["type"], kind);
                let name = inner["name"].as_str().expect("a name");
                let (id, name) = (id.to_owned(), name.to_owned());
                self.calls.push((id, kind, name, String::new()));
            } else {
                assert!(inner.get("name").is_none(), "a name without an id");
            }
            assert_eq!(self.calls[at].1, kind);
            let member = if kind == "custom" {
                "input"
            } else {
                "arguments"
            };
            add(&mut self.calls[at].3, inner, member);
        }
    }

    /// What a stream of chunks says, after a check against the grammar:
    ///
    /// ```text
    /// stream := role { delta } end "[DONE]"
    /// end    := [annotations] finish_reason [usage] | error
    /// ```
    ///
    /// `None` where a value of the provider's own cannot be held in serde_json's tree.
    pub fn of_stream(out: &[u8]) -> Option<Answer> {
        let mut frames = frames(out);
        let last = frames.pop().expect("a stream has frames");
        assert_eq!(last.1, b"[DONE]", "the stream does not end in [DONE]");
        assert!(out.ends_with(b"data: [DONE]\n\n"));
        let mut answer = Answer::default();
        for (n, (event, data)) in frames.iter().enumerate() {
            assert!(event.is_empty(), "an event with a name");
            assert!(!data.contains(&b'\n'), "data on several lines");
            assert!(is_json(data), "{}", String::from_utf8_lossy(data));
            match serde_json::from_slice(data) {
                Ok(chunk) => answer.chunk(n, &chunk),
                Err(e) if excused(&e) => return None,
                Err(e) => panic!("{e}: {}", String::from_utf8_lossy(data)),
            }
        }
        assert!(answer.failed || answer.finish.is_some(), "no end");
        Some(answer)
    }

    fn chunk(&mut self, n: usize, chunk: &Json) {
        assert!(!self.failed, "a chunk behind the error");
        if chunk.get("error").is_some() {
            assert!(self.finish.is_none(), "an error behind the end");
            assert!(chunk["error"]["message"].is_string());
            self.failed = true;
            return;
        }
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "m\"");
        let choices = chunk["choices"].as_array().expect("choices");
        if choices.is_empty() {
            assert!(self.finish.is_some() && self.usage.is_none(), "usage early");
            assert!(chunk["usage"]["prompt_tokens"].is_u64(), "{chunk}");
            self.usage = Some(chunk["usage"].clone());
            return;
        }
        assert!(self.finish.is_none(), "a chunk behind the end");
        assert!(chunk.get("usage").is_none_or(Json::is_null));
        let [choice] = choices.as_slice() else {
            panic!("several choices");
        };
        let delta = &choice["delta"];
        assert_eq!(delta.get("role").is_some(), n == 0, "chunk {n}: {delta}");
        assert!(
            n > 0 || delta.get("content").is_some(),
            "no content: {delta}"
        );
        self.message(delta);
        extend(&mut self.lists[2], &choice["logprobs"]["content"]);
        if let Some(reason) = choice["finish_reason"].as_str() {
            assert_eq!(delta.as_object().map(|d| d.len()), Some(0));
            self.finish = Some(reason.to_owned());
        }
    }

    /// What a `chat.completion` says; `None` as in [`Answer::of_stream`].
    pub fn of_object(out: &[u8]) -> Option<Answer> {
        let object: Json = match serde_json::from_slice(out) {
            Ok(object) => object,
            Err(e) => {
                assert!(excused(&e) && is_json(out), "{e}");
                return None;
            }
        };
        assert_eq!(object["object"], "chat.completion");
        let choice = &object["choices"][0];
        let mut answer = Answer::default();
        answer.message(&choice["message"]);
        extend(&mut answer.lists[2], &choice["logprobs"]["content"]);
        answer.finish = choice["finish_reason"].as_str().map(String::from);
        assert!(answer.finish.is_some(), "no end");
        answer.usage = object.get("usage").cloned();
        Some(answer)
    }
}

fn finish(mut translator: Translator, broken: bool, mut out: Vec<u8>) -> Run {
    let end = match broken {
        true => UpstreamEnd::Broken(Error::new(Source::Upstream, Kind::UpstreamBroken, "reset")),
        false => UpstreamEnd::Clean,
    };
    let error = translator.finish(end, &mut out).err();
    assert!(translator.status().is_some(), "finished without a status");
    let len = out.len();
    translator.keepalive(&mut out);
    translator.commit(&mut out);
    let late = b"data: {\"type\":\"response.output_text.delta\",\"delta\":\"late\"}\n\n";
    assert_eq!(translator.feed(late, &mut out), Ok(Progress::Terminal));
    assert_eq!(translator.finish(UpstreamEnd::Clean, &mut out), Ok(()));
    assert_eq!(out.len(), len, "something follows the end");
    Run { out, error }
}

/// Feeds `pieces` to a translator, and ends it.
pub fn run(plan: Plan, pieces: &[&[u8]], early: bool, broken: bool) -> Run {
    let (mut translator, mut out) = (Translator::new(plan), Vec::new());
    if early {
        translator.commit(&mut out);
    }
    for piece in pieces {
        let before = out.len();
        match translator.feed(piece, &mut out) {
            Ok(Progress::Silent) => assert_eq!(out.len(), 0, "silent, but it wrote"),
            Ok(Progress::Committed) => assert!(!out.is_empty()),
            Ok(Progress::Terminal) => assert!(translator.status().is_some()),
            Err(error) => {
                let error = Some(error);
                return Run { out, error };
            }
        }
        assert!(out.len() >= before);
    }
    finish(translator, broken, out)
}

/// The stream and the object say the same.
fn same(stream: &Run, object: &Run, options: u32) {
    if let Some(error) = &object.error {
        assert!(object.out.is_empty(), "an error behind output");
        let told = stream.error.as_ref() == Some(error);
        let text = error.body();
        let end = [b"data: ", &text[..], b"\n\ndata: [DONE]\n\n"].concat();
        assert!(told || stream.out.ends_with(&end), "{error} in one only");
        return;
    }
    assert_eq!(stream.error, None);
    let (streamed, whole) = (
        Answer::of_stream(&stream.out),
        Answer::of_object(&object.out),
    );
    let (Some(mut streamed), Some(mut whole)) = (streamed, whole) else {
        return;
    };
    if options & 1 == 0 {
        assert_eq!(streamed.usage, None);
        whole.usage = None;
    }
    // Clients add details up by their index, which only a stream needs.
    for list in [&mut streamed.lists, &mut whole.lists] {
        list[0].iter_mut().for_each(|d| d["index"] = Json::Null);
    }
    assert_eq!(streamed, whole);
}

/// Runs the translator on `upstream` in every way there is, and checks what it writes.
pub fn check(upstream: &[u8], options: u32) {
    let broken = options & 32 != 0;
    let [whole, bytes, pieces] = segmentations(upstream);
    let early = run(plan(Sink::Sse, options), &whole, true, broken);
    assert_eq!(early.error, None, "an error behind the commit");
    Answer::of_stream(&early.out);
    let first = run(plan(Sink::Sse, options), &whole, false, broken);
    match &first.error {
        Some(error) => assert!(first.out.is_empty(), "an error behind output: {error}"),
        None => drop(Answer::of_stream(&first.out)),
    }
    for split in [&bytes, &pieces] {
        let again = run(plan(Sink::Sse, options), split, false, broken);
        assert!(
            first == again,
            "the segmentation matters: {again:?}\n{first:?}"
        );
    }
    let object = run(plan(Sink::Json, options), &whole, false, broken);
    same(&first, &object, options);
    let again = run(plan(Sink::Json, options), &pieces, false, broken);
    assert!(object == again, "the segmentation matters");
}

/// The same for `upstream` as a whole Response object.
pub fn check_whole(upstream: &[u8], options: u32) {
    let [stream, object] = [Sink::Sse, Sink::Json].map(|sink| {
        let (mut translator, mut out) = (Translator::new(plan(sink, options)), Vec::new());
        match translator.feed_object(upstream, &mut out).err() {
            Some(error) => Run {
                out,
                error: Some(error),
            },
            None => finish(translator, false, out),
        }
    });
    if stream.error.is_some() {
        assert!(stream.out.is_empty(), "an error behind output");
    }
    same(&stream, &object, options);
}

/// Translates the chat request `root` for `dialect` and checks what comes of it.
fn check_request(root: Value<'_>, dialect: &Dialect) {
    let seal_key = SealKey::new([7; 32]);
    let cx = Context {
        profile: &dialect.profile,
        model: &dialect.model,
        seal_key: &seal_key,
    };
    match request::translate(root, cx) {
        Ok(translated) => {
            if let Some(body) = tree(&translated.body) {
                legal(&body, dialect);
            }
            assert!(translated.stop.len() <= 4);
            assert!(translated.stop.iter().all(|s| !s.is_empty()));
            assert!(translated.stream || !translated.include_usage);
            let told = |d: &Diagnostic| d.message.ends_with('.');
            assert!(translated.diagnostics.iter().all(told));
        }
        Err(error) => {
            assert_eq!(error.status(), 400, "{error}");
            let object = root.raw().starts_with(b"{");
            assert!(!object || error.param.is_some(), "{error}");
            assert!(is_json(&error.body()));
        }
    }
}

/// Parses `data` and checks it against one dialect, or against several.
pub fn check_bytes(data: &[u8], several: bool) {
    let mut tape = Tape::new();
    let Ok(root) = tape.parse(data) else {
        return;
    };
    let dialects = dialect::of(Wire::Responses);
    let at = digest(data) as usize;
    for n in 0..if several { 3 } else { 1 } {
        check_request(root, dialects[(at + n) % dialects.len()]);
    }
}

/// What the Responses API asks of a request.
fn legal(body: &Json, dialect: &Dialect) {
    let members = body.as_object().expect("an object");
    assert_eq!(body["model"], dialect.model.as_str());
    for name in &dialect.profile.drop_fields {
        let set = dialect.profile.extra_body.contains_key(name);
        assert!(set || !members.contains_key(name), "{name} is refused");
    }
    assert!(!dialect.profile.stream_only || body["stream"] == true);
    for name in dialect.profile.default_body.keys() {
        assert!(members.contains_key(name), "{name} is wanted");
    }
    for name in ["messages", "stop", "n", "max_tokens", "functions"] {
        assert!(
            !members.contains_key(name),
            "{name} is of the other dialect"
        );
    }
    let input = body["input"].as_array().expect("input");
    assert!(body["instructions"].is_string() || body["instructions"].is_null());
    for item in input {
        let id = item["call_id"].as_str();
        assert!(id.is_none_or(|id| (1..=64).contains(&id.len())), "{item}");
        match item["type"].as_str().expect("a type") {
            "message" => {
                let role = item["role"].as_str().expect("a role");
                assert!(["user", "assistant", "developer"].contains(&role), "{role}");
                let content = item["content"].as_array().expect("content");
                assert!(!content.is_empty(), "an empty message");
                for part in content {
                    let kind = part["type"].as_str().expect("a type");
                    let said = matches!(kind, "output_text" | "refusal");
                    assert_eq!(said, role == "assistant", "{part} of {role}");
                }
            }
            "reasoning" => {
                let encrypted = item.get("encrypted_content");
                assert!(encrypted.is_none_or(|e| e.as_str().is_some_and(|e| !e.is_empty())));
                assert!(item["summary"].is_array());
            }
            "function_call" => {
                assert!(id.is_some() && item["name"].is_string());
                assert!(item["arguments"].as_str().is_some_and(|a| !a.is_empty()));
            }
            "custom_tool_call" => {
                assert!(id.is_some() && item["name"].is_string() && item["input"].is_string());
            }
            "function_call_output" | "custom_tool_call_output" => {
                let output = &item["output"];
                let list = output.as_array().is_some_and(|o| !o.is_empty());
                assert!(id.is_some() && (list || output.is_string()), "{item}");
            }
            other => panic!("an item of type {other}"),
        }
    }
    if let Some(tools) = members.get("tools").and_then(Json::as_array) {
        let max = dialect.profile.tools_max;
        assert!(!tools.is_empty() && (max == 0 || tools.len() <= max));
        for tool in tools {
            assert!(
                tool["name"].as_str().is_some_and(|n| !n.is_empty()),
                "{tool}"
            );
            assert!(tool["type"] == "custom" || tool["parameters"].is_object());
        }
    }
}
