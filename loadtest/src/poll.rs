//! Readiness and time: epoll, a heap of deadlines, and the pinning of threads.

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// What a socket is ready for.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The token the socket was added with.
    pub token: u64,
    /// There may be bytes, or the end.
    pub read: bool,
    /// There may be room.
    pub write: bool,
    /// The peer will send no more, or the connection is broken.
    pub closed: bool,
}

/// Edge-triggered epoll.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    /// An empty set.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
        })
    }

    /// Adds a socket; closing it takes it out again.
    pub fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(token), flags)?;
        Ok(())
    }

    /// Waits, at most for `timeout`, and appends what is ready to `ready`.
    pub fn wait(&mut self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = rustix::event::Timespec {
            tv_sec: timeout.as_secs() as _,
            tv_nsec: timeout.subsec_nanos() as _,
        };
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) => {}
            Err(e) if e == rustix::io::Errno::INTR => return Ok(()),
            Err(e) => return Err(e.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Ready {
                token: data.u64(),
                read: broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                write: broken || flags.contains(EventFlags::OUT),
                closed: broken || flags.contains(EventFlags::RDHUP),
            }
        }));
        Ok(())
    }
}

/// Nanoseconds since the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// The time.
    pub fn now(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// Deadlines in nanoseconds, each with a token.
#[derive(Default)]
pub struct Timers(BinaryHeap<Reverse<(u64, u64)>>);

impl Timers {
    /// Adds a deadline.
    pub fn add(&mut self, due: u64, token: u64) {
        self.0.push(Reverse((due, token)));
    }

    /// Takes the next deadline that is not after `now`.
    pub fn pop(&mut self, now: u64) -> Option<u64> {
        let due = self.0.peek().is_some_and(|Reverse((due, _))| *due <= now);
        due.then(|| self.0.pop().expect("peeked").0.1)
    }

    /// How long there is to wait, at most `limit`.
    pub fn wait(&self, now: u64, limit: Duration) -> Duration {
        match self.0.peek() {
            Some(Reverse((due, _))) => Duration::from_nanos(due.saturating_sub(now)).min(limit),
            None => limit,
        }
    }
}

/// Pins the calling thread, and what it starts from now on, to `cpus`; none: anywhere.
pub fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    let all = 0..rustix::thread::CpuSet::MAX_CPU;
    match cpus {
        [] => all.for_each(|cpu| set.set(cpu)),
        some => some
            .iter()
            .filter(|c| all.contains(c))
            .for_each(|c| set.set(*c)),
    }
    rustix::thread::sched_setaffinity(None, &set)?;
    Ok(())
}

/// The CPUs that the calling thread may run on.
pub fn cpus() -> io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    let all = 0..rustix::thread::CpuSet::MAX_CPU;
    Ok(all.filter(|cpu| set.is_set(*cpu)).collect())
}

/// Raises the number of files that may be open as far as it goes.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is refused, a run with too many streams says so itself.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order() {
        let mut timers = Timers::default();
        for (due, token) in [(30, 3), (10, 1), (20, 2)] {
            timers.add(due, token);
        }
        assert_eq!(timers.wait(5, Duration::MAX), Duration::from_nanos(5));
        assert_eq!(timers.pop(9), None);
        assert_eq!(timers.pop(25), Some(1));
        assert_eq!(timers.pop(25), Some(2));
        assert_eq!(timers.pop(25), None);
        assert_eq!(timers.wait(40, Duration::MAX), Duration::ZERO);
    }
}
