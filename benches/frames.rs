//! Cutting a stream into frames: `sse::Frames` beside a reader that looks at every byte and one
//! that only searches for blank lines.
//!
//! ```text
//! cargo bench --bench frames
//! ```

#[path = "common/measure.rs"]
mod measure;
#[path = "common/transcript.rs"]
mod transcript;

use measure::{Report, Units, timed};
use strait::sse::{Frame, Frames};
use transcript::{Carry, Read, Stream};

#[global_allocator]
static ALLOCATOR: strait::allocator::Allocator = strait::allocator::Allocator;

const FRAMES: usize = 4000;

fn main() {
    let (mut criterion, report) = (Report::criterion(), Report::default());
    let stream = Stream::new(Carry::Text, FRAMES).steady;
    let events = Units::Events(stream.len());
    let name = "frames";
    let mut group = criterion.benchmark_group(name);
    let cut = |reads: &[&[u8]]| {
        let (mut frames, mut seen) = (Frames::new(), 0);
        let mut on = |frame: Frame<'_>| -> Result<(), ()> {
            seen += usize::from(!std::hint::black_box(frame.data).is_empty());
            Ok(())
        };
        for piece in reads {
            frames.feed(piece, &mut on).expect("a good stream");
        }
        assert_eq!(seen, FRAMES);
    };
    for (case, read) in [
        ("64 KiB a feed", Read::Bytes(64 * 1024)),
        ("1 KiB a feed", Read::Bytes(1024)),
        ("one frame a feed", Read::Frames(1)),
    ] {
        let reads = stream.reads(read);
        report.case(&mut group, (name, case), events, || timed(|| cut(&reads)));
    }
    report.case(&mut group, (name, "byte by byte"), events, || {
        timed(|| assert_eq!(naive(stream.bytes()), FRAMES))
    });
    report.case(&mut group, (name, "blank lines only"), events, || {
        timed(|| {
            let found = memchr::memmem::find_iter(stream.bytes(), b"\n\n").count();
            assert_eq!(found, FRAMES);
        })
    });
    group.finish();
    criterion.final_summary();
    report.print();
}

/// The reader that a first draft would have: a line grows byte by byte.
fn naive(stream: &[u8]) -> usize {
    let (mut line, mut data, mut seen) = (Vec::new(), Vec::new(), 0);
    for &byte in stream {
        match byte {
            b'\r' => {}
            b'\n' if line.is_empty() => {
                seen += usize::from(!std::hint::black_box(&data).is_empty());
                data.clear();
            }
            b'\n' => {
                if let Some(value) = line.strip_prefix(b"data: ") {
                    data.extend_from_slice(value);
                }
                line.clear();
            }
            byte => line.push(byte),
        }
    }
    seen
}
