//! The profiles that are compiled in.

use super::profile::Profile;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use toml::Table;

/// Fewest characters of an id that a provider may want.
const CALL_ID_MIN: usize = 8;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("profiles/", $name, ".toml")))),*]
    };
}

const FILES: &[(&str, &str)] = files![
    "anthropic",
    "azure",
    "cerebras",
    "codex",
    "deepseek",
    "deepseek-responses",
    "fireworks",
    "gemini",
    "groq",
    "kimi",
    "llama.cpp",
    "lmstudio",
    "minimax",
    "mistral",
    "ollama",
    "openai",
    "openai-chat",
    "openai-compatible",
    "openrouter",
    "qwen",
    "sglang",
    "together",
    "vllm",
    "xai",
    "xiaomi",
    "zai",
    "zhipu",
];

/// The built-in profiles as written, by name.
pub fn tables() -> &'static BTreeMap<&'static str, Table> {
    static TABLES: OnceLock<BTreeMap<&'static str, Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let parse = |(name, text): &(&'static str, &str)| {
            (
                *name,
                text.parse().expect("a test parses every built-in profile"),
            )
        };
        FILES.iter().map(parse).collect()
    })
}

/// The built-in profile of that name, or one of `own`, with all that it `extends` laid under it.
/// The error is the name that does not exist, or that extends itself.
pub fn table(name: &str, own: &BTreeMap<String, Table>) -> Result<Table, String> {
    let mut chain: Vec<Table> = Vec::new();
    let mut seen = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        // One's own profile may extend the built-in one of the same name.
        let nth = seen.iter().filter(|s| **s == name).count();
        let candidates = [own.get(&name), tables().get(name.as_str())];
        let Some(found) = candidates.into_iter().flatten().nth(nth) else {
            return Err(name);
        };
        let mut found = found.clone();
        next = match found.remove("extends") {
            Some(toml::Value::String(base)) => Some(base),
            Some(other) => return Err(other.to_string()),
            None => None,
        };
        seen.push(name);
        chain.push(found);
    }
    let mut table = chain.pop().unwrap_or_default();
    for over in chain.iter().rev() {
        merge(&mut table, over);
    }
    Ok(table)
}

/// Lays `over` on `base`: tables are merged, everything else is replaced. An empty table clears.
pub fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) if !over.is_empty() => {
                merge(base, over)
            }
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

/// Sets a member; tables are merged member by member.
pub fn merge_value(into: &mut Table, key: &str, value: &toml::Value) {
    match (into.get_mut(key), value) {
        (Some(toml::Value::Table(old)), toml::Value::Table(new)) => {
            for (key, value) in new {
                merge_value(old, key, value);
            }
        }
        _ => drop(into.insert(key.to_owned(), value.clone())),
    }
}

impl Profile {
    /// Reads a profile file.
    pub fn parse(name: &str, text: &str) -> Result<Profile, toml::de::Error> {
        Profile::from_table(name, text.parse()?)
    }

    /// Ids of calls that are too short run out; headers that are none would break every request.
    fn check(&self) -> Result<(), toml::de::Error> {
        let short = |n: usize| (1..CALL_ID_MIN).contains(&n);
        if short(self.call_id_exact) || short(self.call_id_max) {
            let what = format!("call_id_exact and call_id_max are 0 or at least {CALL_ID_MIN}");
            return Err(serde::de::Error::custom(what));
        }
        let token = |n: &str| n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let text = |v: &str| v.bytes().all(|b| (b' '..=b'~').contains(&b));
        let legal =
            |(name, value): (&String, &String)| !name.is_empty() && token(name) && text(value);
        if !self.headers.iter().all(legal) {
            let what = "headers holds a name or a value that no header may have";
            return Err(serde::de::Error::custom(what));
        }
        Ok(())
    }

