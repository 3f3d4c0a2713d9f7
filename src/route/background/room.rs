//! How many responses may be in the background at once.

use crate::error::{Error, Kind, Source};
use crate::limits;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of this process, whichever worker they are on.
static HOUSE: House = House::new(limits::BACKGROUND_MAX);

struct House {
    taken: AtomicUsize,
    most: usize,
}

impl House {
    const fn new(most: usize) -> Self {
        House {
            taken: AtomicUsize::new(0),
            most,
        }
    }

    fn enter(&'static self) -> Option<Room> {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        let entered = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.ok().map(|_| Room(self))
    }
}

/// A place among them, given back when it is dropped.
pub(in crate::route) struct Room(&'static House);

impl Room {
    /// A place; 429 where there is none.
    pub fn take() -> Result<Room, Error> {
        HOUSE.enter().ok_or_else(|| {
            let most = limits::BACKGROUND_MAX;
            let what = format!("{most} responses are in the background already; try again later.");
            Error::new(Source::Gateway, Kind::RateLimited, what)
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_there_again_when_one_has_left() {
        static SMALL: House = House::new(2);
        let (one, two) = (SMALL.enter(), SMALL.enter());
        assert!(one.is_some() && two.is_some() && SMALL.enter().is_none());
        drop(one);
        let three = SMALL.enter();
        assert!(three.is_some() && SMALL.enter().is_none());
    }
}
