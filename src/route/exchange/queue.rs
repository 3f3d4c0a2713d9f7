//! Requests with `background: true`: queued at once, worked on by a machine without a client, and
//! followed in the store by whoever wants its events.

use super::{Exchange, Phase, seed_of};
use crate::error::{Error, Kind, Source};
use crate::json::{Tape, Value};
use crate::ledger::record::Kept;
use crate::ledger::stored::{Ask, Reply, Status, Stored};
use crate::responses::items::{self, Input};
use crate::route::attempt::Attempt;
use crate::route::background::{Background, Job, Room};
use crate::route::machine::Action;
use crate::route::plan::Course;
use crate::route::{prepare, stored};
use crate::translate::snapshot::Place;

impl Exchange {
    /// Whether the request is for the background. Without a store that is the provider's business.
    pub(super) fn is_for_background(&self, request: Value<'_>) -> Result<bool, Error> {
        if request.get("background").and_then(|b| b.as_bool()) != Some(true) {
            return Ok(false);
        }
        if self.framing.is_websocket() {
            let what = "A response in the background is asked for over HTTP.";
            let error = Error::new(Source::Downstream, Kind::Unsupported, what);
            return Err(error.with_param("background"));
        }
        if !self.snapshot.store.keeps() {
            return Ok(false);
        }
        if request.get("store").and_then(|s| s.as_bool()) == Some(false) {
            let what = "A response in the background has to be stored: 'store' must not be false.";
            return Err(Error::bad_request(what).with_param("store"));
        }
        Ok(true)
    }

    /// Has the response kept as queued. What is wrong with the request is said at once.
    pub(super) fn queue(&mut self, request: Value<'_>) -> Result<(), Error> {
        /// What means something to the one who waits, and not to the provider.
        const OURS: [&str; 5] = [
            "background",
            "previous_response_id",
            "store",
            "stream",
            "stream_options",
        ];
        let room = Room::take()?;
        let mut own = Vec::new();
        Input::of(request)?.append_to(&mut own);
        let own = request.get("input").map(|_| own.as_slice());
        let body = items::request_with(request, "\"stream\":true,\"store\":false", &OURS, own);
        let id = prepare::response_id(&seed_of(self.entropy, 0));
        let queued = Stored {
            key: self.key(&id),
            created_at: self.unix_s,
            status: Status::Queued,
            background: true,
            streamed: request.get("stream").and_then(|s| s.as_bool()) == Some(true),
            response: self.queued(&id, &body)?,
            input: items::kept(request, &seed_of(self.entropy, 0)),
        };
        let keeping = self.keeping.get_or_insert_default();
        keeping.job = Some(Box::new(Job {
            snapshot: self.snapshot.clone(),
            head: self.head.clone(),
            client: self.record.client,
            body,
            previous: keeping.previous.take(),
            entropy: seed_of(self.entropy, u32::MAX),
            queued: queued.clone(),
            room,
            lease: self.lease.take(),
        }));
        self.ask_store(Ask::Put(Box::new(queued)), Phase::Queueing);
        Ok(())
    }

    /// The response before anything was done for it. The request is translated to see whether it
    /// can be, where that needs no login.
    fn queued(&self, id: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        let mut tape = Tape::new();
        let request = tape
            .parse(body)
            .map_err(|e| Error::bad_request(e.to_string()))?;
        let target = self.plan.targets().first().cloned();
        let trial = match target.filter(|target| target.provider.login.is_none()) {
            Some(target) => {
                let course = Course { target, key: None };
                Some(Attempt::new(self.order(course, None, request, body, 0))?)
            }
            None => None,
        };
        let diagnostics: Vec<_> = trial
            .iter()
            .flat_map(Attempt::diagnostics)
            .cloned()
            .collect();
        let place = Place {
            kept: true,
            previous: self.place().previous,
        };
        let echo = prepare::echo(request, &self.head, &diagnostics, place);
        Ok(stored::queued(id, self.unix_s, &echo))
    }

    /// The store has kept the queued response, or not.
    pub(super) fn was_queued(&mut self, reply: Reply) -> Result<(), Error> {
        let Some(job) = self.keeping.as_mut().and_then(|k| k.job.take()) else {
            return Ok(());
        };
        match reply {
            Reply::Kept => {}
            Reply::Failed(why) => return Err(stored::failed(&why)),
            _ => return Err(stored::failed("it did not take the response")),
        }
        let queued = job.queued.clone();
        self.record.kept = Some(Kept::Yes);
        let work = Background::new(*job, self.last);
        match queued.streamed && !self.client_gone {
            true => self.follow(queued, None),
            false => {
                self.record.status = 200;
                self.record.outcome = "queued";
                self.framing.whole(
                    &mut self.out,
                    200,
                    "application/json",
                    &[],
                    &queued.response,
                );
                self.over();
            }
        }
        self.pending.insert(0, Action::Spawn(Box::new(work)));
        Ok(())
    }
}
