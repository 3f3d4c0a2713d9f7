//! `loadtest run`.

use super::Pins;
use crate::answers::Api;
use crate::control;
use crate::outside::{Usage, Watch};
use crate::poll;
use crate::run::{Arrivals, Gauge, Load, Outcome, Percentiles, Plan, Target, drive};
use crate::script::Script;
use crate::syscalls::Syscalls;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The flags of `loadtest run`.
#[derive(Args)]
pub struct Options {
    /// The gateway; without a path, the interface's usual one.
    #[arg(long, default_value = "http://127.0.0.1:8787")]
    url: String,
    /// The interface that clients use.
    #[arg(long, value_enum, default_value_t = Api::Responses)]
    api: Api,
    /// Ask for whole answers instead of streams.
    #[arg(long)]
    whole: bool,
    /// The model to ask for.
    #[arg(long, default_value = crate::answers::MODEL)]
    model: String,
    /// A further field of the head: `name: value`.
    #[arg(long)]
    header: Vec<String>,
    /// A file with the body: {{model}}, {{mark}}, {{stream}} and {{tools}} are filled in.
    #[arg(long)]
    body: Option<PathBuf>,
    /// The scripted provider behind the gateway: it is told the script.
    #[arg(long)]
    provider: Option<SocketAddr>,
    /// Closed load: connections that ask again when they have their answer.
    #[arg(long, short = 'c', default_value_t = 1, conflicts_with = "rate")]
    connections: usize,
    /// Closed load: the pause between an answer and the next request, in milliseconds.
    #[arg(long, default_value_t = 0)]
    think_ms: u64,
    /// Open load: requests per second, whether answers come or not.
    #[arg(long)]
    rate: Option<f64>,
    /// Open load: when they come.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    arrivals: Arrivals,
    /// Open load: connections at most; beyond it, requests wait, and their waiting counts.
    #[arg(long, default_value_t = 10_000)]
    connections_max: usize,
    /// A new connection for every request, as Codex makes.
    #[arg(long)]
    fresh: bool,
    /// How long new requests are made, in seconds.
    #[arg(long, short = 's', default_value_t = 10.0)]
    seconds: f64,
    /// How long after that the last answers may take, in seconds.
    #[arg(long, default_value_t = 30.0)]
    drain: f64,
    /// Over how many seconds the connections of a closed load begin.
    #[arg(long, default_value_t = 0.0)]
    ramp: f64,
    /// When one request is given up, in seconds.
    #[arg(long, default_value_t = 120.0)]
    timeout: f64,
    /// Requests at most; 0: no limit.
    #[arg(long, default_value_t = 0)]
    requests: u64,
    /// The gateway's process: what it and its children use is measured.
    #[arg(long)]
    pid: Vec<u32>,
    /// Count the gateway's system calls (perf or strace; needs the right, and costs time).
    #[arg(long, requires = "pid")]
    syscalls: bool,
    /// CPUs: `load=1`.
    #[arg(long, default_value = "")]
    pin: Pins,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    script: Script,
}

impl Options {
    fn plan(&self) -> Result<Plan, String> {
        let mut target = Target::parse(&self.url, self.api)?;
        target.model = self.model.clone();
        for header in &self.header {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| format!("--header {header}: expected `name: value`"))?;
            target
                .headers
                .push((name.trim().into(), value.trim().into()));
        }
        if let Some(file) = &self.body {
            let body = std::fs::read_to_string(file);
            target.body = Some(body.map_err(|e| format!("{}: {e}", file.display()))?);
        }
        let seconds = |s: f64| Duration::try_from_secs_f64(s).map_err(|e| format!("{s}: {e}"));
        let load = match self.rate {
            Some(rate) if rate > 0.0 => Load::Open {
                rate,
                arrivals: self.arrivals,
                connections_max: self.connections_max,
            },
            Some(_) => return Err("--rate must be more than 0".into()),
            None => Load::Closed {
                connections: self.connections,
                think: Duration::from_millis(self.think_ms),
            },
        };
        Ok(Plan {
            streaming: !self.whole,
            load,
            fresh: self.fresh,
            duration: seconds(self.seconds)?,
            drain: seconds(self.drain)?,
            ramp: seconds(self.ramp)?,
            timeout: seconds(self.timeout)?,
            requests_max: self.requests,
            ..Plan::new(target, self.script.clone())
        })
    }
}

