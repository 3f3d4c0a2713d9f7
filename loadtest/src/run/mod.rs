//! The load generator: one thread, epoll, every answer checked.

mod connection;
mod outcome;
pub(crate) mod plan;

pub use outcome::{Outcome, Percentiles};
pub use plan::{Arrivals, Load, Plan, Target, Template};

use crate::answers::Answers;
use crate::check::{Checker, Fault};
use crate::poll::{Clock, Poll, Ready, Timers, raise_file_limit};
use crate::script::{Random, digits};
use connection::{Connection, Event};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a bar shows while a run goes on.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Answers that were right.
    pub right: AtomicU64,
    /// Answers that were not.
    pub wrong: AtomicU64,
    /// Deltas.
    pub events: AtomicU64,
}

const SWEEP_NS: u64 = 100_000_000;
/// Timer tokens: what is due.
const ARRIVAL: u64 = 0;
const RAMP: u64 = 1;
const SWEEP: u64 = 2;

/// Does what the plan says and returns what came of it.
pub fn drive(plan: &Plan, gauge: &Gauge) -> io::Result<Outcome> {
    raise_file_limit();
    let answers = Arc::new(Answers::new(&plan.script).map_err(io::Error::other)?);
    Generator::new(plan, answers, gauge)?.run()
}

struct Generator<'a> {
    plan: &'a Plan,
    gauge: &'a Gauge,
    answers: Arc<Answers>,
    template: Template,
    poll: Poll,
    clock: Clock,
    timers: Timers,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Kept connections that are not in use.
    idle: Vec<usize>,
    /// Arrivals that wait for a connection.
    waiting: VecDeque<u64>,
    /// Connections that are in use.
    busy: usize,
    number: u32,
    source: u32,
    random: Random,
    end: u64,
    outcome: Outcome,
    input: Vec<u8>,
}

impl<'a> Generator<'a> {
    fn new(plan: &'a Plan, answers: Arc<Answers>, gauge: &'a Gauge) -> io::Result<Self> {
        let template = plan.template().map_err(io::Error::other)?;
        Ok(Generator {
            plan,
            gauge,
            answers,
            template,
            poll: Poll::new()?,
            clock: Clock::start(),
            timers: Timers::default(),
            connections: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            busy: 0,
            number: plan.first_number,
            source: 0,
            random: Random::new(11),
            end: plan.duration.as_nanos() as u64,
            outcome: Outcome::new(),
            input: vec![0; 256 << 10],
        })
    }

