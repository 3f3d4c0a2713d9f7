//! The translator on realistic streams, beside the same step done by simd-json and serde_json and
//! beside a copy of the bytes that come out.
//!
//! `stream/<kind>` is the steady stretch of one kind of delta: the item is open, nothing but
//! deltas come. `stream/whole` is an answer from its role to `[DONE]`, the translator's making
//! included. Rivals are checked to write the same events.
//!
//! ```text
//! cargo bench --bench stream              # all, and the table at the end
//! cargo bench --bench stream -- text      # one kind
//! ```

#[path = "common/measure.rs"]
mod measure;
#[path = "common/rivals.rs"]
mod rivals;
#[path = "common/transcript.rs"]
mod transcript;

use criterion::Criterion;
use measure::{Report, Units, timed};
use rivals::{Parser, Rival};
use serde_json::Value;
use strait::translate::stream::{Translator, UpstreamEnd};
use transcript::{Carry, Frames, Read, Stream, mixed, plan};

#[global_allocator]
static ALLOCATOR: strait::allocator::Allocator = strait::allocator::Allocator;

const FRAMES: usize = 4000;

/// The largest read first: it is what the ratios are to.
const READS: [(&str, Read); 3] = [
    ("64 KiB a feed", Read::Bytes(64 * 1024)),
    ("8 frames a feed", Read::Frames(8)),
    ("one frame a feed", Read::Frames(1)),
];

fn main() {
    let (mut criterion, report) = (Report::criterion(), Report::default());
    for carry in Carry::ALL {
        steady(&mut criterion, &report, &Stream::new(carry, FRAMES));
    }
    whole(&mut criterion, &report, &mixed(FRAMES));
    criterion.final_summary();
    report.print();
}

fn steady(criterion: &mut Criterion, report: &Report, stream: &Stream) {
    let name = format!("stream/{}", stream.carry.name());
    let mut group = criterion.benchmark_group(&name);
    let events = Units::Events(stream.steady.len());
    for (case, read) in READS {
        let reads = stream.steady.reads(read);
        report.case(&mut group, (&name, case), events, || {
            let (mut translator, mut out) = stream.opened();
            timed(|| {
                for piece in &reads {
                    out.clear();
                    translator.feed(piece, &mut out).expect("a good stream");
                }
            })
        });
    }
    let written = written(stream);
    let expected = events_of(&written);
    let reads = stream.steady.reads(Read::Bytes(64 * 1024));
    for parser in Parser::ALL {
        let rival = || Rival::new(parser, stream.carry, &expected[0]);
        let (mut once, mut all) = (rival(), Vec::new());
        reads.iter().for_each(|piece| once.feed(piece, &mut all));
        assert!(
            events_of(&all) == expected,
            "{parser:?} writes other events"
        );
        report.case(&mut group, (&name, parser.name()), events, || {
            let (mut rival, mut out) = (rival(), Vec::with_capacity(256 * 1024));
            timed(|| {
                for piece in &reads {
                    out.clear();
                    rival.feed(piece, &mut out);
                }
            })
        });
    }
    copies(report, &mut group, &name, events, &written);
    group.finish();
}

/// What the translator makes of the steady stretch.
fn written(stream: &Stream) -> Vec<u8> {
    let (mut translator, mut out) = stream.opened();
    translator
        .feed(stream.steady.bytes(), &mut out)
        .expect("a good stream");
    out
}

fn events_of(out: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    let mut on = |frame: strait::sse::Frame<'_>| -> Result<(), serde_json::Error> {
        events.push(serde_json::from_slice(frame.data)?);
        Ok(())
    };
    strait::sse::Frames::new()
        .feed(out, &mut on)
        .expect("events are JSON");
    events
}

/// The bytes that come out, copied event by event.
fn copies(
    report: &Report,
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    units: Units,
    written: &[u8],
) {
    let mut ends: Vec<usize> = memchr::memmem::find_iter(written, b"\n\n")
        .map(|at| at + 2)
        .collect();
    ends.push(written.len());
    let mut out = Vec::with_capacity(64 * 1024);
    report.case(group, (name, "memcpy of the output"), units, || {
        timed(|| {
            let mut from = 0;
            for &end in &ends {
                if out.len() > 48 * 1024 {
                    out.clear();
                }
                out.extend_from_slice(std::hint::black_box(&written[from..end]));
                from = end;
            }
        })
    });
}

fn whole(criterion: &mut Criterion, report: &Report, frames: &Frames) {
    let name = "stream/whole";
    let mut group = criterion.benchmark_group(name);
    let events = Units::Events(frames.len());
    let run = |reads: &[&[u8]], out: &mut Vec<u8>, clear: bool| {
        let mut translator = Translator::new(plan());
        for piece in reads {
            if clear {
                out.clear();
            }
            translator.feed(piece, out).expect("a good stream");
        }
        translator
            .finish(UpstreamEnd::Clean, out)
            .expect("a good end");
        assert_eq!(translator.status(), Some("completed"));
    };
    for (case, read) in READS {
        let reads = frames.reads(read);
        let mut out = Vec::with_capacity(256 * 1024);
        report.case(&mut group, (name, case), events, || {
            timed(|| run(&reads, &mut out, true))
        });
    }
    let mut written = Vec::new();
    run(&frames.reads(READS[0].1), &mut written, false);
    copies(report, &mut group, name, events, &written);
    group.finish();
}
