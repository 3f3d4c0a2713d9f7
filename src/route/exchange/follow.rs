//! The events of a background response, told from the store: those that there are, then those
//! that come, until it is over. Whoever works on it may be another process.

use super::{Exchange, Phase};
use crate::json::{Tape, write};
use crate::ledger::stored::{Ask, Event, Reply, Status, Stored};
use crate::limits;
use std::time::Instant;

/// How far a client has been told.
#[derive(Debug)]
pub(super) struct Follow {
    /// The response as it was last seen.
    response: Box<Stored>,
    /// The number of the last event that was told, or behind which the client wanted to begin.
    last: Option<u64>,
    /// The store was asked and has not answered.
    asking: bool,
    /// Strait stops: the response may go on elsewhere, but not here.
    until: Option<Instant>,
}

impl Exchange {
    /// Begins to tell the events behind number `after`.
    pub(super) fn follow(&mut self, response: Stored, after: Option<u64>) {
        self.record.status = 200;
        self.record.outcome = "open";
        self.framing.stream_head(&mut self.out, &[]);
        let keeping = self.keeping.get_or_insert_default();
        keeping.follow = Some(Box::new(Follow {
            response: Box::new(response),
            last: after,
            asking: false,
            until: None,
        }));
        self.ask_for_events();
    }

    fn following(&mut self) -> Option<&mut Follow> {
        self.keeping.as_mut()?.follow.as_deref_mut()
    }

    pub(super) fn ask_for_events(&mut self) {
        let Some(follow) = self.following() else {
            return;
        };
        follow.asking = true;
        let ask = Ask::Events(follow.response.key.clone(), follow.last);
        let until = follow.until;
        self.ask_store(ask, Phase::Following);
        self.deadline = self.deadline.min(until.or(self.deadline));
    }

    /// Tells what the store says.
    pub(super) fn followed(&mut self, reply: Reply, now: Instant) {
        let Some(follow) = self.following() else {
            return;
        };
        follow.asking = false;
        match reply {
            Reply::Events(events, status) => self.tell_events(&events, status, now),
            Reply::Found(found) => {
                follow.response = found;
                self.tell_end("answered");
            }
            Reply::Missing => self.tell_end("deleted"),
            // It may be well again next time; the client may come again as well.
            _ => self.look_again(now),
        }
    }

    /// The store is late, or it is time to ask again, or there is no more time.
    pub(super) fn follow_on(&mut self, now: Instant) {
        match self.following() {
            Some(follow) if follow.until.is_some_and(|at| at <= now) => self.leave_off("drained"),
            Some(follow) if follow.asking => self.leave_off("late"),
            _ => self.ask_for_events(),
        }
    }

    /// Strait stops: a little time is left to tell how a response here has ended.
    pub(super) fn follow_until(&mut self, until: Instant) {
        if let Some(follow) = self.following() {
            follow.until = Some(until);
        }
        self.deadline = self.deadline.map(|at| at.min(until));
    }

    fn look_again(&mut self, now: Instant) {
        let until = self.following().and_then(|f| f.until);
        let next = now + limits::FOLLOW_EVERY;
        self.deadline = Some(until.map_or(next, |until| next.min(until)));
    }

    fn tell_events(&mut self, events: &[Event], status: Status, now: Instant) {
        let Some(follow) = self.following() else {
            return;
        };
        let Some(newest) = events.last() else {
            if !status.is_final() {
                return self.look_again(now);
            }
            // Its events are forgotten sooner than itself.
            let ask = Ask::Get(follow.response.key.clone());
            follow.asking = true;
            return self.ask_store(ask, Phase::Following);
        };
        follow.last = Some(newest.number);
        let begin = self.framing.begin(&mut self.out);
        let mut end = None;
        let mut tape = Tape::new();
        for event in events {
            let kind = tape.parse(&event.data).ok().and_then(|e| e.str("type"));
            let kind = kind.map(|k| k.text().into_owned()).unwrap_or_default();
            write_event(&mut self.out, &kind, &event.data);
            end = ends_with(&kind).or(end);
        }
        self.framing.end(&mut self.out, begin);
        match end {
            Some(outcome) => {
                self.record.outcome = outcome;
                self.end_stream();
            }
            None => self.ask_for_events(),
        }
    }

    /// Tells how it ended where no event does.
    fn tell_end(&mut self, outcome: &'static str) {
        let Some(follow) = self.following() else {
            return;
        };
        let response = &follow.response;
        let kind = match response.status {
            Status::Completed => "response.completed",
            Status::Incomplete => "response.incomplete",
            _ => "response.failed",
        };
        let mut event = b"{\"type\":\"".to_vec();
        event.extend_from_slice(kind.as_bytes());
        event.extend_from_slice(b"\",\"sequence_number\":");
        write::uint(&mut event, follow.last.map_or(0, |n| n.saturating_add(1)));
        event.extend_from_slice(b",\"response\":");
        event.extend_from_slice(&response.response);
        event.push(b'}');
        let begin = self.framing.begin(&mut self.out);
        write_event(&mut self.out, kind, &event);
        self.framing.end(&mut self.out, begin);
        self.record.outcome = outcome;
        self.end_stream();
    }

    fn end_stream(&mut self) {
        let begin = self.framing.begin(&mut self.out);
        self.out.extend_from_slice(b"data: [DONE]\n\n");
        self.framing.end(&mut self.out, begin);
        self.framing.last(&mut self.out);
        self.over();
    }

    /// Ends the stream without an end of the response: the client comes again with the number of
    /// the last event.
    fn leave_off(&mut self, outcome: &'static str) {
        self.record.outcome = outcome;
        self.framing.keep_alive = false;
        self.framing.last(&mut self.out);
        self.over();
    }
}

fn write_event(out: &mut Vec<u8>, kind: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

fn ends_with(kind: &str) -> Option<&'static str> {
    match kind {
        "response.completed" | "response.done" => Some("completed"),
        "response.incomplete" => Some("incomplete"),
        "response.failed" => Some("failed"),
        _ => None,
    }
}
