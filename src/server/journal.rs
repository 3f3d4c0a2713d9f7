//! The log: lines to standard error, written by a thread of their own so that a slow terminal
//! or a full pipe never stops a worker.

use crate::config::LogFormat;
use crate::ledger::log;
use crate::ledger::record::Record;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::UtcDateTime;

/// Lines held back while standard error is slow; beyond it they are dropped and counted.
const LINES_MAX: usize = 4096;

/// Lines of so much time leave in one write. While the writer rests, a line costs its worker no
/// system call: nobody has to be woken.
const REST: Duration = Duration::from_millis(20);

/// How much is logged.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Level {
    /// Nothing.
    Off,
    /// One line per exchange, and what an operator has to know.
    Info,
    /// Connections, too.
    Debug,
}

impl Level {
    /// `STRAIT_LOG=off|info|debug`.
    pub(super) fn from_env() -> Level {
        match std::env::var("STRAIT_LOG").as_deref() {
            Ok("off") => Level::Off,
            Ok("debug") => Level::Debug,
            _ => Level::Info,
        }
    }
}

/// A handle to the log; cheap to clone, one per worker.
#[derive(Clone)]
pub(super) struct Journal {
    level: Level,
    format: LogFormat,
    lines: SyncSender<Option<String>>,
    dropped: Arc<AtomicU64>,
}

/// The writer; [`Writer::finish`] waits for the last line.
pub(super) struct Writer {
    /// `None` ends the thread: a handle may outlive its worker inside of a task that monoio
    /// never drops, so the thread cannot wait for the last handle.
    lines: SyncSender<Option<String>>,
    thread: JoinHandle<()>,
}

/// Starts the log.
pub(super) fn start(level: Level, format: LogFormat) -> std::io::Result<(Journal, Writer)> {
    let (lines, receiver) = sync_channel(LINES_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let count = dropped.clone();
    let thread = std::thread::Builder::new()
        .name("strait-log".to_owned())
        .spawn(move || write_lines(&receiver, &count, format, &mut std::io::stderr()))?;
    let journal = Journal {
        level,
        format,
        lines: lines.clone(),
        dropped,
    };
    Ok((journal, Writer { lines, thread }))
}

impl Journal {
    /// Lines that were lost so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Logs an exchange that is over, at level info.
    pub(super) fn exchange(&self, record: &Record) {
        self.log(Level::Info, || match self.format {
            LogFormat::Text => record.line(),
            LogFormat::Json => log::exchange(&timestamp(), record),
        });
    }

    /// Logs `line()` at level info.
    pub(super) fn info(&self, line: impl FnOnce() -> String) {
        self.log(Level::Info, || shown(self.format, "info", line()));
    }

    /// Logs `line()` at level debug.
    pub(super) fn debug(&self, line: impl FnOnce() -> String) {
        self.log(Level::Debug, || shown(self.format, "debug", line()));
    }

    fn log(&self, level: Level, line: impl FnOnce() -> String) {
        if self.level >= level && self.lines.try_send(Some(line())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A line about anything but an exchange.
pub(super) fn shown(format: LogFormat, level: &str, line: String) -> String {
    match format {
        LogFormat::Text => line,
        LogFormat::Json => log::message(&timestamp(), level, &line),
    }
}

/// Now, in RFC 3339.
fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    // The years of the type are far away.
    let now = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::UNIX_EPOCH);
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    let (hour, minute, second) = now.as_hms();
    let milli = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

impl Writer {
    /// Waits until all lines so far are written.
    pub(super) fn finish(self) {
        let _ = self.lines.send(None);
        let _ = self.thread.join();
    }
}

fn write_lines(
    lines: &Receiver<Option<String>>,
    dropped: &AtomicU64,
    format: LogFormat,
    out: &mut dyn Write,
) {
    let mut batch = Vec::new();
    let mut open = true;
    let mut told = 0;
    while open {
        match lines.recv() {
            Ok(Some(line)) => push(&mut batch, &line),
            _ => return,
        }
        // All that is there already goes out in one write.
        while batch.len() < 64 * 1024 {
            match lines.try_recv() {
                Ok(Some(line)) => push(&mut batch, &line),
                Ok(None) => {
                    open = false;
                    break;
                }
                Err(_) => break,
            }
        }
        let all = dropped.load(Ordering::Relaxed);
        let lost = all - std::mem::replace(&mut told, all);
        if lost > 0 {
            let line = format!("log: {lost} lines dropped, standard error is slow");
            push(&mut batch, &shown(format, "info", line));
        }
        let _ = out.write_all(&batch);
        batch.clear();
        if open {
            std::thread::sleep(REST);
        }
    }
}

/// One line stays one line, whatever is in it.
fn push(batch: &mut Vec<u8>, line: &str) {
    for byte in line.bytes() {
        batch.push(if byte < 0x20 || byte == 0x7f {
            b' '
        } else {
            byte
        });
    }
    batch.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_and_losses_counted() {
        let (sender, receiver) = sync_channel(4);
        sender.send(Some("a\nb".to_owned())).unwrap();
        sender.send(Some("c".to_owned())).unwrap();
        sender.send(None).unwrap();
        let mut out = Vec::new();
        write_lines(&receiver, &AtomicU64::new(3), LogFormat::Text, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("a b\nc\nlog: 3 lines dropped"), "{text}");
    }
}
