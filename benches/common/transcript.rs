//! Streams as providers send them: every field that real chunks carry, deltas of 4 to 24 bytes,
//! text with the escapes and letters that models write. The same on every run.

#![allow(dead_code, reason = "each program uses its own part")]

use strait::json::Tape;
use strait::responses::tool::{Tool, ToolKind, ToolTable};
use strait::translate::snapshot;
use strait::translate::stream::{Plan, Rules, Sink, Translator};

/// What the frames of a stream carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carry {
    /// `delta.reasoning_content`.
    Reasoning,
    /// `delta.content`.
    Text,
    /// Fragments of a function's arguments.
    Arguments,
    /// Fragments of the function arguments that hold a freeform tool's input.
    Custom,
    /// `delta.content` in frames of which no two neighbours look alike: the order of the members
    /// changes, and each has a nonce.
    Unpredicted,
}

impl Carry {
    /// All of them.
    pub const ALL: [Carry; 5] = [
        Carry::Reasoning,
        Carry::Text,
        Carry::Arguments,
        Carry::Custom,
        Carry::Unpredicted,
    ];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Carry::Reasoning => "reasoning",
            Carry::Text => "text",
            Carry::Arguments => "arguments",
            Carry::Custom => "custom",
            Carry::Unpredicted => "unpredicted",
        }
    }
}

/// How much of a stream one read brings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Read {
    /// So many whole frames.
    Frames(usize),
    /// So many bytes, wherever frames end.
    Bytes(usize),
}

/// A stretch of frames, one after another.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Frames {
    /// Appends a frame with this `data`.
    pub fn push(&mut self, data: &str) {
        self.bytes.extend_from_slice(b"data: ");
        self.bytes.extend_from_slice(data.as_bytes());
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push(self.bytes.len());
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as reads bring them.
    pub fn reads(&self, read: Read) -> Vec<&[u8]> {
        match read {
            Read::Bytes(n) => self.bytes.chunks(n).collect(),
            Read::Frames(n) => {
                let mut from = 0;
                let mut piece = |ends: &[usize]| {
                    let end = ends[ends.len() - 1];
                    &self.bytes[std::mem::replace(&mut from, end)..end]
                };
                self.ends.chunks(n).map(&mut piece).collect()
            }
        }
    }

    /// The bytes of the first `n` of them.
    pub fn first(&self, n: usize) -> &[u8] {
        &self.bytes[..self.ends[n - 1]]
    }

    /// The same stretch in chunked framing, a chunk for each frame.
    pub fn chunked(&self) -> Frames {
        let mut chunked = Frames::default();
        for frame in self.reads(Read::Frames(1)) {
            chunked
                .bytes
                .extend_from_slice(format!("{:x}\r\n", frame.len()).as_bytes());
            chunked.bytes.extend_from_slice(frame);
            chunked.bytes.extend_from_slice(b"\r\n");
            chunked.ends.push(chunked.bytes.len());
        }
        chunked
    }
}

/// A stream of one kind: what opens the item, then frames that all carry a delta of it.
pub struct Stream {
    /// What it carries.
    pub carry: Carry,
    /// From the role on, with enough deltas for the translator to know what to expect.
    pub opening: Frames,
    /// Nothing but deltas.
    pub steady: Frames,
}

impl Stream {
    /// A stream with `n` deltas behind its opening.
    pub fn new(carry: Carry, n: usize) -> Stream {
        const OPENING: usize = 8;
        let mut writer = Writer::new();
        let mut opening = Frames::default();
        writer.open(carry, &mut opening);
        let mut steady = Frames::default();
        for at in 0..OPENING + n {
            let frames = if at < OPENING {
                &mut opening
            } else {
                &mut steady
            };
            writer.delta(carry, frames);
        }
        Stream {
            carry,
            opening,
            steady,
        }
    }

    /// A translator that has seen the opening, and the buffer it writes to, emptied.
    pub fn opened(&self) -> (Translator, Vec<u8>) {
        self.opened_into(Sink::Sse)
    }

