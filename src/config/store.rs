//! Where responses are kept, and for how long.

use super::load::{ConfigError, Env, Loader};
use super::login::is_loopback;
use crate::auth::secret::Secret;
use crate::limits;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// `[store]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StoreDraft {
    url: Option<Spanned<String>>,
    max_age_days: Option<Spanned<f64>>,
    max_size_mib: Option<Spanned<f64>>,
}

/// The store of responses.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// Where it is.
    pub place: Place,
    /// The configuration names it: then it has to be usable, or Strait does not start.
    pub chosen: bool,
    /// How long a response is kept.
    pub max_age: Duration,
    /// Most bytes kept; beyond, the oldest responses go.
    pub max_bytes: u64,
}

/// Where responses are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Nowhere.
    Nowhere,
    /// In a PostgreSQL database, which several Straits may share.
    Postgres(Database),
    /// In an SQLite file.
    Sqlite(PathBuf),
}

/// A PostgreSQL database.
#[derive(Clone, Debug)]
pub struct Database {
    /// The URL without `sslmode`; it may hold a password.
    pub url: Secret,
    /// The URL without user, password and options, to be shown.
    pub shown: String,
    /// Whether TLS is spoken. The certificate is always verified, the name with it.
    pub tls: bool,
}

impl PartialEq for Database {
    fn eq(&self, other: &Self) -> bool {
        self.tls == other.tls && self.url.expose() == other.url.expose()
    }
}

impl Store {
    /// No store.
    pub fn none() -> Store {
        Store {
            place: Place::Nowhere,
            chosen: false,
            max_age: limits::STORE_AGE_MAX,
            max_bytes: limits::STORE_BYTES_MAX,
        }
    }

    /// Whether responses are kept at all.
    pub fn keeps(&self) -> bool {
        !matches!(self.place, Place::Nowhere)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Nowhere => f.write_str("none"),
            Place::Postgres(database) => f.write_str(&database.shown),
            Place::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl Loader<'_> {
    /// The store: the one that is named, or a file where the system wants such things.
    pub(super) fn store(&self, draft: &StoreDraft) -> Result<Store, ConfigError> {
        let place = match &draft.url {
            Some(url) => self.place("store.url", url)?,
            None => default_file(self.env, "strait.db").map_or(Place::Nowhere, Place::Sqlite),
        };
        let age = self.amount("store.max_age_days", &draft.max_age_days, 36_500.0)?;
        let size = self.amount("store.max_size_mib", &draft.max_size_mib, 1e9)?;
        Ok(Store {
            place,
            chosen: draft.url.is_some(),
            max_age: age.map_or(limits::STORE_AGE_MAX, |days| {
                Duration::from_secs_f64(days * 86_400.0)
            }),
            max_bytes: size.map_or(limits::STORE_BYTES_MAX, |mib| (mib * 1_048_576.0) as u64),
        })
    }

    /// A number above 0; `key` is its name in the file.
    pub(super) fn amount(
        &self,
        key: &str,
        value: &Option<Spanned<f64>>,
        max: f64,
    ) -> Result<Option<f64>, ConfigError> {
        match value {
            None => Ok(None),
            Some(v) if *v.get_ref() > 0.0 && *v.get_ref() <= max => Ok(Some(*v.get_ref())),
            Some(v) => {
                let mend = format!("a number above 0, at most {max}.");
                Err(self.error(v.span().start, key, "is out of range.", mend))
            }
        }
    }

    /// The place that a URL names; `key` is its name in the file.
    pub(super) fn place(&self, key: &str, url: &Spanned<String>) -> Result<Place, ConfigError> {
        let at = url.span().start;
        let text = self.expand(at, key, url.get_ref())?;
        if text == "none" {
            return Ok(Place::Nowhere);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('\0') {
                let mend = "url = \"sqlite:/var/lib/strait/strait.db\".";
                return Err(self.error(at, key, "names no file.", mend));
            }
            return Ok(Place::Sqlite(PathBuf::from(path)));
        }
        // What is wrong is said without the URL: it may hold a password.
        database(&text)
            .map(Place::Postgres)
            .map_err(|(what, mend)| self.error(at, key, what, mend))
    }
}

/// What is wrong, and how to mend it.
type Mistake = (String, &'static str);

fn database(url: &str) -> Result<Database, Mistake> {
    let rest = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        let mend = "\"sqlite:/path/strait.db\", \"postgres://…\", or \"none\".";
        return Err(("is no database that Strait knows.".to_owned(), mend));
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut mode = None;
    let mut host_option = None;
    let mut options = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("host", value)) => {
                host_option = Some(value);
                options.push(option);
            }
            _ => options.push(option),
        }
    }
    let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    let here = |host: &str| {
        // A directory is that of a Unix socket; in a URL its slashes are escaped.
        let host = host.strip_prefix('[').map_or(host, |h| {
            h.split_once(']').map_or(h, |(address, _)| address)
        });
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let name = if host.contains("::") { host } else { name };
        host.is_empty()
            || host.starts_with('/')
            || host.to_ascii_lowercase().starts_with("%2f")
            || is_loopback(name)
    };
    let private = hosts.split(',').chain(host_option).all(here);
    let tls = match mode {
        Some("require" | "verify-full") => true,
        Some("disable") => false,
        None if private => false,
        None => {
            let what = "would send what is kept over the network in the clear.".to_owned();
            let mend = "add ?sslmode=verify-full, or ?sslmode=disable if that is meant.";
            return Err((what, mend));
        }
        Some(_) => {
            let what = "has an sslmode that leaves open whether TLS is spoken, or with whom.";
            let mend = "sslmode is disable, require or verify-full.";
            return Err((what.to_owned(), mend));
        }
    };
    let plain = match options.is_empty() {
        true => format!("postgres://{rest}"),
        false => format!("postgres://{rest}?{}", options.join("&")),
    };
    Ok(Database {
        url: Secret::new(plain),
        shown: format!("postgres://{}/{name}", host_option.unwrap_or(hosts)),
        tls,
    })
}

