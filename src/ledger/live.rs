//! What is under way in a worker, for those who watch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Events that came within less, as a first read may bring many, make no rate: microseconds.
const RATE_SPAN_US: u64 = 200_000;

/// How far an exchange is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// A connection to the provider is made, or its login refreshed.
    Connecting,
    /// The provider has been asked and has said nothing for the client.
    Waiting,
    /// Its answer is on the way to the client.
    Streaming,
}

impl Phase {
    /// For a page.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Connecting => "connecting",
            Phase::Waiting => "waiting",
            Phase::Streaming => "streaming",
        }
    }
}

/// Who asks whom; it does not change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The request's own id.
    pub id: String,
    /// The name of the client key; empty where Strait asks for none.
    pub key: String,
    /// Codex's session; empty for other clients.
    pub session: String,
    /// The model that the client asked for.
    pub asked: String,
    /// The provider that is tried.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// Which try this is, from 1.
    pub attempt: usize,
}

/// One exchange under way. Only its own worker writes, once for each write to the client.
#[derive(Debug)]
#[repr(C)]
struct Stream {
    /// What is written stands together.
    began: Instant,
    phase: AtomicU8,
    events: AtomicU64,
    bytes: AtomicU64,
    /// From the begin to the first event, and to the last one, in microseconds; 0: none yet.
    first_us: AtomicU64,
    last_us: AtomicU64,
    facts: Facts,
}

/// The exchanges under way in one worker.
#[derive(Debug, Default)]
pub struct Live(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    streams: BTreeMap<u64, Arc<Stream>>,
}

/// An exchange's place in the list, until dropped.
#[derive(Debug)]
pub struct Entry<'a> {
    live: &'a Live,
    number: u64,
    stream: Arc<Stream>,
}

/// An exchange under way as it was seen at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Who asks whom.
    pub facts: Facts,
    /// How far it is.
    pub phase: Phase,
    /// Since it began.
    pub age: Duration,
    /// Since the last event for the client; `None` before the first.
    pub silent: Option<Duration>,
    /// Events that the client was sent.
    pub events: u64,
    /// Bytes that the client was sent.
    pub bytes: u64,
    /// Events a second from the first to the last. Most providers send a token in each, so it is
    /// a fair estimate of tokens a second; `None` where they are too close together for one.
    pub rate: Option<f64>,
}

impl Live {
    /// Lists an exchange that began at `began`.
    pub fn enter(&self, facts: Facts, began: Instant) -> Entry<'_> {
        let stream = Arc::new(Stream {
            facts,
            began,
            phase: AtomicU8::new(Phase::Connecting as u8),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            first_us: AtomicU64::new(0),
            last_us: AtomicU64::new(0),
        });
        let mut listed = self.listed();
        let number = listed.next;
        listed.next += 1;
        listed.streams.insert(number, stream.clone());
        Entry {
            live: self,
            number,
            stream,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.listed().streams.len()
    }

    /// All of them, oldest first.
    pub fn views(&self, now: Instant) -> Vec<View> {
        // The worker waits for the lock where it lists the next one: not longer than this.
        let streams: Vec<_> = self.listed().streams.values().cloned().collect();
        streams.iter().map(|stream| stream.view(now)).collect()
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        // Nothing is done under the lock that could panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry<'_> {
    /// When it began.
    pub fn began(&self) -> Instant {
        self.stream.began
    }

    /// It is connected: the provider is being asked.
    pub fn waits(&self) {
        let phase = Phase::Waiting as u8;
        self.stream.phase.store(phase, Ordering::Relaxed);
    }

    /// The client was sent so many events so far, the last of them at `now`.
    #[inline]
    pub fn told(&self, events: u64, now: Instant) {
        let stream = &*self.stream;
        let since = now.saturating_duration_since(stream.began);
        let us = (since.as_micros() as u64).max(1);
        if stream.first_us.load(Ordering::Relaxed) == 0 {
            stream.first_us.store(us, Ordering::Relaxed);
            let phase = Phase::Streaming as u8;
            stream.phase.store(phase, Ordering::Relaxed);
        }
        stream.events.store(events, Ordering::Relaxed);
        stream.last_us.store(us, Ordering::Relaxed);
    }

    /// The client was sent so many bytes more.
    #[inline]
    pub fn sent(&self, bytes: u64) {
        let sum = self.stream.bytes.load(Ordering::Relaxed) + bytes;
        self.stream.bytes.store(sum, Ordering::Relaxed);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.live.listed().streams.remove(&self.number);
    }
}

impl Stream {
    fn view(&self, now: Instant) -> View {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let age = now.saturating_duration_since(self.began);
        let (first, last) = (load(&self.first_us), load(&self.last_us));
        let events = load(&self.events);
        let spoke = last.saturating_sub(first) >= RATE_SPAN_US;
        let phases = [Phase::Connecting, Phase::Waiting, Phase::Streaming];
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        View {
            facts: self.facts.clone(),
            phase: phases[phase],
            age,
            silent: (last > 0).then(|| age.saturating_sub(Duration::from_micros(last))),
            events,
            bytes: load(&self.bytes),
            rate: spoke.then(|| (events - 1) as f64 * 1e6 / (last - first) as f64),
        }
    }
}
