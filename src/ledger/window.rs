//! The windows of a budget: days, weeks, months of the calendar, all in UTC.

use serde::{Deserialize, Serialize};
use time::{Date, Duration, UtcDateTime};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// How often a budget begins anew.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Each midnight.
    Day,
    /// Each first of a month.
    Month,
    /// Never.
    Total,
    /// Each Monday (ISO 8601).
    Week,
}

/// One window of a budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Of which kind it is.
    pub per: Per,
    /// Its first second, in Unix time.
    pub start_s: u64,
    /// The first second of the next one; `None`: there is none.
    pub end_s: Option<u64>,
}

impl Per {
    /// All, as they are written.
    pub const NAMES: [(&'static str, Per); 4] = [
        ("day", Per::Day),
        ("week", Per::Week),
        ("month", Per::Month),
        ("total", Per::Total),
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, per)| *per == self);
        found.map_or("", |(name, _)| name)
    }

    /// The window that `unix_s` lies in.
    pub fn window(self, unix_s: u64) -> Window {
        let days = |from: u64, to: u64| (from.saturating_mul(DAY), Some(to.saturating_mul(DAY)));
        let today = unix_s / DAY;
        let (start_s, end_s) = match self {
            Per::Day => days(today, today + 1),
            Per::Week => {
                // The first of January 1970 was a Thursday, three days after a Monday.
                let monday = (today + 3) / 7 * 7;
                days(monday.saturating_sub(3), monday + 4)
            }
            Per::Month => month(unix_s),
            Per::Total => (0, None),
        };
        Window {
            per: self,
            start_s,
            end_s,
        }
    }
}

impl Window {
    /// Its length; `None`: it has no end.
    pub fn minutes(&self) -> Option<u64> {
        self.end_s.map(|end| end.saturating_sub(self.start_s) / 60)
    }
}

/// The first second of the month, and of the next. A clock beyond the year 9999 has no end.
fn month(unix_s: u64) -> (u64, Option<u64>) {
    let at = i64::try_from(unix_s).ok();
    let date = at.and_then(|at| UtcDateTime::from_unix_timestamp(at).ok());
    let first = date.and_then(|at| at.date().replace_day(1).ok());
    let Some(first) = first else {
        return (0, None);
    };
    let unix = |date: Date| u64::try_from(date.midnight().as_utc().unix_timestamp()).ok();
    // No month has 32 days, and none has less than 28.
    let next = first.checked_add(Duration::days(31));
    let next = next.and_then(|date| date.replace_day(1).ok());
    (unix(first).unwrap_or(0), next.and_then(unix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21, a Saturday, 20:31:05.
    const NOW: u64 = 1_795_293_065;

    #[test]
    fn windows_are_those_of_the_calendar() {
        for (per, start_s, end_s, minutes) in [
            (Per::Day, 1_795_219_200, 1_795_305_600, 1440),
            (Per::Week, 1_794_787_200, 1_795_392_000, 10_080),
            (Per::Month, 1_793_491_200, 1_796_083_200, 43_200),
        ] {
            let window = per.window(NOW);
            assert_eq!(
                (window.start_s, window.end_s),
                (start_s, Some(end_s)),
                "{per:?}"
            );
            assert_eq!(window.minutes(), Some(minutes));
            assert_eq!(per.window(start_s), window);
            assert_eq!(per.window(end_s - 1), window);
            assert_eq!(per.window(end_s).start_s, end_s);
        }
        assert_eq!(Per::Total.window(NOW).end_s, None);
        assert_eq!(Per::Total.window(NOW), Per::Total.window(0));
    }

    #[test]
    fn months_have_their_lengths_and_no_clock_is_too_odd() {
        let days = |unix_s| Per::Month.window(unix_s).minutes().map(|m| m / 1440);
        // February 2027, February 2028, January 2027, December 2026.
        for (unix_s, expected) in [
            (1_802_000_000, 28),
            (1_833_700_000, 29),
            (1_799_000_000, 31),
            (1_797_000_000, 31),
        ] {
            assert_eq!(days(unix_s), Some(expected), "{unix_s}");
        }
        for per in [Per::Day, Per::Week, Per::Month, Per::Total] {
            for unix_s in [0, 1, 400_000, u64::from(u32::MAX), 1 << 40, u64::MAX / DAY] {
                let window = per.window(unix_s);
                assert!(window.start_s <= unix_s, "{per:?} {unix_s}");
                assert!(window.end_s.is_none_or(|end| end > unix_s));
            }
        }
    }
}
