//! Which rows of the audit are wanted, as a query says it: the same for the page and the API.

use super::query::Query;
use crate::error::Error;
use crate::ledger::audit::{Class, Cursor, Filter};
use std::ops::RangeInclusive;
use time::{Date, Month, Time, UtcDateTime};

/// Reads the filter of a query.
pub(super) fn filter(query: &Query) -> Result<Filter, Error> {
    let text = |name| Some(query.get(name).to_owned()).filter(|value| !value.is_empty());
    let class = match query.get("class") {
        "" => None,
        name => Some(Class::named(name).ok_or_else(|| wrong("class", "done, failed or left"))?),
    };
    let status = match query.get("status") {
        "" => None,
        text => {
            Some(statuses(text).ok_or_else(|| wrong("status", "a status or a class: 429, 4xx"))?)
        }
    };
    Ok(Filter {
        from_ms: moment(query, "from", 0)?,
        // The day that is named still belongs to it.
        until_ms: moment(query, "until", DAY_MS)?,
        key: text("key"),
        model: text("model"),
        provider: text("provider"),
        class,
        status,
        session: text("session"),
        thread: text("thread"),
        id: text("id"),
        text: query.get("q").to_owned(),
    })
}

const DAY_MS: u64 = 86_400_000;

/// Unix milliseconds, or a day of UTC; of a day its begin and `day_ms`.
fn moment(query: &Query, name: &str, day_ms: u64) -> Result<Option<u64>, Error> {
    let text = query.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    let ms = text.parse().ok();
    let ms = ms.or_else(|| Some(day(text)? + day_ms));
    let expected = "a day (2026-11-21), or Unix milliseconds";
    ms.map(Some).ok_or_else(|| wrong(name, expected))
}

fn day(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let mut number = || parts.next()?.parse::<u16>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok()?;
    let begin = UtcDateTime::new(date, Time::MIDNIGHT).unix_timestamp();
    u64::try_from(begin).ok()?.checked_mul(1000)
}

fn statuses(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some(class * 100..=class * 100 + 99);
    }
    let status: u16 = text.parse().ok()?;
    Some(status..=status)
}

/// The place behind which a page begins, as [`write_cursor`] wrote it.
pub(super) fn cursor(query: &Query) -> Result<Option<Cursor>, Error> {
    let text = query.get("before");
    if text.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let (started_ms, number) = text.split_once('-')?;
        let (started_ms, number) = (started_ms.parse().ok()?, number.parse().ok()?);
        Some(Cursor { started_ms, number })
    };
    let found = parse().ok_or_else(|| wrong("before", "what another page gave as next"));
    found.map(Some)
}

/// A cursor for a query.
pub(super) fn write_cursor(cursor: &Cursor) -> String {
    format!("{}-{}", cursor.started_ms, cursor.number)
}

/// A number of the query between 1 and `max`; `usual` without one.
pub(super) fn limit(query: &Query, usual: usize, max: usize) -> Result<usize, Error> {
    match query.get("limit") {
        "" => Ok(usual),
        text => {
            let legal = text.parse().ok().filter(|n| (1..=max).contains(n));
            legal.ok_or_else(|| wrong("limit", &format!("a number from 1 to {max}")))
        }
    }
}

pub(super) fn wrong(param: &str, expected: &str) -> Error {
    Error::bad_request(format!("Invalid value for '{param}': expected {expected}."))
        .with_param(param)
        .with_code("invalid_value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read() {
        let query =
            "q=a+b&key=k&class=failed&status=4xx&from=2025-10-09&until=2025-10-09&session=s";
        let read = filter(&Query::of(query)).unwrap();
        assert_eq!(
            (read.text.as_str(), read.key.as_deref()),
            ("a b", Some("k"))
        );
        assert_eq!(
            (read.class, read.status),
            (Some(Class::Failed), Some(400..=499))
        );
        assert_eq!(read.from_ms, Some(1_759_968_000_000));
        assert_eq!(read.until_ms, Some(1_759_968_000_000 + DAY_MS));
        assert_eq!((read.model, read.session.as_deref()), (None, Some("s")));
        let read = filter(&Query::of("from=5&status=429")).unwrap();
        assert_eq!((read.from_ms, read.status), (Some(5), Some(429..=429)));
        assert_eq!(filter(&Query::default()).unwrap(), Filter::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, param) in [
            ("class=bad", "class"),
            ("status=9xx", "status"),
            ("status=x", "status"),
            ("from=2025-13-01", "from"),
            ("until=2025-02-30", "until"),
            ("until=-", "until"),
        ] {
            let error = filter(&Query::of(query)).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{query}");
        }
        assert!(cursor(&Query::of("before=1")).is_err());
        assert!(limit(&Query::of("limit=0"), 1, 5).is_err());
    }

    #[test]
    fn a_cursor_comes_back() {
        let place = Cursor {
            started_ms: 7,
            number: 9,
        };
        let query = Query::of(&format!("before={}", write_cursor(&place)));
        assert_eq!(cursor(&query).unwrap(), Some(place));
    }
}
