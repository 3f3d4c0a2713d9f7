//! What only the shell can measure, when somebody asks for the numbers.

use super::audit::Gauges;
use super::driver::DriverKind;
use super::export;
use super::journal::Journal;
use crate::config::Snapshot;
use crate::ledger::breaker::State;
use crate::ledger::metrics::{Core, Format, Sample, Shell, expose};
use crate::route::operator::{Ask, Reply};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the numbers are.
pub(super) struct Scraper {
    /// One for each worker.
    pub(super) cores: Vec<Arc<Core>>,
    journal: Journal,
    audit: Option<Arc<Gauges>>,
    traces: Option<export::Desk>,
    /// `io_uring` or `epoll`, once the workers have started.
    driver: OnceLock<&'static str>,
    /// In Unix seconds.
    started_s: f64,
}

impl Scraper {
    /// The process begins now.
    pub(super) fn new(
        cores: Vec<Arc<Core>>,
        journal: &Journal,
        audit: Option<Arc<Gauges>>,
        traces: Option<export::Desk>,
    ) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Scraper {
            cores,
            journal: journal.clone(),
            audit,
            traces,
            driver: OnceLock::new(),
            started_s: since.unwrap_or_default().as_secs_f64(),
        }
    }

    /// The workers have started, with this driver.
    pub(super) fn runs_on(&self, driver: DriverKind) {
        let name = match driver {
            DriverKind::IoUring => "io_uring",
            DriverKind::Epoll => "epoll",
        };
        let _ = self.driver.set(name);
    }

    /// Answers a scraper, in the format that it asks for.
    pub(super) fn answer(&self, ask: &Ask) -> Reply {
        let format = Format::accepted(ask.head.headers.get("accept").unwrap_or_default());
        Reply {
            status: 200,
            content_type: format.media_type(),
            fields: vec![("cache-control", "no-store".to_owned())],
            body: self.text(&ask.snapshot, format).into_bytes(),
        }
    }

    fn text(&self, snapshot: &Snapshot, format: Format) -> String {
        let mut samples = Vec::new();
        let mut add = |name, counts, help, value: Option<u64>| {
            // What the system does not tell is left out: a zero would be a lie.
            samples.extend(value.map(|value| Sample {
                name,
                counts,
                help,
                label: None,
                value,
            }));
        };
        let help = "Lines of the log that were lost, because standard error is slow.";
        add(
            "strait_log_dropped",
            true,
            help,
            Some(self.journal.dropped()),
        );
        let audit = self.audit.as_deref();
        let help = "Rows of the audit that wait to be written.";
        let rows = audit.map(|audit| audit.rows() as u64);
        add("strait_audit_queue_rows", false, help, rows);
        let help = "Rows of the audit that were dropped, because too many waited.";
        let dropped = audit.map(Gauges::dropped);
        add("strait_audit_dropped", true, help, dropped);
        let help = "Traced exchanges that the collector did not get.";
        let lost = self.traces.as_ref().map(export::Desk::lost);
        add("strait_traces_dropped", true, help, lost);
        let help = "Memory of the process that is in RAM.";
        add(
            "strait_resident_memory_bytes",
            false,
            help,
            resident_bytes(),
        );
        let help = "Operations that the kernel was given through rings and has not finished.";
        add("strait_ring_operations", false, help, ring_operations());
        let help = "Open file descriptors.";
        add("process_open_fds", false, help, open_files());
        samples.extend(breakers(snapshot));
        let shell = Shell {
            driver: self.driver.get().copied().unwrap_or_default(),
            started_s: self.started_s,
            samples,
        };
        expose(&self.cores, &shell, format)
    }
}

/// The breakers of providers, and of the models that the configuration names: those of models that
/// clients make up are no series.
fn breakers(snapshot: &Snapshot) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (provider, own) in &snapshot.providers {
        for condition in own.health.conditions() {
            let target = match &condition.model {
                None => provider.clone(),
                Some(model) if snapshot.knows(provider, model) => format!("{provider}/{model}"),
                Some(_) => continue,
            };
            samples.push(Sample {
                name: "strait_breaker_open",
                counts: false,
                help: "1 where a provider or its model is left alone, or on probation.",
                label: Some(("target", target)),
                value: u64::from(condition.state != State::Closed),
            });
        }
    }
    samples
}

fn resident_bytes() -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: sysconf(3) takes a number and gives one.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

fn open_files() -> Option<u64> {
    // One of them is the directory that is being read.
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(files.saturating_sub(1))
}

/// What io_uring's queues say, by the kernel's own account of them: monoio does not tell. Each
/// submission is completed once, so the difference is what is in flight.
fn ring_operations() -> Option<u64> {
    let mut rings = 0;
    let mut operations = 0;
    for file in std::fs::read_dir("/proc/self/fd").ok()?.flatten() {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        if target.as_os_str() != "anon_inode:[io_uring]" {
            continue;
        }
        let info = format!("/proc/self/fdinfo/{}", file.file_name().display());
        let info = std::fs::read_to_string(info).ok()?;
        let field = |name: &str| -> Option<u32> {
            let line = info.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        // Both are numbers that wrap.
        operations += u64::from(field("SqHead:")?.wrapping_sub(field("CqTail:")?));
        rings += 1;
    }
    (rings > 0).then_some(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        let resident = resident_bytes().unwrap();
        assert!((1 << 20..1 << 40).contains(&resident), "{resident}");
        let before = open_files().unwrap();
        let files: Vec<_> = (0..100)
            .map(|_| std::fs::File::open("/proc/self/statm").unwrap())
            .collect();
        // Other tests open and close files meanwhile, but hardly so many.
        assert!(open_files().unwrap() + 50 > before + 100);
        drop(files);
    }
}
