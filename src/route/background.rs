//! A response in the background: an exchange without a client, whose events go to the store.
//!
//! ```text
//! Exchange (the client's) ─ Put(queued) ─▶ store ◀─ Append, Put ─ Background: Exchange ─▶ provider
//!        │                                  ▲
//!        └─ answered, or follows ───────────┘
//! ```
//!
//! The inner exchange is one over a WebSocket whose frames nobody sends: each is an event. It is
//! told to leave off when the store says that a client wants no more of it.

mod record;
mod room;
#[cfg(test)]
mod tests;

use super::conversation::Create;
use super::exchange::Exchange;
use super::machine::{Action, Input, Machine, Note};
use crate::config::Snapshot;
use crate::http::head::RequestHead;
use crate::ledger;
use crate::ledger::meter::Lease;
use crate::ledger::peer::Peer;
use crate::ledger::stored::{Ask, Event, Reply, Status, Stored};
use crate::limits;
use record::Record;
pub(super) use room::Room;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// What a background response is made from.
pub(super) struct Job {
    pub snapshot: Arc<Snapshot>,
    /// The head of the client's request.
    pub head: RequestHead,
    /// Where it came from.
    pub client: Peer,
    /// Its body, for a stream that nobody keeps.
    pub body: Vec<u8>,
    /// The response that it continues, as escaped JSON text.
    pub previous: Option<Vec<u8>>,
    /// Randomness that no other exchange has.
    pub entropy: [u8; 32],
    /// The response as it was answered: `queued`.
    pub queued: Stored,
    /// Its place among those in the background.
    pub room: Room,
    /// What was taken for it of what its key may have.
    pub lease: Option<Box<Lease>>,
}

/// What the store was asked and has not answered.
#[derive(Debug)]
enum Asked {
    /// To append these events; they are asked for again where that failed.
    Append(Vec<Event>),
    /// To note that it is under way.
    Begin,
    /// To keep how it ended.
    End,
}

/// A response in the background, as a pure state machine without a client.
pub struct Background {
    inner: Box<Exchange>,
    inner_is_over: bool,
    record: Record,
    stored: Stored,
    begun: bool,
    asked: Option<Asked>,
    /// So many answers are still to come to questions that are not waited for any more.
    stale: u32,
    /// When it was asked.
    asked_at: Instant,
    /// The last time that the store said yes.
    heard: Instant,
    /// The store is not asked before.
    pause_until: Instant,
    last: Instant,
    outcome: Outcome,
    _room: Room,
}

/// Whether there is something left to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Open,
    /// Its end is kept.
    Kept,
    /// Nobody wants it any more.
    Unwanted,
    /// The store has said nothing for so long that it counts as failed.
    Lost,
}

impl Background {
    pub(super) fn new(job: Job, now: Instant) -> Self {
        let create = Create {
            body: job.body,
            generate: true,
            previous: job.previous,
            lease: job.lease,
        };
        let created_at = job.queued.created_at;
        let inner = Exchange::over_websocket(
            job.snapshot,
            job.head,
            job.client,
            Ok(create),
            job.entropy,
            created_at,
            now,
        );
        Background {
            inner: Box::new(inner),
            inner_is_over: false,
            record: Record::new(&job.queued),
            stored: Stored {
                status: Status::InProgress,
                ..job.queued
            },
            begun: false,
            asked: None,
            stale: 0,
            asked_at: now,
            heard: now,
            pause_until: now,
            last: now,
            outcome: Outcome::Open,
            _room: job.room,
        }
    }

    /// What the inner exchange wants done, its output recorded.
    fn drive(&mut self) -> Option<Action> {
        while !self.inner_is_over {
            match self.inner.poll() {
                Action::ToClient => {
                    let frames = self.inner.take_output();
                    self.record.take(&frames);
                    self.inner.recycle(frames);
                    if self.record.waiting_bytes() > limits::BACKGROUND_BYTES_MAX {
                        self.record.fail("The store of responses is too slow.");
                        self.inner.handle(Input::ClientGone, self.last);
                    }
                }
                Action::Done { .. } => {
                    self.inner_is_over = true;
                    self.record.fail("The gateway gave it up.");
                }
                Action::Wait | Action::ReadClient => return None,
                action => return Some(action),
            }
        }
        None
    }

