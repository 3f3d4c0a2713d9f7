//! What the store and the audit have in common: a file or a database that is opened when it is
//! needed, and the ways in which it may be in trouble.

pub(super) mod packed;
pub(super) mod place;
pub(super) mod postgres;
pub(super) mod sqlite;

use std::time::Duration;

/// What is in a database.
pub(super) struct Schema {
    /// `application_id` of its files.
    pub(super) application: u32,
    /// The table that holds the version, in PostgreSQL.
    pub(super) table: &'static str,
    /// The version that this program writes. A newer one is refused, an older one is brought up.
    pub(super) version: u32,
}

/// Why a question was not answered; a phrase for the operator.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database is not there: no question will be answered.
    Away(String),
    /// Something in the questions was refused; the others may do better without it.
    Refused(String),
}

impl Trouble {
    /// The same of the database at `place`.
    fn at(self, place: impl std::fmt::Display) -> Trouble {
        match self {
            Trouble::Away(why) => Trouble::Away(format!("{place}: {why}")),
            Trouble::Refused(why) => Trouble::Refused(format!("{place}: {why}")),
        }
    }
}

/// As databases count.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// As databases count: what is larger than any of their numbers is the largest.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