    /// Reads a profile from a table, and from it the dialect of each model that differs.
    pub fn from_table(name: &str, table: Table) -> Result<Profile, toml::de::Error> {
        let mut profile: Profile = table.clone().try_into()?;
        profile.name = name.to_owned();
        profile.check()?;
        for (model, about) in &profile.models {
            if about.overrides.is_empty() {
                continue;
            }
            let mut own = table.clone();
            own.remove("models");
            merge(&mut own, &about.overrides);
            let mut variant: Profile = own.try_into()?;
            variant.name = name.to_owned();
            variant.check()?;
            variant.models.insert(model.clone(), about.clone());
            profile.variants.insert(model.clone(), Arc::new(variant));
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::profile::Auth;

    fn builtin(name: &str) -> Profile {
        let own = BTreeMap::new();
        Profile::from_table(name, table(name, &own).unwrap()).unwrap()
    }

    #[test]
    fn every_profile_is_legal() {
        for name in tables().keys() {
            let profile = builtin(name);
            let login = profile.auth == Auth::Chatgpt;
            assert_eq!(profile.key_env.is_empty(), login, "{name}");
            assert_eq!(profile.token_url.is_empty(), !login, "{name}");
            assert!(!profile.base_url_env.is_empty(), "{name}");
            if let Some((low, high)) = profile.temperature {
                assert!(low < high, "{name}");
            }
            let default = &profile.default_model;
            assert!(
                default.is_empty() || profile.named_models().any(|m| m == default),
                "{name}: {default}"
            );
            for (model, about) in &profile.models {
                let dialect = profile.for_model(model);
                for effort in &about.efforts_offered {
                    let off = effort == "none" && !dialect.thinking_off.is_empty();
                    let on = dialect.efforts.is_empty() && !dialect.thinking_on.is_empty();
                    let passes = dialect.wire == crate::provider::profile::Wire::Responses;
                    let silent = effort == "high" && dialect.thinks_by_default;
                    assert!(
                        off || on || passes || silent || dialect.efforts.contains_key(effort),
                        "{name}/{model} offers {effort}, but has no word for it"
                    );
                }
            }
        }
    }

    #[test]
    fn ids_and_headers_that_cannot_work_are_refused() {
        assert!(Profile::parse("p", "call_id_exact = 1").is_err());
        let model = "[models.m.override]\ncall_id_max = 7";
        assert!(Profile::parse("p", model).is_err());
        assert!(Profile::parse("p", "call_id_exact = 9").is_ok());
        assert!(Profile::parse("p", "headers = { x-a = 'b c' }").is_ok());
        for bad in ["{ 'x y' = 'b' }", "{ '' = 'b' }", "{ x = \"b\\r\\ny: z\" }"] {
            assert!(
                Profile::parse("p", &format!("headers = {bad}")).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_model_overrides_its_provider() {
        let profile = builtin("deepseek");
        assert_eq!(profile.for_model("deepseek-v4-pro").efforts["low"], "high");
        assert_eq!(profile.for_model("deepseek-v4-flash").efforts["low"], "low");
        assert!(profile.for_model("deepseek-flash").images_user);
        assert!(!profile.for_model("unheard-of").images_user);
        let zhipu = builtin("zai");
        assert_eq!(zhipu.base_url, "https://api.z.ai/api/paas/v4");
        let unnamed = zhipu.for_model("glm-5.3-highspeed");
        assert!(unnamed.thinking_off.is_empty());
        assert_eq!(unnamed.efforts["none"], "low");
        assert!(!zhipu.for_model("glm-4.7").thinking_off.is_empty());
    }

    #[test]
    fn profiles_extend_others() {
        let own = |text: &str| {
            let tables: BTreeMap<String, Table> = toml::from_str(text).unwrap();
            tables
        };
        let mine = own("[mine]\nextends = 'deepseek'\ntools_max = 9\n[mine.efforts]\nlow = 'x'");
        let table_of = |name: &str, own: &BTreeMap<String, Table>| {
            Profile::from_table(name, table(name, own).unwrap()).unwrap()
        };
        let profile = table_of("mine", &mine);
        assert_eq!(
            (profile.tools_max, profile.efforts["low"].as_str()),
            (9, "x")
        );
        assert_eq!(profile.efforts["max"], "max");
        let same = own("[deepseek]\nextends = 'deepseek'\nthinking_off = {}");
        assert!(table_of("deepseek", &same).thinking_off.is_empty());
        assert_eq!(table("none", &mine).unwrap_err(), "none");
        let circle = own("[a]\nextends = 'b'\n[b]\nextends = 'a'");
        assert_eq!(table("a", &circle).unwrap_err(), "a");
    }
}
