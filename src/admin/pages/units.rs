//! Numbers and times as people read them.

use maud::{Markup, html};
use time::UtcDateTime;

/// With a comma between the thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// With a letter for the thousands: `1.2M`.
pub(super) fn short(number: u64) -> String {
    let steps = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let value = number as f64;
    for (unit, letter) in steps {
        // What would be rounded up to the next letter takes it.
        if value >= unit * 0.9995 {
            return digits(value / unit) + letter;
        }
    }
    number.to_string()
}

/// Bytes, by the thousand.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1000 => format!("{number} B"),
        _ => {
            let short = short(number);
            let (value, letter) = short.split_at(short.len() - 1);
            format!("{value} {letter}B")
        }
    }
}

/// Three digits that say something.
fn digits(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A duration.
pub(super) fn millis(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{:.1} s", ms as f64 / 1e3),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms / 1000 % 60),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// Dollars, with as many digits as say something.
pub(super) fn money(nanos: u64) -> String {
    let dollars = nanos as f64 / 1e9;
    match nanos {
        0 => "$0".to_owned(),
        1..10_000 => "<$0.00001".to_owned(),
        10_000..1_000_000 => format!("${dollars:.5}"),
        1_000_000..1_000_000_000 => format!("${dollars:.4}"),
        1_000_000_000..1_000_000_000_000 => format!("${dollars:.2}"),
        _ => format!("${}", count(dollars.round() as u64)),
    }
}

/// A part of a whole.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "–".to_owned(),
        _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

/// A point in time, of UTC; the script turns it into the reader's.
pub(super) fn time(unix_ms: u64) -> Markup {
    let Some(t) = utc(unix_ms) else {
        return html! { "–" };
    };
    let (date, clock) = (t.date(), t.time());
    let (h, m, s) = clock.as_hms();
    let ms = unix_ms % 1000;
    html! {
        time datetime={ (date) "T" (format!("{h:02}:{m:02}:{s:02}.{ms:03}Z")) } {
            (date) " " (format!("{h:02}:{m:02}:{s:02}")) " UTC"
        }
    }
}

/// The day of UTC, as `2026-11-21`.
pub(super) fn day(unix_ms: u64) -> String {
    utc(unix_ms).map_or_else(String::new, |t| t.date().to_string())
}

fn utc(unix_ms: u64) -> Option<UtcDateTime> {
    let seconds = i64::try_from(unix_ms / 1000).ok()?;
    UtcDateTime::from_unix_timestamp(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_right() {
        let counts: Vec<String> = [0, 999, 1000, 1_234_567].map(count).into();
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let shorts: Vec<String> = [0, 999, 1000, 9_996, 12_345, 999_999, 1_500_000]
            .map(short)
            .into();
        assert_eq!(
            shorts,
            ["0", "999", "1.00k", "10.0k", "12.3k", "1.00M", "1.50M"]
        );
        assert_eq!(
            (bytes(12), bytes(12_345)),
            ("12 B".into(), "12.3 kB".into())
        );
        let times: Vec<String> = [5, 1500, 61_000, 3_660_000].map(millis).into();
        assert_eq!(times, ["5 ms", "1.5 s", "1 min 01 s", "1 h 01 min"]);
        let sums: Vec<String> = [0, 9, 12_340, 1_234_000, 1_234_000_000].map(money).into();
        assert_eq!(sums, ["$0", "<$0.00001", "$0.00001", "$0.0012", "$1.23"]);
        assert_eq!(
            (percent(1, 3), percent(0, 0)),
            ("33.3 %".into(), "–".into())
        );
    }

    #[test]
    fn times_are_of_utc_and_never_panic() {
        let shown = time(1_760_000_000_123).into_string();
        let expected = "<time datetime=\"2025-10-09T08:53:20.123Z\">2025-10-09 08:53:20 UTC</time>";
        assert_eq!(shown, expected);
        assert_eq!(day(1_760_000_000_123), "2025-10-09");
        assert_eq!(time(u64::MAX).into_string(), "–");
    }
}
