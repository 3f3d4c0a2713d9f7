//! What a process tree costs, seen from outside, through /proc.
//!
//! CPU is the sum of `/proc/PID/task/*/schedstat` (nanoseconds on a CPU) over all threads of all
//! processes of the tree. It is read every 100 ms, so a thread or child that ends loses at most
//! its last 100 ms. The memory peak is the sum of the processes' `VmHWM`, which is reset at the
//! start through `/proc/PID/clear_refs` where the kernel allows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(100);

/// What a process tree used.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Usage {
    /// Seconds of CPU.
    pub cpu_s: f64,
    /// Of these, the share in the kernel: 0 to 1.
    pub system: f64,
    /// The most memory that was resident, in KiB.
    pub rss_peak_kib: u64,
    /// What was resident at the start, in KiB.
    pub rss_start_kib: u64,
    /// False where the peak may be from before the start.
    pub peak_is_fresh: bool,
    /// The share of the whole machine's CPU that other work took: 0 to 1.
    pub foreign: f64,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    first: u64,
    last: u64,
}

/// Watches a process tree from its start until it is stopped.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Usage>,
}

impl Watch {
    /// Starts watching the trees of `roots`; `known` are processes that belong to the test, and so
    /// are not foreign. No roots: only the foreign share is found. Returns after the first reading,
    /// so that nothing of what follows is missed.
    pub fn start(roots: &[u32], known: &[u32]) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let (roots, known) = (roots.to_vec(), known.to_vec());
        let (begun, has_begun) = mpsc::channel();
        let thread = std::thread::spawn(move || Watcher::new(roots, known).run(begun, &flag));
        // A watcher that is gone says nothing, and `stop` finds that out.
        let _ = has_begun.recv();
        Watch { stop, thread }
    }

    /// Stops, and says what was used.
    pub fn stop(self) -> Usage {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

struct Watcher {
    roots: Vec<u32>,
    known: Vec<u32>,
    tasks: BTreeMap<(u32, u32), Seen>,
    ours: BTreeMap<(u32, u32), Seen>,
    pids: BTreeSet<u32>,
    rss_start: u64,
    peaks: BTreeMap<u32, u64>,
    fresh: bool,
    begun: bool,
}

impl Watcher {
    fn new(roots: Vec<u32>, known: Vec<u32>) -> Watcher {
        Watcher {
            roots,
            known,
            tasks: BTreeMap::new(),
            ours: BTreeMap::new(),
            pids: BTreeSet::new(),
            rss_start: 0,
            peaks: BTreeMap::new(),
            fresh: true,
            begun: false,
        }
    }

    fn run(mut self, begun: mpsc::Sender<()>, stop: &AtomicBool) -> Usage {
        self.pids = tree(&self.roots);
        for pid in &self.pids {
            self.fresh &= std::fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok();
            self.rss_start += status(*pid, "VmRSS:");
        }
        let machine = machine_ns();
        let kernel = ticks(&self.pids);
        self.sample();
        self.begun = true;
        // Nobody to hear it: then nobody waits.
        let _ = begun.send(());
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(EVERY);
            round += 1;
            if round % 10 == 0 {
                self.pids.extend(tree(&self.roots));
            }
            self.sample();
        }
        self.sample();
        for &pid in &self.pids {
            let peak = status(pid, "VmHWM:");
            let entry = self.peaks.entry(pid).or_default();
            *entry = peak.max(*entry);
        }
        let sum = |map: &BTreeMap<(u32, u32), Seen>| -> u64 {
            map.values().map(|s| s.last - s.first).sum()
        };
        let (cpu, ours) = (sum(&self.tasks), sum(&self.ours));
        let kernel_now = ticks(&self.pids);
        let (user, system) = (
            kernel_now.0.saturating_sub(kernel.0),
            kernel_now.1.saturating_sub(kernel.1),
        );
        let now = machine_ns();
        let busy = now.0.saturating_sub(machine.0) as f64;
        let all = now.1.saturating_sub(machine.1) as f64;
        Usage {
            cpu_s: cpu as f64 / 1e9,
            system: system as f64 / (user + system).max(1) as f64,
            rss_peak_kib: self.peaks.values().sum(),
            rss_start_kib: self.rss_start,
            peak_is_fresh: self.fresh,
            foreign: ((busy - (cpu + ours) as f64) / all.max(1.0)).clamp(0.0, 1.0),
        }
    }

    fn sample(&mut self) {
        for &pid in &self.pids {
            sample(pid, &mut self.tasks, self.begun);
        }
        for &pid in &self.known {
            sample(pid, &mut self.ours, self.begun);
        }
    }
}

/// A task that is first seen after the start began at zero.
fn sample(pid: u32, tasks: &mut BTreeMap<(u32, u32), Seen>, begun: bool) {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return;
    };
    for entry in entries.flatten() {
        let Some(task) = number(&entry.file_name()) else {
            continue;
        };
        let Some(ns) = on_cpu(entry.path().join("schedstat")) else {
            continue;
        };
        let seen = tasks.entry((pid, task)).or_insert(Seen {
            first: if begun { 0 } else { ns },
            last: ns,
        });
        seen.last = seen.last.max(ns);
    }
}

fn on_cpu(path: PathBuf) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn number(name: &std::ffi::OsStr) -> Option<u32> {
    name.to_str()?.parse().ok()
}

/// The processes that descend from `roots`, these included.
pub fn tree(roots: &[u32]) -> BTreeSet<u32> {
    let mut all: BTreeSet<u32> = roots.iter().copied().collect();
    if roots.is_empty() {
        return all;
    }
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = number(&entry.file_name())?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect();
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| all.contains(parent) && !all.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn status(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(field));
    let value = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0)
}

/// What is resident in the trees of `roots`, in KiB.
pub fn resident_kib(roots: &[u32]) -> u64 {
    tree(roots).into_iter().map(|p| status(p, "VmRSS:")).sum()
}

/// User and system time of the processes, in ticks.
fn ticks(pids: &BTreeSet<u32>) -> (u64, u64) {
    let mut sum = (0, 0);
    for pid in pids {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = fields.split_whitespace().skip(11);
        let mut next = || {
            fields
                .next()
                .and_then(|f| f.parse::<u64>().ok())
                .unwrap_or(0)
        };
        sum.0 += next();
        sum.1 += next();
    }
    sum
}

/// The whole machine's busy and total time, in nanoseconds.
fn machine_ns() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or("");
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|f| f.parse().ok())
        .collect();
    let total: u64 = fields.iter().sum();
    let idle = fields.get(3).unwrap_or(&0) + fields.get(4).unwrap_or(&0);
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    ((total - idle) * tick, total * tick)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_what_it_burns() {
        let watch = Watch::start(&[std::process::id()], &[]);
        std::thread::sleep(Duration::from_millis(50));
        let start = std::time::Instant::now();
        let mut sum = 0u64;
        while start.elapsed() < Duration::from_millis(300) {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        std::hint::black_box(sum);
        let usage = watch.stop();
        // Other tests burn as well, and other work may take the CPU away.
        assert!(usage.cpu_s > 0.02, "{usage:?}");
        assert!(usage.rss_peak_kib > 1000, "{usage:?}");
    }
}
