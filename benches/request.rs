//! A Codex history becomes a chat request: tape and translation, at four sizes. Beside it
//! simd-json and serde_json only reading the body and writing it back, which is less work than
//! translating it, and a copy.
//!
//! ```text
//! cargo bench --bench request
//! ```

#[path = "common/history.rs"]
mod history;
#[path = "common/measure.rs"]
mod measure;

use measure::{Report, Units, timed};
use simd_json::prelude::*;
use strait::auth::secret::SealKey;
use strait::json::Tape;
use strait::provider::Profile;
use strait::translate::request::{Context, translate};

#[global_allocator]
static ALLOCATOR: strait::allocator::Allocator = strait::allocator::Allocator;

const SIZES: [(&str, usize); 4] = [
    ("10 KiB", 10 << 10),
    ("100 KiB", 100 << 10),
    ("1 MiB", 1 << 20),
    ("10 MiB", 10 << 20),
];

fn main() {
    let (mut criterion, report) = (Report::criterion(), Report::default());
    let profile = Profile::parse("bench", "key_optional = true").expect("a legal profile");
    let seal_key = SealKey::new([7; 32]);
    let cx = Context {
        profile: &profile,
        model: "deepseek-v4-pro",
        seal_key: &seal_key,
    };
    for (size, bytes) in SIZES {
        let body = history::body(bytes);
        let units = Units::Bytes(body.len());
        let name = format!("request/{size}");
        let mut group = criterion.benchmark_group(&name);
        let mut tape = Tape::new();
        report.case(&mut group, (&name, "tape and translation"), units, || {
            timed(|| {
                let request = tape.parse(&body).expect("JSON");
                translate(request, cx).expect("a good request").body.len()
            })
        });
        report.case(&mut group, (&name, "tape alone"), units, || {
            timed(|| tape.parse(&body).expect("JSON").raw().len())
        });
        let (mut copy, mut out) = (Vec::new(), Vec::new());
        let mut buffers = simd_json::Buffers::new(body.len());
        report.case(
            &mut group,
            (&name, "simd-json there and back"),
            units,
            || {
                timed(|| {
                    copy.clear();
                    copy.extend_from_slice(&body);
                    out.clear();
                    let value = simd_json::to_borrowed_value_with_buffers(&mut copy, &mut buffers)
                        .expect("JSON");
                    value.write(&mut out).expect("a vector takes all");
                    out.len()
                })
            },
        );
        report.case(
            &mut group,
            (&name, "serde_json there and back"),
            units,
            || {
                timed(|| {
                    out.clear();
                    let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
                    serde_json::to_writer(&mut out, &value).expect("a vector takes all");
                    out.len()
                })
            },
        );
        report.case(&mut group, (&name, "memcpy of the input"), units, || {
            timed(|| {
                out.clear();
                out.extend_from_slice(std::hint::black_box(&body));
                out.len()
            })
        });
        group.finish();
    }
    criterion.final_summary();
    report.print();
}
