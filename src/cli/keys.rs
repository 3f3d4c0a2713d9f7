//! `strait keys`: client keys in the store, made and changed while Strait runs.

use super::{Config, USAGE, load};
use crate::auth::secret::Secret;
use crate::config::{self, Models, Snapshot, budget};
use crate::ledger::keys::{StoredKey, StoredSecret};
use crate::ledger::meter::{Budget, Limits};
use crate::ledger::window::Per;
use crate::server::{self, Till};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// How the secrets begin, so that a scanner finds one that has leaked.
const PREFIX: &str = "sk-strait-";
/// Longest name of a key.
const NAME_BYTES_MAX: usize = 128;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a key, and print its secret: this once.
    Add(Add),
    /// List the keys in the store.
    List {
        #[command(flatten)]
        config: Config,
    },
    /// Give a key another secret, and print that.
    Rotate {
        /// The key's name.
        name: String,
        /// How long the old secret still works, like 24h.
        #[arg(long, default_value = "0s", value_parser = seconds)]
        overlap: u64,
        #[command(flatten)]
        config: Config,
    },
    /// End a key. Its name stays taken.
    Revoke {
        /// The key's name.
        name: String,
        #[command(flatten)]
        config: Config,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// What it is called, in the log and in what is kept.
    name: String,
    /// Models it may ask for, like fast,deepseek/*; default: all.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Requests in any minute.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_minute: Option<u64>,
    /// Tokens, in and out, in any minute.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    tokens_per_minute: Option<u64>,
    /// Requests at once.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    streams: Option<u64>,
    /// US dollars in a day, week, month or total, like 20/month.
    #[arg(long, value_parser = money)]
    budget: Option<Budget>,
    /// When it ends: 2027-01-01T00:00:00Z, or after a time like 90d.
    #[arg(long, value_parser = end)]
    expires: Option<u64>,
    /// It opens what operators see, too.
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Add(add) => make(add),
        Command::List { config } => list(&config),
        Command::Rotate {
            name,
            overlap,
            config,
        } => rotate(&name, overlap, &config),
        Command::Revoke { name, config } => revoke(&name, &config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(USAGE)
        }
    }
}

/// The configuration, and the store it names, opened.
fn open(config: &Config) -> Result<(Snapshot, Till), String> {
    let mut snapshot = load(config)?;
    let said = |why: String| format!("strait keys: {why}");
    server::settle_store(&mut snapshot.store).map_err(|e| said(e.to_string()))?;
    if !snapshot.store.keeps() {
        let why = "there is no store. Mend: set [store] url in strait.toml.";
        return Err(said(why.to_owned()));
    }
    let till = Till::open(&snapshot.store, snapshot.ca_file.as_deref(), now_s());
    let till = till.map_err(|why| said(format!("{}: {why}.", snapshot.store.place)))?;
    Ok((snapshot, till))
}

fn make(add: Add) -> Result<(), String> {
    let said = |why: &str| format!("strait keys: {why}");
    let printable = |c: char| !c.is_control();
    if add.name.is_empty() || add.name.len() > NAME_BYTES_MAX || !add.name.chars().all(printable) {
        return Err(said("a name is 1 to 128 bytes of text."));
    }
    Models::new(add.models.clone())
        .map_err(|(what, mend)| said(&format!("--models: {what} Mend: {mend}")))?;
    let (snapshot, mut till) = open(&add.config)?;
    if snapshot.keys.iter().any(|key| key.name == add.name) {
        let why = "the configuration has a key of this name. Mend: choose another.";
        return Err(said(why));
    }
    let (secret, sha256) = secret()?;
    let key = StoredKey {
        name: add.name.clone(),
        admin: add.admin,
        models: add.models,
        limits: Limits {
            requests_per_minute: add.requests_per_minute,
            tokens_per_minute: add.tokens_per_minute,
            streams: add.streams,
            budget: add.budget,
        },
        secrets: vec![StoredSecret {
            sha256,
            expires_s: None,
        }],
        made_s: now_s(),
        expires_s: add.expires,
        revoked_s: None,
    };
    till.change(&add.name, |before| match before {
        None => Ok(key.clone()),
        Some(_) => Err("strait keys: there is, or was, a key of this name already.".to_owned()),
    })?;
    say!("{}", secret.expose());
    eprintln!("This is shown once. {}", heard(&snapshot));
    Ok(())
}

