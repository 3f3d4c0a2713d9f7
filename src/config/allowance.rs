//! What a client key may: which models, how often, how much.

use super::load::{ConfigError, Loader};
use crate::ledger::meter::{Budget, Limits};
use crate::ledger::window::Per;
use serde::Deserialize;
use toml::Spanned;

/// `budget` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetDraft {
    usd: f64,
    per: Per,
}

/// Names of models, as clients ask for them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Models(Vec<String>);

/// Why a limit is none.
type Mistake = (&'static str, &'static str);

impl Models {
    /// Those of these patterns: a name, or its beginning and a `*`. None at all: every model.
    pub fn new(patterns: Vec<String>) -> Result<Models, Mistake> {
        let legal = |pattern: &String| {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            !pattern.is_empty() && !name.contains('*')
        };
        match patterns.iter().all(legal) {
            true => Ok(Models(patterns)),
            false => {
                let mend = "a name, or its beginning and a \"*\", like \"deepseek/*\".";
                Err(("a pattern is empty, or has a \"*\" inside.", mend))
            }
        }
    }

    /// No model at all.
    pub(super) fn none() -> Models {
        // No client asks for this.
        Models(vec![String::new()])
    }

    /// Whether `model` is one of them.
    pub fn has(&self, model: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(begin) => model.starts_with(begin),
            None => model == pattern,
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }

    /// As they are written; empty: every model.
    pub fn patterns(&self) -> &[String] {
        &self.0
    }
}

/// A budget of so many dollars.
pub fn budget(usd: f64, per: Per) -> Result<Budget, Mistake> {
    match usd > 0.0 && usd <= 1e9 {
        true => Ok(Budget {
            // `as` saturates; a billionth is the least there is.
            nanos: ((usd * 1e9).round() as u64).max(1),
            per,
        }),
        false => Err(("is out of range.", "usd above 0, at most 1e9.")),
    }
}

impl Loader<'_> {
    pub(super) fn allowed_models(
        &self,
        path: &str,
        patterns: &Option<Spanned<Vec<String>>>,
    ) -> Result<Models, ConfigError> {
        let Some(patterns) = patterns else {
            return Ok(Models::default());
        };
        let (at, path) = (patterns.span().start, format!("{path}.models"));
        if patterns.get_ref().is_empty() {
            let mend = "name one, or leave it out for all.";
            return Err(self.error(at, &path, "allows no model.", mend));
        }
        Models::new(patterns.get_ref().clone())
            .map_err(|(what, mend)| self.error(at, &path, what, mend))
    }

    pub(super) fn limits(
        &self,
        path: &str,
        counts: [(&str, &Option<Spanned<u64>>); 3],
        money: &Option<Spanned<BudgetDraft>>,
    ) -> Result<Limits, ConfigError> {
        for (name, count) in counts {
            if let Some(count) = count.as_ref().filter(|count| *count.get_ref() == 0) {
                let (at, path) = (count.span().start, format!("{path}.{name}"));
                let mend = "a number above 0, or leave it out for no limit.";
                return Err(self.error(at, &path, "allows nothing.", mend));
            }
        }
        let [requests, tokens, streams] = counts.map(|(_, count)| count.as_ref());
        let budget = match money {
            None => None,
            Some(money) => {
                let (at, path) = (money.span().start, format!("{path}.budget"));
                let money = money.get_ref();
                let budget = budget(money.usd, money.per);
                Some(budget.map_err(|(what, mend)| self.error(at, &path, what, mend))?)
            }
        };
        let number = |count: Option<&Spanned<u64>>| count.map(|count| *count.get_ref());
        Ok(Limits {
            requests_per_minute: number(requests),
            tokens_per_minute: number(tokens),
            streams: number(streams),
            budget,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::config::ClientKey;
    use std::sync::Arc;

    fn read(text: &str) -> Result<Arc<ClientKey>, String> {
        let text = format!("[[keys]]\nname = \"a\"\nkey = \"k\"\n{text}");
        let snapshot = parse("f", &text, &|_| None);
        snapshot
            .map(|s| s.keys[0].clone())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_written_holds() {
        let key = read(
            "models = [\"fast\", \"deepseek/*\"]\nrequests_per_minute = 60\n\
             tokens_per_minute = 2000000\nstreams = 8\nbudget = { usd = 20.5, per = \"month\" }",
        )
        .unwrap();
        assert_eq!(
            key.limits,
            Limits {
                requests_per_minute: Some(60),
                tokens_per_minute: Some(2_000_000),
                streams: Some(8),
                budget: Some(Budget {
                    nanos: 20_500_000_000,
                    per: Per::Month
                }),
            }
        );
        for (model, allowed) in [
            ("fast", true),
            ("faster", false),
            ("deepseek/v4", true),
            ("deepseek", false),
            ("zhipu/deepseek/x", false),
        ] {
            assert_eq!(key.models.has(model), allowed, "{model}");
        }
        let free = read("").unwrap();
        assert!(free.limits.is_none() && free.models.has("anything"));
    }

    #[test]
    fn what_allows_nothing_is_a_mistake() {
        for (text, expected) in [
            ("streams = 0", "f:4: keys[0].streams: allows nothing"),
            ("requests_per_minute = 0", "requests_per_minute: allows"),
            ("tokens_per_minute = 0", "tokens_per_minute: allows"),
            ("tokens_per_minute = -1", "f:4"),
            ("models = []", "keys[0].models: allows no model"),
            ("models = [\"a*b\"]", "has a \"*\" inside"),
            ("models = [\"\"]", "is empty"),
            (
                "budget = { usd = 0.0, per = \"day\" }",
                "keys[0].budget: is out of range",
            ),
            ("budget = { usd = 1.0, per = \"hour\" }", "unknown variant"),
            ("budget = { usd = 1.0 }", "missing field"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(expected) && said.contains("Mend: "), "{said}");
        }
    }
}
