//! Numbers that one worker writes and a scrape reads: plain loads and stores, no bus lock and no
//! waiting on either side.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows. Only the worker that it belongs to may add.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(count);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// What was added so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. Only the worker that it belongs to may change it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// It is now `value`.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// One more.
    pub fn up(&self) {
        self.set(self.get().wrapping_add(1));
    }

    /// One less.
    pub fn down(&self) {
        self.set(self.get().wrapping_sub(1));
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets, in nanoseconds: 1, 2 and 5 in each power of ten from 100 µs on, to
/// 600 s. What a gateway adds is a matter of microseconds, so that is where they begin.
pub const BOUNDS: [u64; 21] = {
    let mut bounds = [0; 21];
    let mut at = 0;
    let mut decade = 100_000;
    while at < 21 {
        bounds[at] = decade;
        bounds[at + 1] = 2 * decade;
        bounds[at + 2] = 5 * decade;
        decade *= 10;
        at += 3;
    }
    bounds[20] = 600_000_000_000;
    bounds
};

/// How many buckets there are: the last one has no upper bound.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// For each length in bits, the first bucket that a number of that length may belong to. No two
/// bounds have the same length, so it is that bucket or the next.
const FIRST: [u8; 65] = {
    let mut first = [0; 65];
    let mut bits = 1;
    while bits <= 64 {
        let least = 1 << (bits - 1);
        let mut bucket = 0;
        while bucket < BOUNDS.len() && BOUNDS[bucket] < least {
            bucket += 1;
        }
        first[bits] = bucket as u8;
        bits += 1;
    }
    first
};

/// How often something took how long. Only the worker that it belongs to may observe.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    /// Nanoseconds; it wraps after 584 years of them together, as counters may.
    sum: Counter,
}

impl Histogram {
    /// It took so long, once.
    #[inline]
    pub fn observe(&self, took: Duration) {
        let nanos = took.as_secs() * 1_000_000_000 + u64::from(took.subsec_nanos());
        self.buckets[bucket(nanos)].add(1);
        self.sum.add(nanos);
    }

    /// Adds what it has seen.
    pub fn add_to(&self, total: &mut Observed) {
        for (sum, own) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += own.get();
        }
        total.nanos += u128::from(self.sum.get());
    }
}

#[inline]
fn bucket(nanos: u64) -> usize {
    let first = FIRST[64 - nanos.leading_zeros() as usize] as usize;
    first + usize::from(BOUNDS.get(first).is_some_and(|bound| nanos > *bound))
}

/// What histograms have seen together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// Observations by bucket, not cumulative.
    pub buckets: [u64; BUCKETS],
    /// Their sum.
    pub nanos: u128,
}

impl Observed {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// A list that only grows, one at a time, and is never moved: whoever reads it needs no lock.
#[derive(Debug)]
pub struct List<T>(OnceLock<Box<(T, List<T>)>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        List(OnceLock::new())
    }
}

impl<T> List<T> {
    /// All that there is.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut at = self;
        std::iter::from_fn(move || {
            let (value, rest) = &**at.0.get()?;
            at = rest;
            Some(value)
        })
    }

    /// The one that `is_it` finds, or a new one at the end.
    pub fn find_or_push(&self, is_it: impl Fn(&T) -> bool, make: impl Fn() -> T) -> &T {
        let mut at = self;
        loop {
            let (value, rest) = &**at.0.get_or_init(|| Box::new((make(), List::default())));
            if is_it(value) {
                return value;
            }
            at = rest;
        }
    }
}

/// Counters by a label. Its values are from a closed set, so there are few.
#[derive(Debug)]
pub struct Family<K>(List<(K, Counter)>);

impl<K> Default for Family<K> {
    fn default() -> Self {
        Family(List::default())
    }
}

impl<K: Copy + PartialEq> Family<K> {
    /// Counts one more under `label`.
    pub fn count(&self, label: K) {
        let own = |(known, _): &(K, Counter)| *known == label;
        let (_, counter) = self.0.find_or_push(own, || (label, Counter::default()));
        counter.add(1);
    }

    /// The labels that were counted, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> {
        self.0
            .iter()
            .map(|(label, counter)| (*label, counter.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_falls_into_the_first_bucket_that_holds_it() {
        let slow = |nanos: u64| BOUNDS.iter().take_while(|bound| nanos > **bound).count();
        let near = BOUNDS.iter().flat_map(|b| [b - 1, *b, b + 1]);
        let powers = (0..64).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1]);
        for nanos in near.chain(powers).chain([0, u64::MAX]) {
            assert_eq!(bucket(nanos), slow(nanos), "{nanos}");
        }
    }

    #[test]
    fn a_histogram_adds_up() {
        let one = Histogram::default();
        one.observe(Duration::from_micros(100));
        one.observe(Duration::from_micros(101));
        let other = Histogram::default();
        other.observe(Duration::from_secs(601));
        let mut total = Observed::default();
        one.add_to(&mut total);
        other.add_to(&mut total);
        assert_eq!((total.buckets[0], total.buckets[1]), (1, 1));
        assert_eq!((total.buckets[BUCKETS - 1], total.count()), (1, 3));
        assert_eq!(total.nanos, 601_000_201_000);
    }

    #[test]
    fn a_list_is_read_while_it_grows() {
        let family = Family::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..1000 {
                    family.count(n % 100);
                }
            });
            scope.spawn(|| {
                while family.iter().count() < 100 {
                    assert!(family.iter().enumerate().all(|(i, (label, _))| i == label));
                }
            });
        });
        assert!(family.iter().all(|(_, count)| count == 10));
    }
}
