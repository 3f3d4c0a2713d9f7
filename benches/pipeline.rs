//! What happens to a read in memory, between the two sockets: the chunked framing comes off, the
//! frames are translated, and what comes out is one chunk. Beside it the parts, and a copy.
//!
//! ```text
//! cargo bench --bench pipeline
//! ```

#[path = "common/measure.rs"]
mod measure;
#[path = "common/transcript.rs"]
mod transcript;

use measure::{Report, Units, timed};
use strait::http::framing::{BodyDecoder, Decoded, chunk_begin, chunk_end};
use strait::http::head::BodyKind;
use strait::translate::stream::Translator;
use transcript::{Carry, Frames, Read, Stream};

#[global_allocator]
static ALLOCATOR: strait::allocator::Allocator = strait::allocator::Allocator;

const FRAMES: usize = 4000;

const READS: [(&str, Read); 3] = [
    ("16 KiB a read", Read::Bytes(16 * 1024)),
    ("8 frames a read", Read::Frames(8)),
    ("one frame a read", Read::Frames(1)),
];

fn main() {
    let (mut criterion, report) = (Report::criterion(), Report::default());
    for carry in Carry::ALL {
        let stream = Stream::new(carry, FRAMES);
        let chunked = stream.steady.chunked();
        let name = format!("pipeline/{}", carry.name());
        let mut group = criterion.benchmark_group(&name);
        let events = Units::Events(FRAMES);
        for (case, read) in READS {
            let reads = chunked.reads(read);
            report.case(&mut group, (&name, case), events, || {
                let (mut translator, mut out) = stream.opened();
                let mut decoder = BodyDecoder::new(BodyKind::Chunked);
                timed(|| {
                    for piece in &reads {
                        out.clear();
                        through(piece, &mut decoder, &mut translator, &mut out);
                    }
                })
            });
        }
        if carry == Carry::Text {
            let reads = chunked.reads(READS[0].1);
            report.case(&mut group, (&name, "framing alone"), events, || {
                timed(|| dechunk(&reads))
            });
            copies(&report, &mut group, &name, &stream, &chunked);
        }
        group.finish();
    }
    criterion.final_summary();
    report.print();
}

/// One read, one write.
fn through(
    mut read: &[u8],
    decoder: &mut BodyDecoder,
    translator: &mut Translator,
    out: &mut Vec<u8>,
) {
    let begin = chunk_begin(out);
    while let Decoded::Data(data) = decoder.next(&mut read).expect("a good body") {
        translator.feed(data, out).expect("a good stream");
    }
    chunk_end(out, begin);
}

fn dechunk(reads: &[&[u8]]) {
    let mut decoder = BodyDecoder::new(BodyKind::Chunked);
    for mut read in reads.iter().copied() {
        while let Decoded::Data(data) = decoder.next(&mut read).expect("a good body") {
            std::hint::black_box(data);
        }
    }
}

/// The read copied, as a proxy does that does not look into it.
fn copies(
    report: &Report,
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    stream: &Stream,
    chunked: &Frames,
) {
    let reads = chunked.reads(READS[0].1);
    let mut out = Vec::with_capacity(64 * 1024);
    let events = Units::Events(stream.steady.len());
    report.case(group, (name, "memcpy of the input"), events, || {
        timed(|| {
            for piece in &reads {
                out.clear();
                out.extend_from_slice(std::hint::black_box(piece));
            }
        })
    });
}