    /// The same for another kind of stream.
    pub fn opened_into(&self, sink: Sink) -> (Translator, Vec<u8>) {
        let mut translator = Translator::new(Plan { sink, ..plan() });
        let mut out = Vec::with_capacity(256 * 1024);
        for piece in self.opening.reads(Read::Frames(1)) {
            translator.feed(piece, &mut out).expect("a good stream");
        }
        out.clear();
        (translator, out)
    }
}

/// A whole answer, role to `[DONE]`: reasoning, text, a call, a freeform call, usage.
pub fn mixed(n: usize) -> Frames {
    let (mut writer, mut frames) = (Writer::new(), Frames::default());
    let parts = [
        (Carry::Reasoning, n * 4 / 10),
        (Carry::Text, n * 3 / 10),
        (Carry::Arguments, n / 10),
        (Carry::Custom, n * 2 / 10),
    ];
    for (carry, count) in parts {
        writer.open(carry, &mut frames);
        for _ in 0..count {
            writer.delta(carry, &mut frames);
        }
        writer.close(carry, &mut frames);
    }
    writer.finish(&mut frames);
    frames
}

/// What the exchange would tell the translator.
pub fn plan() -> Plan {
    let mut tools = ToolTable::default();
    for (name, kind) in [
        ("exec_command", ToolKind::Function),
        ("apply_patch", ToolKind::Custom),
    ] {
        tools.push(Tool {
            flat: name.into(),
            namespace: None,
            name: name.into(),
            kind,
        });
    }
    let request = br#"{"model":"deepseek-v4-pro","input":"x","store":false,"stream":true}"#;
    let mut tape = Tape::new();
    let request = tape.parse(request).expect("the request above");
    Plan {
        sink: Sink::Sse,
        response_id: format!("resp_{}", "0123456789abcdef".repeat(3)),
        created_at: 1_760_000_000,
        echo: snapshot::echo(
            request,
            "deepseek-v4-pro",
            &[],
            false,
            snapshot::Place::default(),
        ),
        tools,
        reasoning_summary: false,
        seal: None,
        seed: [9; 32],
        rules: Rules::default(),
        web_search: false,
        refusal_as_text: false,
        hold_end: false,
    }
}

/// Pieces of words as tokenisers cut them; some need escapes, some are not ASCII.
const WORDS: &[&str] = &[
    " the",
    " function",
    " returns",
    "fn ",
    "let mut ",
    " translate",
    "(&self",
    ") -> ",
    "Result<",
    "Vec<u8>",
    " {\n",
    "    ",
    "\n\n",
    "\"quoted\"",
    " of a",
    " stream",
    "ing",
    "'s ",
    ". The ",
    ", which",
    " is",
    " then",
    " checked",
    "_bytes",
    "::new()",
    "\t",
    " — ",
    "é",
    " größer",
    " 函数",
    "0x1f",
    "1024",
    " `cargo",
    " test`",
    " path\\to",
    ";\n",
    "// ",
    " an",
    " error",
    " if ",
    "?",
];

/// Writes chunks the way DeepSeek and OpenAI do.
struct Writer {
    random: u64,
    calls: usize,
}

impl Writer {
    fn new() -> Self {
        Writer {
            random: 0x9e37_79b9_7f4a_7c15,
            calls: 0,
        }
    }

    /// Xorshift.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Text of 4 to 24 bytes.
    fn text(&mut self) -> String {
        let least = 4 + (self.next() % 14) as usize;
        let mut text = String::new();
        while text.len() < least {
            text.push_str(WORDS[(self.next() % WORDS.len() as u64) as usize]);
        }
        text
    }

    /// One chunk with this delta.
    fn chunk(&self, delta: &str, finish: &str, usage: &str) -> String {
        format!(
            r#"{{"id":"chatcmpl-7f1c9a52-6f0e-4c1d-9b1e-3f2d8c4a7b60","object":"chat.completion.chunk","created":1760000000,"model":"deepseek-v4-pro","system_fingerprint":"fp_8802369eaa_prod0623_fp8_kvcache","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}],"usage":{usage}}}"#
        )
    }