    fn run(mut self) -> io::Result<Outcome> {
        match self.plan.load {
            Load::Closed { connections, .. } => {
                let ramp = self.plan.ramp.as_nanos() as u64;
                for i in 0..connections as u64 {
                    let due = ramp * i / connections as u64;
                    self.timers.add(due, due << 2 | RAMP);
                }
            }
            Load::Open { .. } => self.timers.add(0, ARRIVAL),
        }
        self.timers.add(SWEEP_NS, SWEEP);
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            let now = self.clock.now();
            let stops = now >= self.end || self.is_enough();
            let over = stops && self.busy == 0 && self.waiting.is_empty();
            if over || now >= self.end + self.plan.drain.as_nanos() as u64 {
                break;
            }
            let wait = self.timers.wait(now, Duration::from_millis(100));
            self.poll.wait(wait, &mut ready)?;
            for event in ready.drain(..) {
                self.ready(event);
            }
            let now = self.clock.now();
            while let Some(token) = self.timers.pop(now) {
                match token & 3 {
                    ARRIVAL => self.arrive(token >> 2),
                    RAMP => self.begin(token >> 2),
                    _ => self.sweep(now),
                }
            }
        }
        Ok(self.finish())
    }

    /// One arrival of an open load; `due` is when it was meant to be.
    fn arrive(&mut self, due: u64) {
        let Load::Open { rate, arrivals, .. } = self.plan.load else {
            return;
        };
        if due >= self.end || self.is_enough() {
            return;
        }
        let gap = match arrivals {
            Arrivals::Uniform => 1.0,
            Arrivals::Poisson => -(1.0 - self.random.unit()).ln(),
        };
        let next = due + (gap / rate * 1e9) as u64;
        self.timers.add(next, next << 2 | ARRIVAL);
        self.begin(due);
    }

    fn is_enough(&self) -> bool {
        let limit = self.plan.requests_max;
        limit > 0 && self.outcome.started >= limit
    }

    /// Starts a request that was meant for `intended`.
    fn begin(&mut self, intended: u64) {
        if self.is_enough() {
            return;
        }
        if self.busy >= self.plan.connections_max() {
            self.waiting.push_back(intended);
            return;
        }
        self.outcome.started += 1;
        self.busy += 1;
        let id = digits(self.number);
        self.number = self.number.wrapping_add(1);
        let checker = Checker::new(&self.answers, self.plan.target.api, self.plan.streaming, id);
        while let Some(index) = self.idle.pop() {
            let kept = self.connections[index].as_mut();
            let Some(connection) = kept.filter(|c| c.is_idle()) else {
                continue;
            };
            connection.ask(&self.template, &id, checker, intended);
            self.act(index, Connection::send);
            return;
        }
        let index = self.free.pop().unwrap_or(self.connections.len());
        if index == self.connections.len() {
            self.connections.push(None);
        }
        self.source = self.source.wrapping_add(1);
        let source = self.plan.fresh.then_some(self.source);
        match Connection::open(self.plan.target.address, source, &self.poll, index as u64) {
            Ok(mut connection) => {
                connection.ask(&self.template, &id, checker, intended);
                self.connections[index] = Some(connection);
                self.outcome.connections += 1;
            }
            Err(e) => {
                self.free.push(index);
                self.outcome.wrong(Fault::Failed(format!("connect: {e}")));
                self.gauge.wrong.fetch_add(1, Ordering::Relaxed);
                self.next();
            }
        }
    }

    /// After a request is over: the next one, when there is to be one.
    fn next(&mut self) {
        self.busy -= 1;
        let now = self.clock.now();
        if let Some(intended) = self.waiting.pop_front() {
            self.begin(intended);
        } else if let Load::Closed { think, .. } = self.plan.load
            && now < self.end
        {
            // Through the heap: a peer that fails at once must not nest calls.
            let due = now + think.as_nanos() as u64;
            self.timers.add(due, due << 2 | RAMP);
        }
    }

    fn ready(&mut self, event: Ready) {
        let index = event.token as usize;
        if event.write {
            self.act(index, Connection::send);
        }
        if event.read {
            let mut input = std::mem::take(&mut self.input);
            let now = self.clock.now();
            self.act(index, |c| c.receive(&mut input, now, event.closed));
            self.input = input;
        }
    }

    fn act(&mut self, index: usize, act: impl FnOnce(&mut Connection) -> Event) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let before = connection.events();
        let event = act(connection);
        let after = connection.events();
        if after > before {
            let now = connection.read_at;
            self.outcome
                .deltas(connection, before, after, now, self.plan);
            let fresh = (after - before) as u64;
            self.gauge.events.fetch_add(fresh, Ordering::Relaxed);
        }
        let (verdict, keep) = match event {
            Event::Waiting => return,
            Event::Closed => {
                self.close(index);
                return;
            }
            Event::Done(verdict, keep) => (verdict, keep),
        };
        let now = self.clock.now();
        let intended = connection.intended;
        match verdict {
            Ok(notes) => {
                self.outcome.right(notes, after as u64, now - intended);
                self.gauge.right.fetch_add(1, Ordering::Relaxed);
            }
            Err(fault) => {
                self.outcome.wrong(fault);
                self.gauge.wrong.fetch_add(1, Ordering::Relaxed);
            }
        }
        match keep && !self.plan.fresh {
            true => self.idle.push(index),
            false => self.close(index),
        }
        self.next();
    }

    fn close(&mut self, index: usize) {
        if self.connections[index].take().is_some() {
            self.idle.retain(|i| *i != index);
            self.free.push(index);
        }
    }

    /// Gives up on requests that take too long.
    fn sweep(&mut self, now: u64) {
        self.timers.add(now + SWEEP_NS, SWEEP);
        let limit = self.plan.timeout.as_nanos() as u64;
        for index in 0..self.connections.len() {
            let connection = self.connections[index].as_ref();
            let late = connection.is_some_and(|c| !c.is_idle() && c.intended + limit < now);
            if late {
                self.outcome
                    .wrong(Fault::Unfinished("no end within the timeout".into()));
                self.gauge.wrong.fetch_add(1, Ordering::Relaxed);
                self.close(index);
                self.next();
            }
        }
    }

    fn finish(mut self) -> Outcome {
        let open = self.connections.iter().flatten().filter(|c| !c.is_idle());
        for _ in 0..open.count() + self.waiting.len() {
            self.outcome
                .wrong(Fault::Unfinished("no end within the drain".into()));
        }
        self.outcome.seconds = self.clock.now() as f64 / 1e9;
        self.outcome
    }
}
