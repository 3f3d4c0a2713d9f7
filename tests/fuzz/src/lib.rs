//! What the targets share: segmentations that follow from the input, and the oracles for JSON and
//! for streams of Responses events.

use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::HashSet;
use strait::error::Error;
use strait::sse::{Frame, Frames};

/// Makes `fuzz` of a target: of what it does with bytes, or with a value made of them.
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:expr) => {
        /// Runs one input.
        pub fn fuzz(data: &[u8]) -> libfuzzer_sys::Corpus {
            fn on($data: &[u8]) {
                $body
            }
            on(data);
            libfuzzer_sys::Corpus::Keep
        }
    };
    (|$value:ident: $type:ty| $body:expr) => {
        /// Runs one input.
        pub fn fuzz(data: &[u8]) -> libfuzzer_sys::Corpus {
            fn on($value: $type) {
                $body
            }
            if data.len() < <$type as arbitrary::Arbitrary>::size_hint(0).0 {
                return libfuzzer_sys::Corpus::Reject;
            }
            let data = arbitrary::Unstructured::new(data);
            match <$type as arbitrary::Arbitrary>::arbitrary_take_rest(data) {
                Ok(value) => on(value),
                Err(_) => return libfuzzer_sys::Corpus::Reject,
            }
            libfuzzer_sys::Corpus::Keep
        }
    };
}

/// FNV-1a: one number that every byte of the input has a part in.
pub fn digest(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Cuts `data` at places that follow from its content, so that a seed is a plain file and a
/// reproducer needs nothing but itself. Some pieces are empty, as some reads are.
pub fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let mut state = digest(data) | 1;
    let mut rest = data;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let most = if state & 3 == 0 { 4 } else { 64 };
        let (piece, tail) = rest.split_at(((state >> 8) as usize % most).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

/// Three segmentations of `data`: whole, byte by byte (in steps of 7 where it is long), and
/// [`pieces`].
pub fn segmentations(data: &[u8]) -> [Vec<&[u8]>; 3] {
    let step = if data.len() > 4096 { 7 } else { 1 };
    [vec![data], data.chunks(step).collect(), pieces(data)]
}

/// Whether `bytes` are one JSON document by serde_json's grammar, which has no depth limit here.
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
}

/// What serde_json's tree cannot hold although it is JSON.
fn excused(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    text.starts_with("recursion limit") || text.starts_with("number out of range")
}

/// `text` as a tree, or `None` where serde_json's tree cannot hold what JSON allows: depth, huge
/// numbers, and unpaired surrogates that the client itself wrote where values pass untouched.
fn tree(text: &[u8]) -> Option<Json> {
    assert!(is_json(text), "{}", String::from_utf8_lossy(text));
    match serde_json::from_slice(text) {
        Ok(value) => Some(value),
        Err(e) => {
            let lone = ["lone leading surrogate", "unexpected end of hex escape"];
            let lone = lone.iter().any(|l| e.to_string().starts_with(l));
            assert!(
                lone || excused(&e),
                "{e}: {}",
                String::from_utf8_lossy(text)
            );
            None
        }
    }
}

/// What a run came to: what was written, and the error where nothing was committed.
#[derive(PartialEq)]
pub struct Run {
    pub out: Vec<u8>,
    pub error: Option<Error>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", String::from_utf8_lossy(&self.out), self.error)
    }
}

/// The dialects that requests and streams are tried with.
pub mod dialect {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;
    use strait::provider::profile::{JsonMode, MidSystem, Replay, ReplayForm, Wire};
    use strait::provider::{Profile, builtin};

    /// The dialect of one model.
    pub struct Dialect {
        /// The provider's name for the model.
        pub model: String,
        pub profile: Profile,
    }