fn rotate(name: &str, overlap_s: u64, config: &Config) -> Result<(), String> {
    let (snapshot, mut till) = open(config)?;
    let (secret, sha256) = secret()?;
    let now_s = now_s();
    till.change(name, |before| {
        let mut key = before.ok_or_else(|| missing(name))?;
        if !key.works(now_s) {
            return Err(format!("strait keys: {name:?} has ended."));
        }
        key.rotate(sha256.clone(), now_s, now_s.saturating_add(overlap_s));
        Ok(key)
    })?;
    say!("{}", secret.expose());
    eprintln!("This is shown once. {}", heard(&snapshot));
    Ok(())
}

fn revoke(name: &str, config: &Config) -> Result<(), String> {
    let (snapshot, mut till) = open(config)?;
    let now_s = now_s();
    till.change(name, |before| {
        let mut key = before.ok_or_else(|| missing(name))?;
        key.revoked_s.get_or_insert(now_s);
        key.secrets.clear();
        Ok(key)
    })?;
    eprintln!("{name} is revoked. {}", heard(&snapshot));
    Ok(())
}

fn list(config: &Config) -> Result<(), String> {
    let (_, mut till) = open(config)?;
    let now_s = now_s();
    let said = |why: String| format!("strait keys: {why}");
    let keys = till.keys().map_err(said)?;
    let budgets: Vec<_> = keys
        .iter()
        .filter_map(|key| Some((key.name.clone(), key.limits.budget?.per.window(now_s))))
        .collect();
    let mut spent = till.spend(&[], &budgets).map_err(said)?.into_iter();
    for key in &keys {
        say!("{}", line(key, now_s, &mut spent));
    }
    Ok(())
}

/// A key in one line. `spent` gives what the next key with a budget has spent.
fn line(key: &StoredKey, now_s: u64, spent: &mut impl Iterator<Item = u64>) -> String {
    let mut line = format!("{:<24}", key.name);
    line.push_str(match key.works(now_s) {
        true => "works",
        false if key.revoked_s.is_some() => "revoked",
        false => "expired",
    });
    if key.admin {
        line.push_str(" · admin");
    }
    let overlapping = key.secrets.iter().skip(1);
    let old = overlapping.filter(|s| s.expires_s.is_some_and(|end| end > now_s));
    let old = old.count();
    if old > 0 {
        let _ = write!(line, " · {old} old");
    }
    if !key.models.is_empty() {
        let _ = write!(line, " · {}", key.models.join(", "));
    }
    let limits = &key.limits;
    for (limit, unit) in [
        (limits.requests_per_minute, "requests/min"),
        (limits.tokens_per_minute, "tokens/min"),
        (limits.streams, "at once"),
    ] {
        if let Some(limit) = limit {
            let _ = write!(line, " · {limit} {unit}");
        }
    }
    if let Some(budget) = limits.budget {
        let usd = |nanos: u64| nanos as f64 / 1e9;
        let (spent, most) = (usd(spent.next().unwrap_or(0)), usd(budget.nanos));
        let _ = write!(line, " · {spent:.2} of {most} USD/{}", budget.per.name());
    }
    if let Some(end) = key.expires_s {
        let _ = write!(line, " · until {}", date(end));
    }
    line
}

fn missing(name: &str) -> String {
    format!("strait keys: the store has no key {name:?}.")
}