/// Runs, and fails when an answer was wrong.
pub fn run(options: &Options) -> io::Result<ExitCode> {
    let plan = options.plan().map_err(io::Error::other)?;
    if let Some(provider) = options.provider {
        control::set_script(provider, &plan.script)?;
    }
    let counter = match options.syscalls {
        true => Some(Syscalls::start(&options.pid)?),
        false => None,
    };
    let watch = Watch::start(&options.pid, &[std::process::id()]);
    if !options.pin.load.is_empty() {
        poll::pin(&options.pin.load)?;
    }
    let outcome = with_bar(&plan, "run", |gauge| drive(&plan, gauge))?;
    let usage = watch.stop();
    let syscalls = counter.map(Syscalls::stop).transpose()?;
    match options.json {
        true => println!("{}", json(&outcome, &usage, syscalls)),
        false => print(&outcome, &usage, options.pid.is_empty(), syscalls),
    }
    Ok(match outcome.wrong_count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Does what drives the plan, with a bar on the terminal.
pub fn with_bar<T>(plan: &Plan, title: &str, run: impl FnOnce(&Gauge) -> T) -> T {
    let gauge = Gauge::default();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| bar(plan, title, &gauge, &over));
        let outcome = run(&gauge);
        over.store(true, Ordering::Relaxed);
        outcome
    })
}

fn bar(plan: &Plan, title: &str, gauge: &Gauge, over: &AtomicBool) {
    let expected = plan.duration.as_secs_f64() + plan.script.seconds();
    let bar = ProgressBar::new((expected * 10.0) as u64);
    let style = ProgressStyle::with_template("{prefix:<34} {bar:24} {elapsed:>4} {msg}");
    bar.set_style(style.expect("a fixed template"));
    bar.set_prefix(title.to_owned());
    let start = Instant::now();
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        let passed = start.elapsed().as_secs_f64();
        bar.set_position(((passed * 10.0) as u64).min(bar.length().unwrap_or(0)));
        let get = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        bar.set_message(format!(
            "{} right, {} wrong, {:.0} deltas/s",
            get(&gauge.right),
            get(&gauge.wrong),
            get(&gauge.events) as f64 / passed
        ));
    }
    bar.finish_and_clear();
}

fn json(outcome: &Outcome, usage: &Usage, syscalls: Option<u64>) -> String {
    let times = |h| serde_json::to_value(Percentiles::from(h)).expect("plain numbers");
    serde_json::json!({
        "started": outcome.started, "right": outcome.right, "garbled": outcome.garbled,
        "lost": outcome.lost, "failed": outcome.failed, "unfinished": outcome.unfinished,
        "events": outcome.events,
        "connections": outcome.connections, "seconds": outcome.seconds,
        "first_ms": times(&outcome.first), "gap_ms": times(&outcome.gap),
        "late_ms": times(&outcome.late), "total_ms": times(&outcome.total),
        "gateway": usage, "syscalls": syscalls, "notes": outcome.notes,
        "examples": outcome.examples,
    })
    .to_string()
}

fn print(outcome: &Outcome, usage: &Usage, blind: bool, syscalls: Option<u64>) {
    println!(
        "{} right, {} garbled, {} lost, {} failed, {} unfinished; {} deltas in {:.2} s over {} connections",
        outcome.right,
        outcome.garbled,
        outcome.lost,
        outcome.failed,
        outcome.unfinished,
        outcome.events,
        outcome.seconds,
        outcome.connections
    );
    for example in &outcome.examples {
        println!("  {example}");
    }
    println!(
        "{:<10} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "ms", "p50", "p90", "p99", "p99.9", "max"
    );
    let rows = [
        ("first", &outcome.first),
        ("gap", &outcome.gap),
        ("late", &outcome.late),
        ("total", &outcome.total),
    ];
    for (name, histogram) in rows.into_iter().filter(|(_, h)| !h.is_empty()) {
        let p = Percentiles::from(histogram);
        println!(
            "{name:<10} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
            p.p50, p.p90, p.p99, p.p999, p.max
        );
    }
    if !blind {
        let per = |n: u64| match n {
            0 => "-".to_owned(),
            n => format!("{:.2}", usage.cpu_s * 1e6 / n as f64),
        };
        println!(
            "gateway    {:.3} s CPU ({:.0} % in the kernel), {} µs per delta, {} µs per answer, \
             {:.1} MiB peak ({:.1} at the start{})",
            usage.cpu_s,
            usage.system * 100.0,
            per(outcome.events),
            per(outcome.right),
            usage.rss_peak_kib as f64 / 1024.0,
            usage.rss_start_kib as f64 / 1024.0,
            if usage.peak_is_fresh {
                ""
            } else {
                "; peak may be older"
            }
        );
    }
    if let Some(n) = syscalls {
        let events = outcome.events.max(outcome.right).max(1);
        println!(
            "syscalls   {n}, {:.2} per delta or answer",
            n as f64 / events as f64
        );
    }
    println!(
        "machine    {:.0} % of the CPU went to other work",
        usage.foreign * 100.0
    );
    for (note, count) in &outcome.notes {
        println!("note       {note}: {count}");
    }
}