    /// Every built-in profile with all that it extends, each of its models that differs, and
    /// three that lie at the ends of what a profile can say.
    static ALL: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for name in builtin::tables().keys() {
            let table = builtin::table(name, &BTreeMap::new()).expect("a built-in profile");
            let profile = Profile::from_table(name, table).expect("a built-in profile");
            for key in profile.variants.keys() {
                let model = key.replace('*', "-x");
                let profile = profile.for_model(&model).clone();
                all.push(Dialect { model, profile });
            }
            let model = "m".to_owned();
            all.push(Dialect { model, profile });
        }
        for (name, profile) in ends() {
            let (model, name) = ("m".to_owned(), name.to_owned());
            let profile = Profile { name, ..profile };
            all.push(Dialect { model, profile });
        }
        all
    });

    fn ends() -> [(&'static str, Profile); 3] {
        let poor = Profile {
            replay: Replay::Required,
            replay_field: "reasoning_content".into(),
            tool_choice: vec!["auto".into()],
            images_user: false,
            response_format: JsonMode::None,
            parallel_tool_calls: false,
            stream_usage: false,
            content_empty_string: true,
            tools_max: 2,
            temperature: Some((0.0, 1.0)),
            merge_adjacent: true,
            name_on_tool: true,
            call_id_exact: 9,
            schema_type_lists: false,
            ..Profile::default()
        };
        let rich = Profile {
            replay: Replay::Optional,
            replay_field: "reasoning".into(),
            mid_system: MidSystem::Ok,
            developer_role: true,
            images_tool: true,
            strict_tools: true,
            custom_tools: true,
            tools_with_history: true,
            call_id_max: 12,
            response_format: JsonMode::JsonObject,
            cache_key_field: "user".into(),
            effort_field: "reasoning_effort".into(),
            efforts: [("high".to_owned(), "max".to_owned())].into(),
            ..Profile::default()
        };
        let events = Profile {
            wire: Wire::Responses,
            replay: Replay::Optional,
            replay_form: ReplayForm::Content,
            images_user: false,
            tools_max: 2,
            temperature: Some((0.0, 1.0)),
            drop_fields: [
                "instructions",
                "stream_options",
                "reasoning.summary",
                "tools",
            ]
            .map(String::from)
            .to_vec(),
            tool_types: vec!["function".into()],
            extra_body: [("store".to_owned(), true.into())].into(),
            ..Profile::default()
        };
        [("p", poor), ("q", rich), ("r", events)]
    }

    /// The dialects of one wire.
    pub fn of(wire: Wire) -> &'static [&'static Dialect] {
        static CHAT: LazyLock<Vec<&Dialect>> = LazyLock::new(|| of_wire(Wire::Chat));
        static RESPONSES: LazyLock<Vec<&Dialect>> = LazyLock::new(|| of_wire(Wire::Responses));
        match wire {
            Wire::Chat => &CHAT,
            Wire::Responses => &RESPONSES,
        }
    }

    fn of_wire(wire: Wire) -> Vec<&'static Dialect> {
        ALL.iter().filter(|d| d.profile.wire == wire).collect()
    }
}

/// Counts a request's tokens: there are no more than a few for each byte.
fn tokens(request: strait::json::Value<'_>) {
    use strait::translate::tokens::estimate;
    let most = 1000 + 4 * request.raw().len() as u64 + 765 * (request.raw().len() as u64 / 8);
    let key = strait::auth::secret::SealKey::new([7; 32]);
    match estimate(request, &key) {
        Ok(tokens) => assert!((3..most).contains(&tokens), "{tokens}"),
        Err(error) => assert_eq!(error.status(), 400, "{error}"),
    }
}

/// The frames of a stream: their names and data.
pub fn frames(stream: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut parser, mut seen) = (Frames::new(), Vec::new());
    let mut on = |f: Frame<'_>| -> Result<(), ()> {
        seen.push((f.event.to_vec(), f.data.to_vec()));
        Ok(())
    };
    parser.feed(stream, &mut on).expect("a short stream");
    parser.finish(&mut on).expect("a short stream");
    seen
}

/// Whether an event ends a stream.
pub fn is_terminal(kind: &str) -> bool {
    matches!(
        kind,
        "response.completed" | "response.incomplete" | "response.failed"
    )
}

