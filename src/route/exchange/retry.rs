//! One try after another, as the plan has it, until there is an answer to let through.

use super::{Exchange, Phase, note, seed_of};
use crate::auth::chatgpt::Credential;
use crate::error::{Error, Kind};
use crate::json::{Tape, Value};
use crate::limits;
use crate::route::attempt::{Attempt, Step};
use crate::route::login::{Ask, Next};
use crate::route::machine::Action;
use crate::route::plan::{Course, Then};
use crate::route::prepare::Order;
use crate::route::{identity, local};
use std::time::Instant;

impl Exchange {
    /// Begins with the first target of the plan.
    pub(super) fn begin(&mut self, request: Value<'_>, body: &[u8]) -> Result<(), Error> {
        let (head, seal_key) = (&self.head, &self.snapshot.seal_key);
        let conversation = || identity::conversation(head, request, seal_key);
        let course = self.plan.begin(conversation, self.last);
        let course = course.ok_or_else(|| local::unknown_model(&self.record.model))?;
        self.set_out(course, request, body)
    }

    /// Keeps the body for another try, for another credential, or for the store.
    pub(super) fn keep(&mut self, body: Vec<u8>) {
        let needed = self.plan.may_go_on() || self.login.may_ask_again() || self.is_kept();
        if needed && self.phase != Phase::Over {
            self.body = body;
        }
    }

    /// The attempt failed. Before commit the plan may know better; else the error is the answer.
    /// After commit the stream is ended properly.
    pub(super) fn fail(&mut self, error: Error, now: Instant) {
        let status = self.attempt.as_ref().map_or(0, Attempt::status);
        self.try_ends(Some(&error));
        if self.attempt.as_ref().is_some_and(Attempt::committed) {
            self.plan.broke(&error, now);
            return self.give_up(error, now);
        }
        let mut error = match self.login.refused(status, error) {
            Ok(ask) => {
                if let Some(target) = self.login.target() {
                    self.try_begins(&Course { target, key: None });
                }
                return self.ask_for_login(ask);
            }
            Err(error) => error,
        };
        match self.plan.failed(&error, self.random(), now) {
            Then::Go(course) => self.go_on(course),
            Then::Again(at) => self.pause(error, at),
            Then::Stop => {
                if error.kind == Kind::RateLimited {
                    error.retry_after_s = self.plan.soonest_s();
                }
                self.nobody_is_left();
                self.give_up(error, now);
            }
        }
    }

    pub(super) fn give_up(&mut self, error: Error, now: Instant) {
        match &mut self.attempt {
            Some(attempt) if attempt.committed() => {
                self.record.code = error.api_code().to_owned();
                self.record.detail = error.to_string();
                match attempt.abort(error, &mut self.out) {
                    Step::Held => self.hold(now),
                    _ => {
                        self.said(now);
                        self.over();
                    }
                }
            }
            _ => self.answer_error(&error),
        }
    }

    /// The next try is due.
    pub(super) fn try_again(&mut self, now: Instant) {
        match (self.plan.next(now), self.failure.take()) {
            (Some(course), _) => self.go_on(course),
            // Meanwhile others have found out that it is no use.
            (None, Some(error)) => {
                self.nobody_is_left();
                self.give_up(*error, now);
            }
            (None, None) => {}
        }
    }

    /// The login's credential is there, or not.
    pub(super) fn credential(&mut self, result: Result<Credential, Error>, now: Instant) {
        if self.phase != Phase::Login {
            return;
        }
        let body = std::mem::take(&mut self.body);
        let result = result.and_then(|credential| self.show(credential, &body));
        self.keep(body);
        if let Err(error) = result {
            self.fail(error, now);
        }
    }

    pub(super) fn order<'a>(
        &'a self,
        course: Course,
        credential: Option<&'a Credential>,
        request: Value<'a>,
        body: &'a [u8],
        number: u32,
    ) -> Order<'a> {
        Order {
            snapshot: &self.snapshot,
            endpoint: self.endpoint,
            target: course.target,
            key: course.key,
            request,
            body,
            head: &self.head,
            credential,
            framing: self.framing,
            place: self.place(),
            quota: self.quota.as_ref(),
            trace: self
                .record
                .trace
                .as_deref()
                .zip(self.record.tries.last().map(|t| t.span)),
            // No two attempts share a seed: ids and nonces come from it.
            seed: seed_of(self.entropy, number),
            unix_s: self.unix_s,
        }
    }

    fn pause(&mut self, error: Error, at: Instant) {
        self.leave_upstream();
        self.failure = Some(Box::new(error));
        self.deadline = Some(at);
        self.phase = Phase::Pausing;
    }

    fn go_on(&mut self, course: Course) {
        let body = std::mem::take(&mut self.body);
        let mut tape = Tape::new();
        let request = tape.parse(&body);
        let request = request.map_err(|e| Error::bad_request(e.to_string()));
        match request.and_then(|request| self.set_out(course, request, &body)) {
            Ok(()) => self.keep(body),
            Err(error) => self.answer_error(&error),
        }
    }

    /// Begins a try: at once, or with its login.
    fn set_out(&mut self, course: Course, request: Value<'_>, body: &[u8]) -> Result<(), Error> {
        self.try_begins(&course);
        let Course { target, key } = course;
        match self.login.begin(target) {
            Next::Ask(ask) => {
                self.ask_for_login(ask);
                Ok(())
            }
            Next::Go(target) => self.attempt(Course { target, key }, None, request, body),
        }
    }

    fn ask_for_login(&mut self, ask: Ask) {
        self.leave_upstream();
        self.pending.push(Action::Login(ask));
        self.deadline = Some(self.last + limits::LOGIN_TIMEOUT);
        self.phase = Phase::Login;
    }

    fn show(&mut self, credential: Credential, body: &[u8]) -> Result<(), Error> {
        let mut tape = Tape::new();
        let request = tape
            .parse(body)
            .map_err(|e| Error::bad_request(e.to_string()))?;
        if let Some(target) = self.login.target() {
            let course = Course { target, key: None };
            self.attempt(course, Some(&credential), request, body)?;
            self.login.shown(credential);
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        course: Course,
        credential: Option<&Credential>,
        request: Value<'_>,
        body: &[u8],
    ) -> Result<(), Error> {
        // No two tries have the same number.
        let number = self.tries();
        let attempt = Attempt::new(self.order(course, credential, request, body, number))?;
        note::diagnose(&mut self.record, &attempt);
        self.connect(attempt);
        Ok(())
    }

    fn leave_upstream(&mut self) {
        self.attempt = None;
        if std::mem::take(&mut self.upstream_open) {
            self.pending.push(Action::CloseUpstream);
        }
    }

    /// For the jitter: the same all along, and no other request's.
    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.entropy[24..]);
        u64::from_le_bytes(bytes)
    }
}
