//! Whole exchanges without sockets: from the client's head to the log line.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use strait::config::{self, Snapshot};
use strait::http::head::{self, Parsed};
use strait::route::exchange::{Action, Exchange, Input, Machine};

const CONFIG: &str = "[providers.p]\nprofile = \"openai-compatible\"\n\
base_url = \"http://127.0.0.1:1/v1\"\napi_key = \"sk-bench\"\n[models]\n\"*\" = \"p/*\"\n";

/// One request and its answer, made once and exchanged as often as wanted.
pub struct Talk {
    snapshot: Arc<Snapshot>,
    head: Vec<u8>,
    body: Vec<u8>,
    /// What upstream sends, a read each.
    reads: Vec<Vec<u8>>,
}

impl Talk {
    /// A small request, answered by one object (`deltas` is zero) or by a stream.
    pub fn new(deltas: usize) -> Talk {
        let stream = deltas > 0;
        let body = format!(
            "{{\"model\":\"bench\",\"instructions\":\"You are a bench.\",\"input\":[{{\"type\":\"message\",\"role\":\"user\",\"content\":[{{\"type\":\"input_text\",\"text\":\"Say something, please.\"}}]}}],\"store\":false,\"stream\":{stream}}}"
        );
        let head = format!(
            "POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1:8787\r\nauthorization: Bearer sk-client\r\n\
             content-type: application/json\r\naccept: */*\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let reads = match stream {
            false => vec![object()],
            true => chunks(deltas),
        };
        Talk {
            snapshot: Arc::new(config::parse("bench", CONFIG, &|_| None).expect("legal")),
            head: head.into_bytes(),
            body: body.into_bytes(),
            reads,
        }
    }

    /// Has the exchange once; returns how many bytes the client got.
    pub fn run(&self) -> usize {
        let Ok(Parsed::Complete { head, .. }) = head::request(&self.head) else {
            panic!("a good head")
        };
        let now = Instant::now();
        let seed = [7; 32];
        let mut exchange = Exchange::new(self.snapshot.clone(), head, seed, 1_760_000_000, now);
        let (mut reads, mut got) = (self.reads.iter(), 0);
        loop {
            match exchange.poll() {
                Action::ReadClient => {
                    exchange.client_bytes(&self.body, now);
                }
                Action::Connect(_) => exchange.handle(Input::Connected { reused: true }, now),
                Action::ToUpstream(bytes) => {
                    drop(black_box(bytes));
                    exchange.handle(Input::RequestSent, now);
                }
                Action::ToClient => {
                    let out = exchange.take_output();
                    got += out.len();
                    exchange.recycle(black_box(out));
                }
                Action::Wait => match reads.next() {
                    Some(read) => exchange.handle(Input::UpstreamBytes(read), now),
                    None => panic!("the answer is whole"),
                },
                Action::Login(_) => panic!("the provider takes no login"),
                Action::Operate(_) => panic!("no operator asks"),
                Action::Spawn(_) => panic!("nothing is for the background"),
                Action::Store(_) => panic!("nothing is kept"),
                Action::CloseUpstream | Action::ReleaseUpstream | Action::Record(_) => {}
                Action::Done { .. } => break,
            }
        }
        black_box(exchange.record());
        got
    }
}

fn object() -> Vec<u8> {
    let body = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Something that was asked for, and no more.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":9,\"total_tokens\":21}}";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

fn chunks(deltas: usize) -> Vec<Vec<u8>> {
    let frame = |choices: &str, more: &str| {
        let data = format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench\",\"choices\":[{choices}]{more}}}\n\n"
        );
        format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
    };
    let delta = |delta: &str, finish: &str| {
        format!("{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}")
    };
    let mut reads =
        vec![
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
        frame(&delta("{\"role\":\"assistant\",\"content\":\"\"}", "null"), ""),
    ];
    for i in 0..deltas {
        let text = format!("{{\"content\":\"delta {i:02} of a text that is long enough.\"}}");
        reads.push(frame(&delta(&text, "null"), ""));
    }
    reads.push(frame(&delta("{}", "\"stop\""), ""));
    let usage = ",\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":9,\"total_tokens\":21}";
    let mut last = frame("", usage);
    last.extend_from_slice(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    reads.push(last);
    reads
}