/// A JSON string's text. Unpaired surrogates, which serde_json refuses, must not be there.
fn text(event: &Json, name: &str) -> String {
    event[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is no string: {event}"))
        .to_owned()
}

/// Checks a whole downstream stream against the grammar of the Responses API:
///
/// ```text
/// stream   := created in_progress { in_progress | item } terminal "[DONE]"
/// item     := added { part } done          one after another, never interleaved
/// terminal := completed | incomplete | error failed
/// ```
///
/// Every frame is one line of JSON that names its event; sequence numbers count from 0 without
/// gaps; item ids are fresh; deltas add up to what the `done` events say; the terminal snapshot
/// holds the items that were sent, in order.
pub fn check_stream(out: &[u8]) {
    let mut frames = frames(out);
    let last = frames.pop().expect("a stream has frames");
    assert_eq!(last.1, b"[DONE]", "the stream does not end in [DONE]");
    let mut check = Checker::default();
    for (n, (event, data)) in frames.iter().enumerate() {
        assert!(!data.contains(&b'\n'), "data on several lines");
        assert!(is_json(data), "{}", String::from_utf8_lossy(data));
        let value: Json = match serde_json::from_slice(data) {
            Ok(value) => value,
            // A model's own arguments may be JSON that serde_json's tree cannot hold.
            Err(e) if excused(&e) => return,
            Err(e) => panic!("{e}: {}", String::from_utf8_lossy(data)),
        };
        assert_eq!(value["type"].as_str().map(str::as_bytes), Some(&event[..]));
        assert_eq!(value["sequence_number"], n, "a gap in the sequence");
        check.event(n, &value);
    }
    assert!(check.over, "no terminal event");
}

#[derive(Default)]
struct Checker {
    ids: HashSet<String>,
    open: Option<String>,
    deltas: String,
    output: Vec<Json>,
    failing: bool,
    over: bool,
}

impl Checker {
    fn event(&mut self, n: usize, event: &Json) {
        let kind = event["type"].as_str().expect("checked");
        assert!(!self.over, "{kind} behind the terminal event");
        let expected = ["response.created", "response.in_progress"];
        assert!(n >= 2 || kind == expected[n], "{kind} is event {n}");
        assert!(n == 0 || kind != "response.created", "created again");
        assert!(!self.failing || kind == "response.failed", "{kind}");
        match kind {
            "response.created" | "response.in_progress" => {}
            "error" => {
                self.failing = true;
                assert!(self.open.is_none(), "an error inside an item");
            }
            "response.output_item.added" => {
                let id = text(&event["item"], "id");
                assert!(self.open.is_none(), "items interleave");
                assert_eq!(event["output_index"], self.output.len());
                assert!(self.ids.insert(id.clone()), "{id} again");
                self.open = Some(id);
                self.deltas.clear();
            }
            "response.output_item.done" => {
                let item = &event["item"];
                assert_eq!(self.open.take(), Some(text(item, "id")));
                assert_eq!(event["output_index"], self.output.len());
                for name in ["arguments", "input"] {
                    if let Some(whole) = item[name].as_str() {
                        assert_eq!(self.deltas, whole, "deltas and {name} differ");
                    }
                }
                self.output.push(item.clone());
            }
            "response.compaction.compacting"
            | "response.web_search_call.in_progress"
            | "response.web_search_call.searching"
            | "response.web_search_call.completed" => {
                assert_eq!(self.open, Some(text(event, "item_id")));
            }
            _ if is_terminal(kind) => {
                assert!(self.open.is_none(), "{kind} inside an item");
                assert_eq!(self.failing, kind == "response.failed");
                assert_eq!(
                    event["response"]["output"],
                    Json::Array(self.output.clone())
                );
                let status = kind.trim_start_matches("response.");
                assert_eq!(event["response"]["status"], status);
                self.over = true;
            }
            _ => {
                let id = text(event, "item_id");
                assert_eq!(self.open.as_ref(), Some(&id), "{kind} of another item");
                assert_eq!(event["output_index"], self.output.len());
                self.part(kind, event);
            }
        }
    }

    fn part(&mut self, kind: &str, event: &Json) {
        if kind.ends_with(".delta") {
            return self.deltas.push_str(&text(event, "delta"));
        }
        if kind.ends_with("part.added") {
            return self.deltas.clear();
        }
        let name = match kind {
            "response.function_call_arguments.done" => "arguments",
            "response.custom_tool_call_input.done" => "input",
            "response.refusal.done" => "refusal",
            "response.output_text.done"
            | "response.reasoning_text.done"
            | "response.reasoning_summary_text.done" => "text",
            "response.content_part.done"
            | "response.reasoning_summary_part.done"
            | "response.output_text.annotation.added" => return,
            _ => panic!("an unknown event {kind}"),
        };
        assert_eq!(self.deltas, text(event, name), "deltas and {name} differ");
    }
}

/// Plans, runs and oracles for `translate::stream::Translator`.
pub mod chat {
    use super::{Run, dialect};
    use super::{check_stream, is_json, segmentations};
    use strait::auth::secret::SealKey;
    use strait::error::{Error, Kind, Source};
    use strait::json::Tape;
    use strait::provider::profile::Wire;
    use strait::responses::tool::{Tool, ToolKind, ToolTable};
    use strait::route::answer::frames_of_events;
    use strait::translate::snapshot::{Place, echo};
    use strait::translate::stream::{Plan, Progress, Rules, Sink, Translator, UpstreamEnd};

    /// The names of the tools in every plan, with one of each kind.
    pub const TOOLS: [(&str, ToolKind); 6] = [
        ("f", ToolKind::Function),
        ("p", ToolKind::Custom),
        ("apply_patch", ToolKind::ApplyPatch),
        ("local_shell", ToolKind::LocalShell),
        ("shell", ToolKind::Shell),
        ("tool_search", ToolKind::ToolSearch),
    ];

    /// The rules of a built-in dialect, or those that the bits of `options` choose one by one.
    fn rules(options: u32) -> Rules {
        let tags: &[&str] = match options >> 10 & 3 {
            _ if options & 8 == 0 => &[],
            0 | 1 => &["think"],
            2 => &["think", "thinking"],
            _ => &["t", "th"],
        };
        if options & 1 << 12 != 0 {
            let dialects = dialect::of(Wire::Chat);
            let dialect = dialects[(options >> 16) as usize % dialects.len()];
            return Rules::of(&dialect.profile);
        }
        Rules {
            think_tags: tags.iter().copied().map(String::from).collect(),
            think_prefilled: options & 64 != 0,
            cumulative: options & 128 != 0,
            lenient_sse: options & 256 != 0,
        }
    }

    /// A plan; the bits of `options` choose how it shows reasoning and refusals, whether it seals
    /// and searches, and the rules of the upstream's streams.
    pub fn plan(sink: Sink, options: u32) -> Plan {
        let mut tools = ToolTable::default();
        for (n, (name, kind)) in TOOLS.into_iter().enumerate() {
            tools.push(Tool {
                flat: name.into(),
                namespace: (n == 1).then(|| "n".into()),
                name: name.into(),
                kind,
            });
        }
        let mut tape = Tape::new();
        let request = tape
            .parse(br#"{"model":"m","input":"q","metadata":{"a":"b"}}"#)
            .expect("JSON");
        Plan {
            sink,
            response_id: "resp_1".into(),
            created_at: 1_760_000_000,
            echo: echo(request, "m", &[], options & 1 == 0, Place::default()),
            tools,
            reasoning_summary: options & 2 != 0,
            seal: (options & 4 != 0).then(|| (SealKey::new([7; 32]), "p".into())),
            seed: [3; 32],
            rules: rules(options),
            web_search: options & 512 != 0,
            refusal_as_text: options & 16 != 0,
            hold_end: false,
        }
    }

    fn finish(mut translator: Translator, broken: bool, mut out: Vec<u8>) -> Run {
        let end = match broken {
            true => UpstreamEnd::Broken(reset()),
            false => UpstreamEnd::Clean,
        };
        let error = translator.finish(end, &mut out).err();
        assert!(translator.status().is_some(), "finished without a status");
        let len = out.len();
        translator.keepalive(&mut out);
        let late = b"data: {\"choices\":[{\"delta\":{\"content\":\"late\"}}]}\n\n";
        let progress = translator.feed(late, &mut out);
        assert_eq!(progress, Ok(Progress::Terminal));
        assert_eq!(translator.finish(UpstreamEnd::Clean, &mut out), Ok(()));
        assert_eq!(out.len(), len, "something follows the end");
        Run { out, error }
    }

    fn reset() -> Error {
        Error::new(Source::Upstream, Kind::UpstreamBroken, "reset")
    }

    fn run(plan: Plan, pieces: &[&[u8]], early: bool, broken: bool) -> Run {
        drive(Translator::new(plan), pieces, early, broken)
    }

    fn drive(mut translator: Translator, pieces: &[&[u8]], early: bool, broken: bool) -> Run {
        let mut out = Vec::new();
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
                    return Run {
                        out,
                        error: Some(error),
                    };
                }
            }
            assert!(out.len() >= before);
        }
        finish(translator, broken, out)
    }

    /// Runs the translator on `upstream` in every way there is, and checks what it writes.
    pub fn check(upstream: &[u8], options: u32) {
        let broken = options & 32 != 0;
        let [whole, bytes, pieces] = segmentations(upstream);
        for early in [false, true] {
            let first = run(plan(Sink::Sse, options), &whole, early, broken);
            match &first.error {
                Some(error) => {
                    assert!(!early, "an error behind the commit: {error}");
                    assert!(first.out.is_empty(), "an error behind output: {error}");
                }
                None => check_stream(&first.out),
            }
            // What is written as frames is what the events would be turned into.
            let frames = run(plan(Sink::WebSocket, options), &whole, early, broken);
            let mut expected = first.out.clone();
            frames_of_events(&mut expected, 0);
            assert!(frames.out == expected && frames.error == first.error);
            for split in [&bytes, &pieces] {
                let again = run(plan(Sink::Sse, options), split, early, broken);
                assert!(
                    first == again,
                    "the segmentation matters: {again:?}\n{first:?}"
                );
            }
            let slow = Translator::new(plan(Sink::Sse, options)).without_prediction();
            let again = drive(slow, &whole, early, broken);
            assert!(first == again, "prediction matters: {again:?}\n{first:?}");
        }
        let object = run(plan(Sink::Json, options), &whole, false, broken);
        check_object(&object);
        let again = run(plan(Sink::Json, options), &pieces, false, broken);
        assert!(object == again, "the segmentation matters");
    }

    fn check_object(run: &Run) {
        match &run.error {
            Some(_) => assert!(run.out.is_empty(), "an error behind output"),
            None => assert!(is_json(&run.out), "{}", String::from_utf8_lossy(&run.out)),
        }
    }

    /// The same for `upstream` as a whole `chat.completion` object.
    pub fn check_whole(upstream: &[u8], options: u32) {
        for sink in [Sink::Sse, Sink::Json] {
            let (mut translator, mut out) = (Translator::new(plan(sink, options)), Vec::new());
            let error = translator.feed_object(upstream, &mut out).err();
            let run = match error {
                Some(_) => Run { out, error },
                None => finish(translator, false, out),
            };
            match (&run.error, sink) {
                (None, Sink::Sse) => check_stream(&run.out),
                _ => check_object(&run),
            }
        }
    }
}

