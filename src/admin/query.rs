//! Queries and forms: `name=value` pairs, read and written (`application/x-www-form-urlencoded`).

use form_urlencoded::{Serializer, parse};

/// The pairs of a query or a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(text: &str) -> Query {
        Query(parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of that name, without white space around it; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// A path with a query of those pairs that have a value.
    pub(super) fn link(path: &str, pairs: &[(&str, &str)]) -> String {
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
        match query.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{query}"),
        }
    }

    /// The same pairs under a path, one of them changed, or taken away by an empty value.
    pub(super) fn link_with(&self, path: &str, name: &str, value: &str) -> String {
        let mut pairs: Vec<(&str, &str)> = self.0.iter().map(|(n, v)| (&**n, &**v)).collect();
        pairs.retain(|(own, _)| *own != name);
        pairs.push((name, value));
        Query::link(path, &pairs)
    }

    /// Whether any pair has a value.
    pub(super) fn is_set(&self) -> bool {
        self.0.iter().any(|(_, value)| !value.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let link = Query::link("/a", &[("q", "a b&c=\"d\" é"), ("none", ""), ("k", "+%")]);
        let query = Query::of(link.split_once('?').unwrap().1);
        assert_eq!(query.get("q"), "a b&c=\"d\" é");
        assert_eq!((query.get("k"), query.get("none")), ("+%", ""));
        assert_eq!(Query::link("/a", &[("q", "")]), "/a");
        assert_eq!(query.link_with("/a", "q", "x"), "/a?k=%2B%25&q=x");
        assert!(query.is_set() && !Query::of("q=+").is_set());
        assert_eq!(Query::of("q=%ff%").get("q"), "\u{fffd}%");
    }
}
