//! Sends what is traced to a collector: a thread of its own, many exchanges at a time, and no
//! worker waits for it.

use super::driver::phrase;
use super::journal::Journal;
use super::post::Post;
use super::resolve::Resolver;
use super::{ServerError, tls};
use crate::config::{Snapshot, Traces};
use crate::ledger::otlp::{Ended, encode};
use crate::ledger::record::Record;
use crate::limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where workers leave what is over; cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    /// `None` ends the thread.
    door: SyncSender<Option<Ended>>,
    lost: Arc<AtomicU64>,
}

impl Desk {
    /// Leaves an exchange that is over, if it is to be recorded.
    pub(super) fn leave(&self, record: &Record) {
        let sampled = record.trace.as_ref().is_some_and(|trace| trace.sampled);
        if !sampled || !record.asks_model {
            return;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let ended = Ended {
            record: Box::new(record.clone()),
            at: since.unwrap_or_default(),
        };
        if self.door.try_send(Some(ended)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Exchanges that no collector got, so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The thread; [`Exporter::finish`] waits until all that was left is sent.
pub(super) struct Exporter {
    desk: Desk,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts the thread, where the configuration names a collector.
    pub(super) fn start(
        snapshot: &Snapshot,
        resolver: &Resolver,
        journal: &Journal,
    ) -> Result<Option<Self>, ServerError> {
        let Some(traces) = snapshot.traces.clone() else {
            return Ok(None);
        };
        let (door, ended) = sync_channel(limits::TRACES_QUEUE_MAX);
        let desk = Desk {
            door,
            lost: Arc::default(),
        };
        let sender = Sender {
            post: Post {
                tls: tls::config(traces.origin.tls, snapshot.ca_file.as_deref())?,
                resolver: resolver.clone(),
                connect: limits::TRACES_TIMEOUT,
            },
            traces,
            journal: journal.clone(),
            lost: desk.lost.clone(),
            fails: false,
        };
        let thread = std::thread::Builder::new()
            .name("strait-traces".to_owned())
            .spawn(move || sender.run(&ended))
            .map_err(|e| ServerError::System(format!("threads: {}", phrase(&e))))?;
        Ok(Some(Exporter { desk, thread }))
    }

    /// A handle for a worker.
    pub(super) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Ends the thread.
    pub(super) fn finish(self) {
        let _ = self.desk.door.send(None);
        let _ = self.thread.join();
    }
}

/// What the thread has.
struct Sender {
    traces: Traces,
    post: Post,
    journal: Journal,
    lost: Arc<AtomicU64>,
    /// The collector did not take the last batch.
    fails: bool,
}

impl Sender {
    fn run(mut self, ended: &Receiver<Option<Ended>>) {
        let mut open = true;
        while open {
            let Ok(Some(first)) = ended.recv() else {
                return;
            };
            let mut batch = vec![first];
            let until = Instant::now() + limits::TRACES_EVERY;
            while batch.len() < limits::TRACES_BATCH_MAX {
                let left = until.saturating_duration_since(Instant::now());
                match ended.recv_timeout(left) {
                    Ok(Some(one)) => batch.push(one),
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                        open = false;
                        break;
                    }
                }
            }
            self.send(&batch);
        }
    }

    /// Sends a batch. One that the collector does not take is lost: holding it back would only
    /// lose the next one.
    fn send(&mut self, batch: &[Ended]) {
        let traces = &self.traces;
        let body = encode(&traces.service, batch);
        let own = traces.headers.iter();
        let own = own.map(|(name, value)| (name.as_str(), value.expose()));
        let agent = concat!("strait/", env!("CARGO_PKG_VERSION"));
        let fields: Vec<_> = [("user-agent", agent)].into_iter().chain(own).collect();
        let limit = limits::TRACES_TIMEOUT;
        let said = self
            .post
            .send(&traces.origin, &traces.path, &fields, &body, limit);
        let wrong = match said {
            Ok((200..300, _)) => None,
            Ok((status, _)) => Some(format!("the collector answers {status}")),
            Err(why) => Some(why),
        };
        match &wrong {
            Some(why) => {
                self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if !self.fails {
                    self.journal.info(|| format!("traces: {why}"));
                }
            }
            None if self.fails => self.journal.info(|| "traces: sent again".to_owned()),
            None => {}
        }
        self.fails = wrong.is_some();
    }
}