/// Oracles for `translate::request`.
pub mod request {
    use super::dialect::{self, Dialect};
    use super::{is_json, tree};
    use serde_json::Value as Json;
    use std::collections::HashSet;
    use strait::auth::secret::SealKey;
    use strait::json::{Tape, Value};
    use strait::provider::Profile;
    use strait::provider::profile::{MidSystem, Replay, Wire};
    use strait::translate::request::{Context, translate};
    use strait::translate::snapshot::{Place, echo};

    /// How many dialects a structured request is tried with.
    const SEVERAL: usize = 4;

    /// Translates `request` for `dialect` and checks what comes of it.
    fn check(root: Value<'_>, dialect: &Dialect) {
        let seal_key = SealKey::new([7; 32]);
        let profile = &dialect.profile;
        let names: Vec<&str> = profile.models.keys().map(String::as_str).collect();
        let pick = super::digest(root.raw()) as usize;
        // Models whose dialect is the provider's differ in limits all the same.
        let model = match dialect.model.as_str() {
            "m" => names.get(pick % (names.len() + 1)).unwrap_or(&"m"),
            own => own,
        };
        let profile = profile.for_model(model);
        let cx = Context {
            profile,
            model,
            seal_key: &seal_key,
        };
        match translate(root, cx) {
            Ok(translated) => {
                if let Some(body) = tree(&translated.body) {
                    legal(&body, profile);
                }
                for minimal in [false, true] {
                    let members = echo(
                        root,
                        "m",
                        &translated.diagnostics,
                        minimal,
                        Place::default(),
                    );
                    let echo = [b"{", &members[..], b"}"].concat();
                    assert!(is_json(&echo), "{}", String::from_utf8_lossy(&echo));
                    assert!(!echo.contains(&b'\n') && !echo.contains(&b'\r'));
                }
            }
            Err(error) => {
                assert_eq!(error.status(), 400, "{error}");
                assert!(is_json(&error.body()));
            }
        }
    }

