//! The profiles that are compiled in.

use super::profile::Profile;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use toml::Table;

const FILES: &[(&str, &str)] = &[
    ("deepseek", include_str!("profiles/deepseek.toml")),
    ("openai", include_str!("profiles/openai.toml")),
    (
        "openai-compatible",
        include_str!("profiles/openai-compatible.toml"),
    ),
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

/// Lays `over` on `base`: tables are merged, everything else is replaced.
pub fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

impl Profile {
    /// Reads a profile file.
    pub fn parse(name: &str, text: &str) -> Result<Profile, toml::de::Error> {
        Profile::from_table(name, text.parse()?)
    }

    /// Reads a profile from a table.
    pub fn from_table(name: &str, table: Table) -> Result<Profile, toml::de::Error> {
        let mut profile: Profile = table.try_into()?;
        profile.name = name.to_owned();
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_legal() {
        for (name, table) in tables() {
            let profile = Profile::from_table(name, table.clone()).unwrap();
            assert!(!profile.key_env.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_model_overrides_its_provider() {
        let profile = Profile::from_table("deepseek", tables()["deepseek"].clone()).unwrap();
        assert_eq!(profile.for_model("deepseek-v4-pro").efforts["low"], "high");
        assert_eq!(profile.for_model("deepseek-v4-flash").efforts["low"], "low");
        assert!(profile.for_model("deepseek-flash").images_user);
        assert!(!profile.for_model("unheard-of").images_user);
    }
}
