//! Reading heads: ours, which are strict and own what they return, beside httparse alone, which
//! only finds the fields.
//!
//! ```text
//! cargo bench --bench heads
//! ```

#[path = "common/heads.rs"]
mod heads;
#[path = "common/measure.rs"]
mod measure;

use heads::{REQUEST, RESPONSE};
use measure::{Report, Units, timed};
use std::hint::black_box;
use strait::http::head::{Parsed, request, response};

#[global_allocator]
static ALLOCATOR: strait::allocator::Allocator = strait::allocator::Allocator;

/// Heads for each look at the clock.
const HEADS: usize = 100;

fn main() {
    let (mut criterion, report) = (Report::criterion(), Report::default());
    let units = Units::Events(HEADS);
    let name = "heads/request";
    let mut group = criterion.benchmark_group(name);
    report.case(&mut group, (name, "strait"), units, || {
        timed(|| {
            for _ in 0..HEADS {
                let parsed = request(black_box(REQUEST)).expect("a good head");
                assert!(matches!(black_box(parsed), Parsed::Complete { .. }));
            }
        })
    });
    report.case(&mut group, (name, "httparse alone"), units, || {
        timed(|| {
            for _ in 0..HEADS {
                let mut fields = [httparse::EMPTY_HEADER; 64];
                let mut head = httparse::Request::new(&mut fields);
                let status = head.parse(black_box(REQUEST)).expect("a good head");
                assert!(black_box(status).is_complete());
            }
        })
    });
    group.finish();
    let name = "heads/response";
    let mut group = criterion.benchmark_group(name);
    report.case(&mut group, (name, "strait"), units, || {
        timed(|| {
            for _ in 0..HEADS {
                let parsed = response(black_box(RESPONSE), "POST").expect("a good head");
                assert!(matches!(black_box(parsed), Parsed::Complete { .. }));
            }
        })
    });
    report.case(&mut group, (name, "httparse alone"), units, || {
        timed(|| {
            for _ in 0..HEADS {
                let mut fields = [httparse::EMPTY_HEADER; 64];
                let mut head = httparse::Response::new(&mut fields);
                let status = head.parse(black_box(RESPONSE)).expect("a good head");
                assert!(black_box(status).is_complete());
            }
        })
    });
    group.finish();
    criterion.final_summary();
    report.print();
}