    /// Parses `data` and checks it against one dialect, or against several. A root that holds a
    /// `request`, as the test vectors do, stands for that.
    pub fn check_bytes(data: &[u8], several: bool) {
        let mut tape = Tape::new();
        let Ok(root) = tape.parse(data) else {
            return;
        };
        let root = root.get("request").unwrap_or(root);
        super::tokens(root);
        if let Some(asked) = super::compaction::asked(root) {
            let mut tape = Tape::new();
            let dialects = dialect::of(Wire::Chat);
            let at = super::digest(&asked) as usize % dialects.len();
            check(tape.parse(&asked).expect("our own request"), dialects[at]);
        }
        let dialects = dialect::of(Wire::Chat);
        let at = super::digest(data) as usize % dialects.len();
        let step = dialects.len() / SEVERAL;
        for n in 0..if several { SEVERAL } else { 1 } {
            check(root, dialects[(at + n * step) % dialects.len()]);
        }
    }

    fn legal_name(name: &str) {
        assert!((1..=64).contains(&name.len()), "{name:?}");
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(name.chars().all(legal), "{name:?}");
    }

    /// What every strict provider asks of a chat request.
    fn legal(body: &Json, profile: &Profile) {
        let messages = body["messages"].as_array().expect("messages");
        assert!(!messages.is_empty(), "no messages");
        let (mut seen, mut waiting) = (HashSet::new(), Vec::<String>::new());
        for (n, message) in messages.iter().enumerate() {
            let role = message["role"].as_str().expect("a role");
            match role {
                "tool" => {
                    let id = message["tool_call_id"].as_str().expect("an id");
                    let at = waiting.iter().position(|w| w == id);
                    waiting.remove(at.unwrap_or_else(|| panic!("{id:?} answers no call")));
                }
                _ => assert!(waiting.is_empty(), "{waiting:?} without answers"),
            }
            match role {
                "system" | "developer" => {
                    assert!(n == 0 || profile.mid_system == MidSystem::Ok);
                    assert!(role == "system" || profile.developer_role);
                }
                "user" => {
                    let text = |m: &Json| m["role"] == "user" && m["content"].is_string();
                    let apart = n == 0 || !text(message) || !text(&messages[n - 1]);
                    assert!(apart || !profile.merge_adjacent, "two texts of the user");
                }
                "tool" if profile.name_on_tool => {
                    legal_name(message["name"].as_str().expect("a name"));
                }
                "tool" => {}
                "assistant" => {
                    let calls = message.get("tool_calls");
                    let content = &message["content"];
                    let said = content.as_array().is_some_and(|c| !c.is_empty());
                    assert!(said || content.is_string() || calls.is_some(), "{message}");
                    if profile.replays() == Replay::None {
                        assert!(message.get("reasoning_content").is_none());
                        assert!(!said);
                    }
                }
                _ => panic!("the role {role:?}"),
            }
            if role != "assistant" {
                let content = &message["content"];
                assert!(
                    content.is_string() || content.as_array().is_some_and(|c| !c.is_empty()),
                    "{message}"
                );
                assert!(message.get("tool_calls").is_none());
            }
            let Some(calls) = message.get("tool_calls") else {
                continue;
            };
            let calls = calls.as_array().expect("a list of calls");
            assert!(!calls.is_empty(), "tool_calls is empty");
            for call in calls {
                let id = call["id"].as_str().expect("an id");
                assert!(!id.is_empty(), "an empty id");
                assert!(seen.insert(id), "{id:?} twice");
                waiting.push(id.to_owned());
                let (length, max) = (id.chars().count(), profile.call_id_max);
                assert!(max == 0 || length <= max, "the id {id:?} is too long");
                let exact = profile.call_id_exact;
                assert!(exact == 0 || length == exact, "the id {id:?}");
                if call["type"] == "custom" {
                    assert!(profile.custom_tools);
                    legal_name(call["custom"]["name"].as_str().expect("a name"));
                    assert!(call["custom"]["input"].is_string());
                    continue;
                }
                legal_name(call["function"]["name"].as_str().expect("a name"));
                let arguments = call["function"]["arguments"].as_str().expect("arguments");
                assert!(is_json(arguments.as_bytes()), "arguments {arguments:?}");
                assert!(
                    arguments.trim_ascii().starts_with('{'),
                    "arguments {arguments:?}"
                );
            }
        }
        assert!(waiting.is_empty(), "{waiting:?} without answers");
        if let Some(tools) = body.get("tools") {
            let tools = tools.as_array().expect("a list of tools");
            assert!(!tools.is_empty());
            let mut names = HashSet::new();
            for tool in tools {
                let kind = tool["type"].as_str().expect("a type");
                if profile.web_search_tool.get("type").and_then(|t| t.as_str()) == Some(kind) {
                    continue;
                }
                let name = tool[kind]["name"].as_str().expect("a name");
                legal_name(name);
                assert!(names.insert(name), "the tool {name} twice");
                match kind {
                    "function" => assert_eq!(tool["function"]["parameters"]["type"], "object"),
                    _ => assert!(kind == "custom" && profile.custom_tools, "{tool}"),
                }
            }
            assert!(profile.tools_max == 0 || names.len() <= profile.tools_max);
        } else {
            assert!(body.get("tool_choice").is_none(), "a choice of no tools");
            assert!(body.get("parallel_tool_calls").is_none());
        }
    }
}

/// Plans and oracles for `translate::reverse`.
pub mod compaction;
pub mod reverse;
