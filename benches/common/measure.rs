//! How the programs in this folder measure: criterion decides how often, the thread's own CPU
//! time is what counts (others on the machine do not lengthen it), and a table with one row for
//! each case closes the run, in nanoseconds a unit and as ratios to the first case of its group.

#![allow(dead_code, reason = "each program uses its own part")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::cell::RefCell;
use std::time::Duration;

/// CPU time of this thread so far.
pub fn cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a `timespec` that outlives the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0, "Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time that `work` takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let before = cpu();
    std::hint::black_box(work());
    cpu() - before
}

/// What a unit of a case is.
#[derive(Clone, Copy, Debug)]
pub enum Units {
    /// Events, or heads.
    Events(usize),
    /// Bytes.
    Bytes(usize),
}

struct Row {
    group: String,
    case: String,
    units: Units,
    /// Nanoseconds a run, one entry for each sample.
    samples: Vec<f64>,
}

/// The cases of a program and what was measured.
#[derive(Default)]
pub struct Report {
    rows: RefCell<Vec<Row>>,
}

impl Report {
    /// Criterion as these programs use it: short, and without plots.
    pub fn criterion() -> Criterion {
        Criterion::default()
            .without_plots()
            .sample_size(40)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(800))
            .configure_from_args()
    }

    /// Measures one case; `run` prepares what it needs and returns the time of the rest.
    pub fn case(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        (name, case): (&str, &str),
        units: Units,
        mut run: impl FnMut() -> Duration,
    ) {
        group.throughput(match units {
            Units::Events(n) => Throughput::Elements(n as u64),
            Units::Bytes(n) => Throughput::Bytes(n as u64),
        });
        let mut samples = Vec::new();
        group.bench_function(case, |bencher| {
            bencher.iter_custom(|runs| {
                let total: Duration = (0..runs).map(|_| run()).sum();
                samples.push(total.as_nanos() as f64 / runs as f64);
                total
            });
        });
        if !samples.is_empty() {
            self.rows.borrow_mut().push(Row {
                group: name.into(),
                case: case.into(),
                units,
                samples,
            });
        }
    }

    /// Prints the table.
    pub fn print(self) {
        let rows = self.rows.into_inner();
        let mut first = ("", 0.0);
        for row in &rows {
            let mut samples = row.samples.clone();
            samples.sort_by(f64::total_cmp);
            let run = samples[samples.len() / 2];
            if first.0 != row.group {
                println!("\n{}", row.group);
                first = (&row.group, run);
            }
            let speed = match row.units {
                Units::Events(n) => format!("{:10.1} ns", run / n as f64),
                Units::Bytes(n) => format!("{:8.3} GB/s", n as f64 / run),
            };
            println!("  {:<28}{speed}{:9.3}x", row.case, run / first.1);
        }
    }
}
