//! What an exchange has to do with the store: a response that goes on from a kept one waits for
//! it, and the last piece of one that is to be kept waits until it is.

use super::follow::Follow;
use super::{Exchange, Phase, seed_of};
use crate::error::Error;
use crate::json::{Tape, Value};
use crate::ledger::record::Kept;
use crate::ledger::stored::{Ask, Key, Reply, Status, Stored};
use crate::limits;
use crate::provider::profile::Wire;
use crate::responses::items::{self, Input};
use crate::route::attempt::Attempt;
use crate::route::background::Job;
use crate::route::endpoint::Endpoint;
use crate::route::machine::Action;
use crate::route::{local, stored};
use crate::translate::snapshot::Place;
use std::time::Instant;

/// What the store has to do with a request.
#[derive(Default)]
pub(super) struct Keeping {
    /// Its response is to be kept; the body is kept till then.
    pub wanted: bool,
    /// The response that it continues, whose items stand in the body; escaped JSON text.
    pub previous: Option<Vec<u8>>,
    /// These items, where a conversation has to remember them.
    pub loaded: Vec<u8>,
    /// What the background is to do once the store has it.
    pub job: Option<Box<Job>>,
    /// The background response whose events the client is told.
    pub follow: Option<Box<Follow>>,
}

impl Exchange {
    /// The items that came from the store, comma separated.
    pub(in crate::route) fn loaded(&self) -> &[u8] {
        self.keeping.as_ref().map_or(b"", |k| &k.loaded)
    }

    /// Whether the response is to be kept.
    pub(super) fn is_kept(&self) -> bool {
        self.keeping.as_ref().is_some_and(|k| k.wanted)
    }

