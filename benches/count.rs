//! Work to be counted by callgrind, which `benches/instructions` runs: `count <case> <runs>` does
//! all set-up, always the same, and then the case's step `runs` times. The difference of two
//! counts is what the steps cost.
//!
//! ```text
//! <kind>/one       a steady frame of the kind, one a feed
//! <kind>/many      the same, 64 KiB a feed
//! websocket/<kind> a frame of the kind, one a feed, for a WebSocket
//! pipeline/<kind>  a frame of the kind: its chunk's framing off, translated, framed
//! request          a Codex history of about 1 MiB; `count request` prints its length
//! exchange/object  a small exchange, from the head to the log line
//! exchange/stream  the same with a stream of 20 deltas, a delta a read
//! head/request     a head of Codex
//! head/response    a head of a provider
//! ```

#[path = "common/exchange.rs"]
mod exchange;
#[path = "common/heads.rs"]
mod heads;
#[path = "common/history.rs"]
mod history;
#[path = "common/transcript.rs"]
mod transcript;

use std::hint::black_box;
use strait::auth::secret::SealKey;
use strait::http::framing::{BodyDecoder, Decoded, chunk_begin, chunk_end};
use strait::http::head::{self, BodyKind};
use strait::json::Tape;
use strait::provider::Profile;
use strait::translate::request::{Context, translate};
use strait::translate::stream::Sink;
use transcript::{Carry, Read, Stream};

#[global_allocator]
static ALLOCATOR: strait::allocator::Allocator = strait::allocator::Allocator;

/// Frames there are; a case runs over as many of them as it is told.
const FRAMES: usize = 4000;
/// About how long the history is.
const REQUEST: usize = 1 << 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (case, runs) = (arguments.next(), arguments.next());
    let (Some(case), Some(runs)) = (case.as_deref(), runs) else {
        match case.as_deref() {
            Some("request") => println!("{}", history::body(REQUEST).len()),
            _ => println!("benches/instructions runs this"),
        }
        return;
    };
    let runs: usize = runs.parse().expect("a number of runs");
    let carry = |name: &str| Carry::ALL.into_iter().find(|c| c.name() == name);
    match case.split_once('/') {
        None if case == "request" => requests(runs),
        Some(("exchange", which)) => exchanges(which, runs),
        Some(("head", which)) => read_heads(which, runs),
        Some(("websocket", kind)) => {
            let carry = carry(kind).expect("a kind");
            frames(carry, runs, Read::Frames(1), Sink::WebSocket);
        }
        Some(("pipeline", kind)) => pipeline(carry(kind).expect("a kind"), runs),
        Some((kind, "one")) => {
            let carry = carry(kind).expect("a kind");
            frames(carry, runs, Read::Frames(1), Sink::Sse);
        }
        Some((kind, "many")) => {
            let carry = carry(kind).expect("a kind");
            frames(carry, runs, Read::Bytes(64 << 10), Sink::Sse);
        }
        _ => panic!("no such case: {case}"),
    }
}

fn frames(carry: Carry, runs: usize, read: Read, sink: Sink) {
    let stream = Stream::new(carry, FRAMES);
    let (mut translator, mut out) = stream.opened_into(sink);
    let reads = match read {
        Read::Frames(n) => stream.steady.reads(Read::Frames(n)),
        Read::Bytes(n) => stream.steady.first(runs).chunks(n).collect(),
    };
    for piece in reads.into_iter().take(runs) {
        out.clear();
        translator.feed(piece, &mut out).expect("a good stream");
    }
    black_box(&out);
}

fn pipeline(carry: Carry, runs: usize) {
    let stream = Stream::new(carry, FRAMES);
    let chunked = stream.steady.chunked();
    let (mut translator, mut out) = stream.opened();
    let mut decoder = BodyDecoder::new(BodyKind::Chunked);
    for mut read in chunked.reads(Read::Frames(1)).into_iter().take(runs) {
        out.clear();
        let begin = chunk_begin(&mut out);
        while let Decoded::Data(data) = decoder.next(&mut read).expect("a good body") {
            translator.feed(data, &mut out).expect("a good stream");
        }
        chunk_end(&mut out, begin);
    }
    black_box(&out);
}

fn requests(runs: usize) {
    let body = history::body(REQUEST);
    let profile = Profile::parse("bench", "key_optional = true").expect("a legal profile");
    let seal_key = SealKey::new([7; 32]);
    let cx = Context {
        profile: &profile,
        model: "deepseek-v4-pro",
        seal_key: &seal_key,
    };
    let mut tape = Tape::new();
    for _ in 0..runs {
        let request = tape.parse(&body).expect("JSON");
        black_box(translate(request, cx).expect("a good request"));
    }
}

fn exchanges(which: &str, runs: usize) {
    let talk = exchange::Talk::new(if which == "stream" { 20 } else { 0 });
    for _ in 0..runs {
        assert!(talk.run() > 0, "an answer");
    }
}

fn read_heads(which: &str, runs: usize) {
    for _ in 0..runs {
        match which {
            "request" => drop(black_box(head::request(black_box(heads::REQUEST)))),
            _ => drop(black_box(head::response(
                black_box(heads::RESPONSE),
                "POST",
            ))),
        }
    }
}
