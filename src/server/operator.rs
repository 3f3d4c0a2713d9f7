//! The operators' thread: it answers what is asked on their paths, so that no worker waits for a
//! page to be made or an audit to be searched. It starts with the first question.

mod sources;

use super::audit::Reader;
use super::journal::Journal;
use super::scrape::Scraper;
use super::wire::Local;
use crate::admin::Dashboard;
use crate::limits;
use crate::route::operator::{Ask, METRICS, Reply};
use futures_channel::oneshot;
use sources::Sources;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

type Answer = Option<Reply>;

struct Question {
    ask: Ask,
    answer: oneshot::Sender<Answer>,
}

struct Running {
    /// `None` ends the thread.
    door: SyncSender<Option<Question>>,
    thread: JoinHandle<()>,
}

/// Where workers ask; cheap to clone.
#[derive(Clone)]
pub(super) struct Desk(Arc<Shared>);

struct Shared {
    scraper: Arc<Scraper>,
    journal: Journal,
    inside: Mutex<Inside>,
}

/// The thread's reader of the audit, until it is started; then the thread.
struct Inside {
    reader: Option<Reader>,
    running: Option<Running>,
}

impl Desk {
    pub(super) fn new(scraper: Arc<Scraper>, reader: Reader, journal: &Journal) -> Self {
        Desk(Arc::new(Shared {
            scraper,
            journal: journal.clone(),
            inside: Mutex::new(Inside {
                reader: Some(reader),
                running: None,
            }),
        }))
    }

    /// Has a question answered; with `None` where too many wait, or there is no thread.
    pub(super) fn ask(&self, ask: Ask) -> Local<Answer> {
        let (answer, receiver) = oneshot::channel();
        if let Err(e) = self.send(Question { ask, answer }) {
            self.0.journal.info(|| format!("dashboard: {e}"));
        }
        // A question that was not taken, or that panics, drops its sender.
        Box::pin(async move { receiver.await.unwrap_or_default() })
    }

    fn send(&self, question: Question) -> io::Result<()> {
        let mut inside = self.inside();
        if inside.running.is_none() {
            let reader = inside.reader.take().ok_or(io::Error::other("has ended"))?;
            inside.running = Some(start(&self.0, reader)?);
        }
        let Some(running) = &inside.running else {
            return Ok(());
        };
        let full = |_| io::Error::other("too many questions wait");
        running.door.try_send(Some(question)).map_err(full)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread, if it was started. What was asked before is answered first.
    pub(super) fn finish(self) {
        let running = self.inside().running.take();
        if let Some(Running { door, thread }) = running {
            let _ = door.send(None);
            let _ = thread.join();
        }
    }
}

fn start(shared: &Shared, reader: Reader) -> io::Result<Running> {
    let (door, questions) = sync_channel(limits::OPERATOR_QUEUE_MAX);
    let (scraper, journal) = (shared.scraper.clone(), shared.journal.clone());
    let thread = std::thread::Builder::new()
        .name("strait-admin".to_owned())
        .spawn(move || run(&questions, &scraper, reader, &journal))?;
    Ok(Running { door, thread })
}

fn run(
    questions: &Receiver<Option<Question>>,
    scraper: &Scraper,
    mut reader: Reader,
    journal: &Journal,
) {
    let mut dashboard = Dashboard::default();
    while let Ok(Some(Question { ask, answer })) = questions.recv() {
        // Who has gone, or waited for too long, needs no answer.
        if answer.is_canceled() {
            continue;
        }
        let path = ask.head.path.clone();
        let reply = catch_unwind(AssertUnwindSafe(|| match path.as_str() {
            METRICS => scraper.answer(&ask),
            _ => {
                let mut sources = Sources {
                    cores: &scraper.cores,
                    reader: &mut reader,
                };
                dashboard.answer(&ask, &mut sources, Instant::now())
            }
        }));
        match reply {
            Ok(reply) => {
                // Who does not wait any more has its answer already.
                let _ = answer.send(Some(reply));
            }
            Err(_) => journal.info(|| format!("dashboard: panic, no answer for {path}")),
        }
    }
}
