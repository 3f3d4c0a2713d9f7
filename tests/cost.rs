//! What an event and a waiting stream cost in memory: allocations, and bytes held. Both are the
//! same on every machine, so they gate. An event allocates nothing; what grows is what must be
//! repeated at the end, which doubles each time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;
use strait::config::Snapshot;
use strait::http::framing::{BodyDecoder, Decoded, chunk_begin, chunk_end};
use strait::http::head::{self, BodyKind, Parsed};
use strait::json::with_tape;
use strait::provider::Profile;
use strait::route::exchange::{Action, Exchange, Input, Machine};
use strait::translate::stream::Translator;

#[path = "../benches/common/exchange.rs"]
mod exchange;
#[path = "../benches/common/transcript.rs"]
mod transcript;

use transcript::{Carry, Read, Stream, plan};

/// The system's allocator, counted for each thread.
struct Counting;

thread_local! {
    static FRESH: Cell<u64> = const { Cell::new(0) };
    static GROWN: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn live(change: i64) {
    LIVE.set(LIVE.get() + change);
}

// SAFETY: every call is the system allocator's with the same arguments; counting touches only
// constant-initialised thread locals without destructors, which never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        FRESH.set(FRESH.get() + 1);
        live(layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        live(-(layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        GROWN.set(GROWN.get() + 1);
        live(size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and reallocations so far.
fn counted() -> (u64, u64) {
    (FRESH.get(), GROWN.get())
}

/// Deltas that are counted.
const FRAMES: usize = 2000;

/// Limits for [`FRAMES`] deltas.
struct Limit {
    carry: Carry,
    /// Allocations.
    fresh: u64,
    /// Reallocations: a few buffers double a few times.
    grown: u64,
}

const LIMITS: [Limit; 5] = [
    limit(Carry::Reasoning, 0, 8),
    limit(Carry::Text, 0, 8),
    limit(Carry::Arguments, 0, 8),
    limit(Carry::Custom, 0, 14),
    limit(Carry::Unpredicted, 0, 10),
];

const fn limit(carry: Carry, fresh: u64, grown: u64) -> Limit {
    Limit {
        carry,
        fresh,
        grown,
    }
}

/// Most bytes that a translator holds on the heap behind its first deltas, its plan apart.
const TRANSLATOR_HEAP_MAX: i64 = 960;
/// Most bytes that an exchange holds on the heap then, the translator included. Most of it is
/// what the response object repeats of the request, here Codex's tools and instructions.
const EXCHANGE_HEAP_MAX: i64 = 17 * 1024;
/// Most bytes of the machines themselves.
const TRANSLATOR_SIZE_MAX: usize = 1024;
const EXCHANGE_SIZE_MAX: usize = 1024;

/// Most allocations and reallocations of a small exchange, answered by an object or by a stream of
/// so many deltas.
const EXCHANGE_MAX: [(usize, u64, u64); 2] = [(0, 40, 1), (20, 42, 8)];

/// Holds what was counted against the limits, all at once.
fn judge(what: &str, measured: &[(Carry, u64, u64)]) {
    let mut over = Vec::new();
    for &(carry, fresh, grown) in measured {
        let name = carry.name();
        println!("{what} {name}: {fresh} allocations, {grown} reallocations in {FRAMES} events");
        let limit = LIMITS.iter().find(|l| l.carry == carry).expect("a limit");
        if fresh > limit.fresh || grown > limit.grown {
            over.push(format!(
                "{what} {name}: {fresh} allocations (limit {}), {grown} reallocations (limit {})",
                limit.fresh, limit.grown
            ));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

#[test]
fn allocations_of_the_translator() {
    let measured = Carry::ALL.map(|carry| {
        let stream = Stream::new(carry, FRAMES);
        let (mut translator, mut out) = stream.opened();
        let reads = stream.steady.reads(Read::Frames(1));
        let before = counted();
        for piece in &reads {
            out.clear();
            translator.feed(piece, &mut out).expect("a good stream");
        }
        let after = counted();
        (carry, after.0 - before.0, after.1 - before.1)
    });
    judge("translator", &measured);
}

#[test]
fn allocations_of_the_pipeline() {
    let measured = Carry::ALL.map(|carry| {
        let stream = Stream::new(carry, FRAMES);
        let (mut translator, mut out) = stream.opened();
        let chunked = stream.steady.chunked();
        let reads = chunked.reads(Read::Frames(1));
        let mut decoder = BodyDecoder::new(BodyKind::Chunked);
        let before = counted();
        for mut read in reads.iter().copied() {
            out.clear();
            let begin = chunk_begin(&mut out);
            while let Decoded::Data(data) = decoder.next(&mut read).expect("a good body") {
                translator.feed(data, &mut out).expect("a good stream");
            }
            chunk_end(&mut out, begin);
        }
        let after = counted();
        (carry, after.0 - before.0, after.1 - before.1)
    });
    judge("pipeline", &measured);
}

#[test]
fn allocations_of_an_exchange() {
    for (deltas, fresh, grown) in EXCHANGE_MAX {
        let talk = exchange::Talk::new(deltas);
        // What is made once for all exchanges is there after the first.
        talk.run();
        let before = counted();
        assert!(talk.run() > 0, "an answer");
        let after = counted();
        let measured = (after.0 - before.0, after.1 - before.1);
        println!(
            "an exchange with {deltas} deltas: {} allocations, {} reallocations",
            measured.0, measured.1
        );
        assert!(measured.0 <= fresh && measured.1 <= grown);
    }
}

#[test]
fn bytes_of_a_waiting_translator() {
    let stream = Stream::new(Carry::Text, FRAMES);
    // What the thread keeps for all its streams is there.
    drop(stream.opened());
    let mut out = Vec::with_capacity(64 * 1024);
    let plan = plan();
    let before = LIVE.get();
    let mut translator = Translator::new(plan);
    for piece in stream.opening.reads(Read::Frames(1)) {
        translator.feed(piece, &mut out).expect("a good stream");
    }
    let heap = LIVE.get() - before;
    let size = size_of::<Translator>();
    println!("a waiting translator: {size} bytes and {heap} on the heap, its plan apart");
    assert!(size <= TRANSLATOR_SIZE_MAX && heap <= TRANSLATOR_HEAP_MAX);
}

#[test]
fn bytes_of_a_waiting_exchange() {
    let stream = Stream::new(Carry::Text, FRAMES);
    let chunked = stream.opening.chunked();
    let profile = Profile::parse("mock", "key_optional = true").expect("a legal profile");
    let snapshot = Arc::new(Snapshot::single(profile, "http://127.0.0.1:9/v1"));
    let body = include_bytes!("codex_bodies/03-007.json");
    let text = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let now = Instant::now();
    // The tape is the thread's, and grows once.
    assert!(with_tape(|tape| tape.parse(body).is_ok()));
    let before = LIVE.get();
    let Ok(Parsed::Complete { head, .. }) = head::request(text.as_bytes()) else {
        panic!("the head is good");
    };
    let mut exchange = Exchange::new(snapshot, head, [7; 32], 1_760_000_000, now);
    drive(&mut exchange, now);
    assert_eq!(exchange.client_bytes(body, now), body.len());
    drive(&mut exchange, now);
    exchange.handle(Input::Connected { reused: false }, now);
    drive(&mut exchange, now);
    let answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    exchange.handle(Input::UpstreamBytes(answer), now);
    let mut sent = drive(&mut exchange, now);
    for piece in chunked.reads(Read::Frames(1)) {
        exchange.handle(Input::UpstreamBytes(piece), now);
        sent += drive(&mut exchange, now);
    }
    assert!(sent > 2000, "events went out");
    // As the shell does: what waits holds no buffer for its output.
    drop(exchange.take_output());
    let heap = LIVE.get() - before;
    let size = size_of::<Exchange>();
    println!("a waiting exchange: {size} bytes and {heap} on the heap, the translator included");
    assert!(size <= EXCHANGE_SIZE_MAX && heap <= EXCHANGE_HEAP_MAX);
}

/// Does what the exchange asks until it waits; returns how many bytes went to the client. The
/// output's buffer goes back to the exchange, as in the shell.
fn drive(exchange: &mut Exchange, now: Instant) -> usize {
    let mut sent = 0;
    loop {
        match exchange.poll() {
            Action::ToClient => {
                let output = exchange.take_output();
                sent += output.len();
                exchange.recycle(output);
            }
            Action::ToUpstream(_) => exchange.handle(Input::RequestSent, now),
            Action::Done { .. } => panic!("the exchange is over"),
            Action::CloseUpstream | Action::ReleaseUpstream => panic!("upstream is needed"),
            _ => return sent,
        }
    }
}