/// How a Strait that runs hears of it.
fn heard(snapshot: &Snapshot) -> &'static str {
    match snapshot.store.chosen {
        true => "A Strait that runs knows within seconds.",
        false => {
            "A Strait that runs knows within seconds; of the first key ever, after `strait reload`."
        }
    }
}

/// A new secret of 256 bits, and its SHA-256 in hexadecimal.
fn secret() -> Result<(Secret, String), String> {
    let mut random = [0; 32];
    let filled = SystemRandom::new().fill(&mut random);
    filled.map_err(|_| "strait keys: the system gives no randomness.".to_owned())?;
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let digest = config::sha256(secret.as_bytes());
    let sha256 = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok((Secret::new(secret), sha256))
}

/// A number and a unit of time.
fn seconds(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("write it like 30m, 24h or 7d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "is no number".to_owned())?;
    number.checked_mul(unit).ok_or("is too long".to_owned())
}

/// A point in time, in Unix seconds.
fn end(text: &str) -> Result<u64, String> {
    if let Ok(after) = seconds(text) {
        return Ok(now_s().saturating_add(after));
    }
    let written = text.parse().ok();
    let end = written.and_then(|written| config::unix_s(&written));
    end.ok_or("write it like 2027-01-01T00:00:00Z, or 90d".to_owned())
}

/// Money in a window.
fn money(text: &str) -> Result<Budget, String> {
    let how = || "write it like 20/month; there are day, week, month and total".to_owned();
    let (usd, per) = text.split_once('/').ok_or_else(how)?;
    let usd: f64 = usd.parse().map_err(|_| how())?;
    let per = Per::NAMES.iter().find(|(name, _)| *name == per);
    let (_, per) = per.ok_or_else(how)?;
    budget(usd, *per).map_err(|(what, mend)| format!("{what} {mend}"))
}

fn date(unix_s: u64) -> String {
    let at = i64::try_from(unix_s).ok();
    let at = at.and_then(|at| time::UtcDateTime::from_unix_timestamp(at).ok());
    at.map_or("the end of time".to_owned(), |at| {
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, _) = at.as_hms();
        format!(
            "{year}-{:02}-{day:02} {hour:02}:{minute:02} UTC",
            u8::from(month)
        )
    })
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_money_are_read() {
        assert_eq!(seconds("24h"), Ok(86_400));
        assert_eq!(seconds("0s"), Ok(0));
        for wrong in ["", "h", "1", "1w", "-1h", "99999999999999999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(end("2027-01-01T00:00:00Z"), Ok(1_798_761_600));
        assert!(end("90d").unwrap() > end("1d").unwrap());
        assert!(end("2027-01-01").is_err());
        let expected = Budget {
            nanos: 20_500_000_000,
            per: Per::Month,
        };
        assert_eq!(money("20.5/month"), Ok(expected));
        for wrong in ["20", "x/day", "0/day", "nan/day", "-1/day", "1/year"] {
            assert!(money(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_says_what_a_key_may_and_nothing_secret() {
        let (secret, sha256) = secret().unwrap();
        assert!(secret.expose().starts_with(PREFIX) && secret.expose().len() == 53);
        let mut key = StoredKey {
            name: "fleet".to_owned(),
            admin: true,
            models: vec!["fast".to_owned()],
            limits: Limits {
                streams: Some(4),
                budget: Some(money("20/month").unwrap()),
                ..Limits::default()
            },
            expires_s: Some(1_798_761_600),
            ..StoredKey::default()
        };
        key.rotate(sha256.clone(), 5, 5);
        key.rotate("new".to_owned(), 5, 50);
        let shown = line(&key, 6, &mut [1_250_000_000].into_iter());
        assert_eq!(
            shown.split_once("works").unwrap().1,
            " · admin · 1 old · fast · 4 at once · 1.25 of 20 USD/month · until 2027-01-01 00:00 UTC"
        );
        assert!(!shown.contains(&sha256));
        key.revoked_s = Some(6);
        assert!(line(&key, 6, &mut std::iter::empty()).contains("revoked"));
    }
}
