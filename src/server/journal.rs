//! The log: lines go to a thread of their own, so that a slow terminal never holds a worker.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines that may wait to be written; beyond that they are dropped.
const WAITING_MAX: usize = 4096;

enum Entry {
    Flush(SyncSender<()>),
    Line(String),
}

/// A handle to the log.
#[derive(Clone)]
pub(super) struct Journal {
    lines: Option<SyncSender<Entry>>,
}

impl Journal {
    /// Starts the log; `STRAIT_LOG=off` switches it off.
    pub(super) fn start() -> Journal {
        if std::env::var("STRAIT_LOG").is_ok_and(|v| v == "off") {
            return Journal { lines: None };
        }
        let (lines, waiting) = sync_channel(WAITING_MAX);
        std::thread::spawn(move || write(waiting));
        Journal { lines: Some(lines) }
    }

    /// Writes a line, or drops it if too many wait.
    pub(super) fn line(&self, line: String) {
        if let Some(lines) = &self.lines {
            let _ = lines.try_send(Entry::Line(line));
        }
    }

    /// Waits until everything said so far is written.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if let Some(lines) = &self.lines
            && lines.send(Entry::Flush(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

fn write(waiting: Receiver<Entry>) {
    for entry in waiting {
        match entry {
            Entry::Line(line) => drop(writeln!(std::io::stderr(), "{line}")),
            Entry::Flush(done) => drop(done.send(())),
        }
    }
}
