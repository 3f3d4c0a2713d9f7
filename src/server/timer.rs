//! Deadlines of connections: one timer of the runtime serves a whole worker.
//!
//! monoio's own timer takes 640 bytes and a place in a wheel for each connection.

use monoio::time::{Instant as Tick, sleep_until};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How long the keeper sleeps when nothing is awaited; arming wakes it.
const IDLE: Duration = Duration::from_secs(3600);

/// One timer, as its connection and the keeper see it.
struct Entry {
    waker: RefCell<Waker>,
    armed: Cell<Option<Instant>>,
}

/// The timers of a worker.
#[derive(Default)]
pub(super) struct Timers {
    /// By time, then by number: two may be due at once.
    due: RefCell<BTreeMap<(Instant, u64), Rc<Entry>>>,
    next: Cell<u64>,
    /// The keeper, and until when it sleeps.
    keeper: Cell<Option<(Waker, Instant)>>,
}

impl Timers {
    /// Wakes those that are due, for ever.
    pub(super) async fn keep(&self) {
        let mut sleep = pin!(sleep_until(Tick::now() + IDLE));
        poll_fn(|cx| {
            loop {
                let now = Instant::now();
                let until = self.wake_due(now).unwrap_or(now + IDLE);
                sleep.as_mut().reset(until.into());
                if sleep.as_mut().poll(cx).is_pending() {
                    self.keeper.set(Some((cx.waker().clone(), until)));
                    return Poll::<()>::Pending;
                }
            }
        })
        .await;
    }

    /// Wakes all that are due at `now`; says when the next one is.
    fn wake_due(&self, now: Instant) -> Option<Instant> {
        let mut due = self.due.borrow_mut();
        while let Some(first) = due.first_entry() {
            let (at, _) = *first.key();
            if at > now {
                return Some(at);
            }
            let entry = first.remove();
            entry.armed.set(None);
            entry.waker.borrow().wake_by_ref();
        }
        None
    }

    fn arm(&self, at: Instant, id: u64, entry: &Rc<Entry>) {
        entry.armed.set(Some(at));
        self.due.borrow_mut().insert((at, id), entry.clone());
        match self.keeper.take() {
            Some((keeper, until)) if at < until => keeper.wake(),
            other => self.keeper.set(other),
        }
    }

    fn disarm(&self, id: u64, entry: &Entry) {
        if let Some(at) = entry.armed.take() {
            self.due.borrow_mut().remove(&(at, id));
        }
    }
}

/// The timer of one connection. Deadlines mostly move later while bytes flow; so it stays armed
/// for the earliest one it was asked for, and looks again when that has passed.
pub(super) struct Timer {
    timers: Rc<Timers>,
    id: u64,
    entry: Option<Rc<Entry>>,
}

impl Timer {
    pub(super) fn new(timers: Rc<Timers>) -> Self {
        let id = timers.next.get();
        timers.next.set(id + 1);
        Timer {
            timers,
            id,
            entry: None,
        }
    }

    /// Ready once `deadline` has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let entry = self.entry.get_or_insert_with(|| {
            Rc::new(Entry {
                waker: RefCell::new(cx.waker().clone()),
                armed: Cell::new(None),
            })
        });
        if !entry.waker.borrow().will_wake(cx.waker()) {
            entry.waker.borrow_mut().clone_from(cx.waker());
        }
        if entry.armed.get().is_some_and(|at| at <= deadline) {
            return Poll::Pending;
        }
        self.timers.disarm(self.id, entry);
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        self.timers.arm(deadline, self.id, entry);
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            self.timers.disarm(self.id, entry);
        }
    }
}