    fn open(&mut self, carry: Carry, frames: &mut Frames) {
        if frames.len() == 0 {
            let role = r#"{"role":"assistant","content":null,"reasoning_content":""}"#;
            frames.push(&self.chunk(role, "null", "null"));
        }
        let (name, begin) = match carry {
            Carry::Arguments => ("exec_command", r#"{"cmd":""#),
            Carry::Custom => ("apply_patch", r#"{"input":"*** Begin Patch\n"#),
            _ => return,
        };
        let delta = format!(
            r#"{{"tool_calls":[{{"index":{0},"id":"call_00_k3mVx8Qw{0}","type":"function","function":{{"name":"{name}","arguments":""}}}}]}}"#,
            self.calls
        );
        frames.push(&self.chunk(&delta, "null", "null"));
        self.arguments(begin, frames);
    }

    fn close(&mut self, carry: Carry, frames: &mut Frames) {
        if matches!(carry, Carry::Arguments | Carry::Custom) {
            self.arguments("\"}", frames);
            self.calls += 1;
        }
    }

    fn arguments(&self, fragment: &str, frames: &mut Frames) {
        let delta = format!(
            r#"{{"tool_calls":[{{"index":{},"function":{{"arguments":{}}}}}]}}"#,
            self.calls,
            quoted(fragment)
        );
        frames.push(&self.chunk(&delta, "null", "null"));
    }

    fn delta(&mut self, carry: Carry, frames: &mut Frames) {
        let text = self.text();
        let delta = match carry {
            Carry::Reasoning => {
                format!(
                    r#"{{"content":null,"reasoning_content":{}}}"#,
                    quoted(&text)
                )
            }
            Carry::Text => {
                format!(
                    r#"{{"content":{},"reasoning_content":null}}"#,
                    quoted(&text)
                )
            }
            Carry::Arguments | Carry::Custom => {
                let inner = quoted(&text);
                return self.arguments(&inner[1..inner.len() - 1], frames);
            }
            Carry::Unpredicted => return frames.push(&self.shuffled(&text)),
        };
        frames.push(&self.chunk(&delta, "null", "null"));
    }

    /// A chunk whose members come in an order of its own.
    fn shuffled(&mut self, text: &str) -> String {
        let nonce = format!("{:016x}", self.next());
        let mut members = [
            format!(r#""id":"chatcmpl-{}""#, &nonce[..12]),
            r#""object":"chat.completion.chunk""#.to_owned(),
            r#""created":1760000000"#.to_owned(),
            r#""model":"deepseek-v4-pro""#.to_owned(),
            r#""system_fingerprint":"fp_8802369eaa_prod0623_fp8_kvcache""#.to_owned(),
            format!(
                r#""choices":[{{"index":0,"delta":{{"content":{}}},"logprobs":null,"finish_reason":null}}]"#,
                quoted(text)
            ),
            r#""usage":null"#.to_owned(),
            format!(
                r#""obfuscation":"{}""#,
                &nonce[..4 + (self.next() % 12) as usize]
            ),
        ];
        for at in (1..members.len()).rev() {
            members.swap(at, (self.next() % (at as u64 + 1)) as usize);
        }
        format!("{{{}}}", members.join(","))
    }

    fn finish(&mut self, frames: &mut Frames) {
        let usage = r#"{"prompt_tokens":18210,"completion_tokens":2207,"total_tokens":20417,"prompt_tokens_details":{"cached_tokens":17920},"completion_tokens_details":{"reasoning_tokens":880},"prompt_cache_hit_tokens":17920,"prompt_cache_miss_tokens":290}"#;
        let delta = r#"{"content":"","reasoning_content":null}"#;
        frames.push(&self.chunk(delta, "\"tool_calls\"", usage));
        frames.push("[DONE]");
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}