/// Where the system wants such a file.
pub(super) fn default_file(env: Env<'_>, name: &str) -> Option<PathBuf> {
    Some(state_directory(env)?.join(name))
}

/// systemd's state directory, else the user's.
fn state_directory(env: Env<'_>) -> Option<PathBuf> {
    if let Some(own) = first_of(env, "STATE_DIRECTORY") {
        return Some(own);
    }
    let state = match env("XDG_STATE_HOME").filter(|v| !v.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env("HOME").filter(|v| !v.is_empty())?).join(".local/state"),
    };
    Some(state.join("strait"))
}

/// systemd lists several directories, with colons between.
fn first_of(env: Env<'_>, name: &str) -> Option<PathBuf> {
    let all = env(name).filter(|v| !v.is_empty())?;
    all.split(':').next().map(PathBuf::from)
}

/// Where the control socket may be, the best place first: systemd's runtime directory, the user's,
/// or where the state is.
pub fn runtime_directories(env: Env<'_>) -> Vec<PathBuf> {
    let user = env("XDG_RUNTIME_DIR").filter(|v| !v.is_empty());
    let user = user.map(|dir| PathBuf::from(dir).join("strait"));
    let all = [
        first_of(env, "RUNTIME_DIRECTORY"),
        user,
        state_directory(env),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/me".to_owned()),
            "PG_PASSWORD" => Some("s3cret".to_owned()),
            _ => None,
        }
    }

    fn read(text: &str) -> Result<Store, String> {
        let text = format!("[store]\n{text}");
        let snapshot = parse("strait.toml", &text, &env);
        snapshot.map(|s| s.store).map_err(|e| e.to_string())
    }

    fn database_of(url: &str) -> Database {
        match read(&format!("url = {url:?}")).unwrap().place {
            Place::Postgres(database) => database,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_section_it_is_where_the_system_wants_it() {
        let store = read("").unwrap();
        let shown = "sqlite:/home/me/.local/state/strait/strait.db";
        assert_eq!(store.place.to_string(), shown);
        assert!(!store.chosen && store.keeps());
        assert_eq!(store.max_age, Duration::from_secs(30 * 86_400));
        assert_eq!(store.max_bytes, 1 << 30);
        let with = |name: &'static str, value: &'static str| {
            let env = move |asked: &str| match asked == name {
                true => Some(value.to_owned()),
                false => env(asked),
            };
            default_file(&env, "strait.db").unwrap()
        };
        assert_eq!(
            with("STATE_DIRECTORY", "/var/lib/strait:/var/lib/x"),
            PathBuf::from("/var/lib/strait/strait.db")
        );
        assert_eq!(
            with("XDG_STATE_HOME", "/s"),
            PathBuf::from("/s/strait/strait.db")
        );
        assert_eq!(default_file(&|_| None, "strait.db"), None);
    }

    #[test]
    fn what_is_named_is_taken() {
        let store = read("url = \"sqlite:${HOME}/x.db\"\nmax_age_days = 0.5\nmax_size_mib = 2.0");
        let store = store.unwrap();
        assert_eq!(store.place.to_string(), "sqlite:/home/me/x.db");
        assert_eq!(store.max_age, Duration::from_secs(43_200));
        assert!(store.chosen && store.max_bytes == 2 << 20);
        let none = read("url = \"none\"").unwrap();
        assert!(none.chosen && !none.keeps());
    }

    #[test]
    fn a_database_is_shown_without_its_password() {
        let url = "postgresql://me:${PG_PASSWORD}@db.example:6432/strait?sslmode=verify-full&application_name=a";
        let database = database_of(url);
        assert!(database.tls);
        assert_eq!(database.shown, "postgres://db.example:6432/strait");
        let plain = "postgres://me:s3cret@db.example:6432/strait?application_name=a";
        assert_eq!(database.url.expose(), plain);
        assert!(!format!("{database:?}").contains("s3cret"));
        let said = read("url = \"mysql://me:${PG_PASSWORD}@h/\"").unwrap_err();
        assert!(!said.contains("s3cret"), "{said}");
    }

    #[test]
    fn beyond_this_machine_the_mode_is_said() {
        for url in [
            "postgres://localhost/x",
            "postgres://u@127.0.0.1:5433/x",
            "postgres://u@[::1]:5433/x",
            "postgres:///x?host=/run/postgresql",
            "postgres://u@%2Frun%2Fpostgresql/x",
            "postgres://db.example/x?sslmode=disable",
        ] {
            assert!(!database_of(url).tls, "{url}");
        }
        for url in [
            "postgres://db.example/x",
            "postgres://u:localhost@db.example/x",
            "postgres://localhost,db.example/x",
            "postgres://localhost/x?host=db.example",
        ] {
            let said = read(&format!("url = {url:?}")).unwrap_err();
            assert!(
                said.contains("in the clear") && said.contains("Mend"),
                "{said}"
            );
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            ("url = \"x\"", "strait.toml:2: store.url: is no database"),
            ("url = \"sqlite:\"", "names no file"),
            ("url = \"${NOPE}\"", "NOPE is not set"),
            ("url = \"postgres://h/x?sslmode=prefer\"", "has an sslmode"),
            ("max_age_days = 0.0", "store.max_age_days: is out of range"),
            ("max_size_mib = -1.0", "store.max_size_mib: is out of range"),
            ("max_age = 1.0", "unknown field"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }
}