    pub(super) fn place(&self) -> Place<'_> {
        match &self.keeping {
            Some(keeping) => Place {
                kept: keeping.wanted,
                previous: keeping.previous.as_deref(),
            },
            None => Place::default(),
        }
    }

    pub(super) fn key(&self, id: &str) -> Key {
        Key {
            id: id.to_owned(),
            owner: self.record.key.clone(),
        }
    }

    /// Asks the store; the answer is awaited in `phase`.
    pub(super) fn ask_store(&mut self, ask: Ask, phase: Phase) {
        self.pending.push(Action::Store(Box::new(ask)));
        self.deadline = Some(self.last + limits::STORE_WAIT);
        self.phase = phase;
    }

    /// Asks for the response that the request continues, if the store is to know it: `true`.
    pub(super) fn asks_for_previous(&mut self, request: Value<'_>) -> Result<bool, Error> {
        let Some(previous) = request.present("previous_response_id") else {
            return Ok(false);
        };
        let Some(id) = previous.as_str() else {
            let what = "Invalid type for 'previous_response_id': expected a string.";
            let error = Error::bad_request(what).with_param("previous_response_id");
            return Err(error.with_code("invalid_type"));
        };
        let id = id.text();
        if self.snapshot.store.keeps() && stored::is_id(&id) {
            let key = self.key(&id);
            self.ask_store(Ask::Get(key), Phase::Loading);
            return Ok(true);
        }
        self.left_to_provider(previous).map(|()| false)
    }

    /// A response that is not known here may be one that the provider keeps.
    fn left_to_provider(&self, previous: Value<'_>) -> Result<(), Error> {
        let keeps = self.plan.targets().first().is_some_and(|target| {
            let profile = target.provider.profile.for_model(&target.model);
            profile.wire == Wire::Responses && profile.keeps_responses
        });
        match keeps {
            true => Ok(()),
            false => Err(local::no_previous(previous)),
        }
    }

    /// Notes whether the response is to be kept. One that continues what only the provider knows
    /// is not: its input is not known.
    pub(super) fn decide_to_keep(&mut self, request: Value<'_>) {
        let asked = request.get("store").and_then(|s| s.as_bool()) != Some(false);
        if !asked || request.present("previous_response_id").is_some() {
            return;
        }
        let wanted = self.snapshot.store.keeps();
        self.record.kept = Some(Kept::No);
        if wanted {
            self.keeping.get_or_insert_default().wanted = true;
        }
    }

    /// The store has answered.
    pub(super) fn stored(&mut self, reply: Reply, now: Instant) {
        match self.phase {
            Phase::Loading => {
                let body = std::mem::take(&mut self.body);
                if let Err(error) = self.previous(reply, body) {
                    self.answer_error(&error);
                }
            }
            Phase::Keeping => match reply {
                Reply::Kept => self.release(Kept::Yes, now),
                Reply::Failed(why) => {
                    self.record.detail = format!("The response was not kept: {why}.");
                    self.release(Kept::Failed, now);
                }
                _ => self.release(Kept::No, now),
            },
            Phase::Queueing => {
                if let Err(error) = self.was_queued(reply) {
                    self.answer_error(&error);
                }
            }
            Phase::Following => self.followed(reply, now),
            Phase::Asking => {
                if let Endpoint::Stored(question) = self.endpoint
                    && let Err(error) = self.tell(question, reply)
                {
                    self.answer_error(&error);
                }
            }
            _ => {}
        }
    }

    /// The store has not answered in time.
    pub(super) fn store_is_late(&mut self, now: Instant) {
        match self.phase {
            Phase::Keeping => {
                self.record.detail = "The store did not answer in time.".to_owned();
                self.release(Kept::Late, now);
            }
            _ => self.answer_error(&stored::late()),
        }
    }

    /// Goes on with the response that the request continues, or without it.
    fn previous(&mut self, reply: Reply, body: Vec<u8>) -> Result<(), Error> {
        let mut tape = Tape::new();
        let request = tape
            .parse(&body)
            .map_err(|e| Error::bad_request(e.to_string()))?;
        let Some(previous) = request.present("previous_response_id") else {
            return self.go(request, &body).map(|()| self.keep(body));
        };
        let found = match reply {
            Reply::Found(found) => found,
            Reply::Failed(why) => return Err(stored::failed(&why)),
            _ => {
                self.left_to_provider(previous)?;
                self.go(request, &body)?;
                self.keep(body);
                return Ok(());
            }
        };
        stored::continuable(&found)?;
        let mut before = found.input;
        stored::append_output(&mut before, &found.response);
        let own = Input::of(request)?;
        if before.len() + own.bytes() > limits::BODY_BYTES_MAX {
            return Err(local::too_long());
        }
        let loaded = match self.framing.is_websocket() {
            true => before.clone(),
            false => Vec::new(),
        };
        own.append_to(&mut before);
        let keeping = self.keeping.get_or_insert_default();
        keeping.previous = previous.as_str().map(|id| id.escaped().into_owned());
        keeping.loaded = loaded;
        let whole = items::request_with(request, "", &["previous_response_id"], Some(&before));
        let mut tape = Tape::new();
        let request = tape
            .parse(&whole)
            .map_err(|e| Error::bad_request(e.to_string()))?;
        self.go(request, &whole)?;
        self.keep(whole);
        Ok(())
    }

    /// The last piece of the answer is held back: the response is kept first.
    pub(super) fn hold(&mut self, now: Instant) {
        match self.to_keep() {
            Some(response) => {
                self.ask_store(Ask::Put(Box::new(response)), Phase::Keeping);
                self.give_back();
            }
            None => self.release(Kept::No, now),
        }
    }

    /// The provider's connection need not wait for the store: a read that was begun meanwhile
    /// would make it useless for the next request.
    pub(super) fn give_back(&mut self) {
        let whole = self.attempt.as_ref().is_some_and(Attempt::reusable);
        if whole && std::mem::take(&mut self.upstream_open) {
            self.pending.push(Action::ReleaseUpstream);
        }
    }

    fn to_keep(&self) -> Option<Stored> {
        let response = self.attempt.as_ref().map(Attempt::held)?;
        let (mut one, mut two) = (Tape::new(), Tape::new());
        let object = one.parse(response).ok()?;
        let request = two.parse(&self.body).ok()?;
        let id = object.str("id")?.text();
        let status = Status::named(&object.str("status")?.text())?;
        if !stored::is_id(&id) || !status.is_final() {
            return None;
        }
        let streamed = request.get("stream").and_then(|s| s.as_bool()) == Some(true);
        Some(Stored {
            key: self.key(&id),
            created_at: self.unix_s,
            status,
            background: false,
            streamed,
            response: response.to_vec(),
            input: items::kept(request, &seed_of(self.entropy, 0)),
        })
    }

    /// Says the last piece.
    fn release(&mut self, kept: Kept, now: Instant) {
        self.record.kept = Some(kept);
        let detail = std::mem::take(&mut self.record.detail);
        if let Some(attempt) = &mut self.attempt {
            attempt.release(kept == Kept::Yes, &mut self.out);
        }
        self.phase = Phase::Answering;
        self.said(now);
        if !detail.is_empty() {
            self.record.detail = detail;
        }
    }
}