    /// The next question to the store, if it is time.
    fn question(&mut self) -> Option<Ask> {
        if self.asked.is_some() || self.last < self.pause_until {
            return None;
        }
        let key = self.stored.key.clone();
        let (asked, ask) = if !self.begun {
            self.stored.response = self.record.response(Status::InProgress);
            (Asked::Begin, Ask::Put(Box::new(self.stored.clone())))
        } else if self.record.has_events() || (!self.inner_is_over && self.last >= self.sign_due())
        {
            let events = self.record.take_events();
            (Asked::Append(events.clone()), Ask::Append(key, events))
        } else if let Some((status, response)) = self.record.end().filter(|_| self.inner_is_over) {
            let stored = Stored {
                status,
                response,
                ..self.stored.clone()
            };
            (Asked::End, Ask::Put(Box::new(stored)))
        } else {
            return None;
        };
        self.asked = Some(asked);
        self.asked_at = self.last;
        // Events that come one by one are kept many at a time.
        self.pause_until = self.last + limits::BACKGROUND_BATCH_EVERY;
        Some(ask)
    }

    fn sign_due(&self) -> Instant {
        self.heard + limits::BACKGROUND_SIGN_EVERY
    }

    fn answered(&mut self, reply: Reply) {
        if self.stale > 0 {
            self.stale -= 1;
            return;
        }
        let Some(asked) = self.asked.take() else {
            return;
        };
        match (asked, reply) {
            (asked, Reply::Kept) => {
                self.heard = self.last;
                match asked {
                    Asked::Begin => self.begun = true,
                    Asked::Append(_) => {}
                    Asked::End => self.outcome = Outcome::Kept,
                }
                if self.inner_is_over {
                    self.pause_until = self.last;
                }
            }
            (_, Reply::Cancelled | Reply::Missing) => self.leave(Outcome::Unwanted),
            (asked, _) => self.again(asked),
        }
    }

    /// The store was in trouble: it is asked again, while that makes sense.
    fn again(&mut self, asked: Asked) {
        if let Asked::Append(events) = asked {
            self.record.untake_events(events);
        }
        self.pause_until = self.last + limits::BACKGROUND_SIGN_EVERY / 2;
        if self.last >= self.heard + limits::BACKGROUND_SILENCE {
            self.leave(Outcome::Lost);
        }
    }

    fn leave(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.inner.handle(Input::ClientGone, self.last);
    }

    fn next_question_at(&self) -> Instant {
        match (
            &self.asked,
            self.record.has_events() || self.inner_is_over || !self.begun,
        ) {
            (Some(_), _) => self.asked_at + limits::STORE_WAIT,
            (None, true) => self.pause_until,
            (None, false) => self.sign_due().max(self.pause_until),
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

impl Machine for Background {
    fn client_bytes(&mut self, bytes: &[u8], _now: Instant) -> usize {
        bytes.len()
    }

    fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.last = now;
        match input {
            Input::Stored(reply) => self.answered(reply),
            Input::Deadline => {
                if now >= self.asked_at + limits::STORE_WAIT
                    && let Some(asked) = self.asked.take()
                {
                    self.stale += 1;
                    self.again(asked);
                }
                self.inner.handle(Input::Deadline, now);
            }
            input => self.inner.handle(input, now),
        }
    }

    fn poll(&mut self) -> Action {
        if let Some(action) = self.drive() {
            return action;
        }
        if self.outcome != Outcome::Open && self.inner_is_over {
            return Action::Done { keep_alive: false };
        }
        if self.outcome == Outcome::Open
            && let Some(ask) = self.question()
        {
            return Action::Store(Box::new(ask));
        }
        Action::Wait
    }

    fn take_output(&mut self) -> Vec<u8> {
        // What the inner exchange says is taken as soon as it is there.
        self.inner.take_output()
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        self.inner.recycle(buffer);
    }

    fn client_is_silent(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        let own = (self.outcome == Outcome::Open).then(|| self.next_question_at());
        let inner = self.inner.deadline().filter(|_| !self.inner_is_over);
        [own, inner].into_iter().flatten().min()
    }

    fn rests(&self) -> bool {
        false
    }

    fn under_way(&self) -> Option<(&ledger::record::Record, Instant)> {
        self.inner.under_way()
    }

    fn events(&self) -> u64 {
        self.inner.events()
    }

    fn record(&mut self) -> Note {
        let said = match self.outcome {
            Outcome::Open | Outcome::Lost => "failed",
            Outcome::Kept => "yes",
            Outcome::Unwanted => "unwanted",
        };
        let mut record = self.inner.take_record();
        record.background = Some(said);
        Note::Exchange(record)
    }
}
