//! Recipes: how a gateway is installed, started and asked.

use crate::answers::Api;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A recipe, as its file says it. In all texts, these are filled in: `{port}` where the gateway
/// is to listen, `{upstream}` the provider's `http://host:port`, `{upstream_address}` its
/// `host:port`, `{upstream_port}` its port, `{dir}` a directory of its own for the run, `{install}` where it is installed, and
/// `{program}` what is started.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The name in tables and on the command line.
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// Where it comes from.
    pub origin: String,
    /// The version the recipe is for.
    pub version: String,
    /// The interface that is asked: chat is forwarded, Responses are translated.
    pub api: Api,
    /// When and where the recipe was tried, or that it was not.
    pub tried: String,
    /// Shell commands that install it.
    #[serde(default)]
    pub install: Vec<String>,
    /// Where the program may be: paths, or names to look for in PATH. The first one counts.
    pub program: Vec<String>,
    /// The command that starts it.
    pub start: Vec<String>,
    /// The command that prints its version.
    #[serde(default)]
    pub version_command: Vec<String>,
    /// Its environment, beside PATH and HOME, which is its own directory.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files to write into its directory.
    #[serde(default, rename = "file")]
    pub files: Vec<File>,
    /// When it is ready.
    #[serde(default)]
    pub ready: Ready,
    /// What to ask.
    #[serde(default)]
    pub request: Request,
    /// It cannot carry more streams than this at once; 0: no limit is known.
    #[serde(default)]
    pub streams_max: usize,
    /// What a reader of the table should know.
    #[serde(default)]
    pub note: String,
}

/// A file of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path below the gateway's directory.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// When a gateway is ready.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ready {
    /// A path that answers, with any status below 500; none: a connection suffices.
    pub path: String,
    /// How long that may take.
    pub seconds: u64,
}

impl Default for Ready {
    fn default() -> Ready {
        Ready {
            path: String::new(),
            seconds: 20,
        }
    }
}

/// What to ask a gateway.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The path; none: the interface's usual one.
    pub path: String,
    /// The model; none: the scripted provider's.
    pub model: String,
    /// Further fields of the head.
    pub headers: BTreeMap<String, String>,
    /// The body; none: the usual one.
    pub body: String,
}

/// The recipes that the program brings along.
const BUILTIN: &[&str] = &[
    include_str!("../recipes/strait.toml"),
    include_str!("../recipes/strait-bare.toml"),
    include_str!("../recipes/nginx.toml"),
    include_str!("../recipes/haproxy.toml"),
    include_str!("../recipes/envoy.toml"),
    include_str!("../recipes/portkey.toml"),
    include_str!("../recipes/codex-relay.toml"),
    include_str!("../recipes/responses-proxy.toml"),
    include_str!("../recipes/ktxd.toml"),
    include_str!("../recipes/llm-rosetta.toml"),
    include_str!("../recipes/litellm.toml"),
    include_str!("../recipes/codex-bridge-python.toml"),
    include_str!("../recipes/codex-proxy.toml"),
    include_str!("../recipes/gomodel.toml"),
    include_str!("../recipes/aurora.toml"),
    include_str!("../recipes/godex.toml"),
    include_str!("../recipes/bifrost.toml"),
];

impl Recipe {
    /// Reads a recipe.
    pub fn parse(text: &str) -> Result<Recipe, String> {
        let recipe: Recipe = toml::from_str(text).map_err(|e| e.to_string())?;
        if recipe.start.is_empty() || recipe.program.is_empty() {
            return Err(format!("{}: no program to start", recipe.name));
        }
        Ok(recipe)
    }

    /// All recipes: those of the program, and those in `dir`, which go before.
    pub fn all(dir: Option<&Path>) -> Result<Vec<Recipe>, String> {
        let mut recipes = Vec::new();
        for text in BUILTIN {
            recipes.push(Recipe::parse(text)?);
        }
        let Some(dir) = dir else {
            return Ok(recipes);
        };
        let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
        files.sort();
        for file in files {
            let wrong = |e: String| format!("{}: {e}", file.display());
            let text = std::fs::read_to_string(&file).map_err(|e| wrong(e.to_string()))?;
            let recipe = Recipe::parse(&text).map_err(wrong)?;
            match recipes.iter_mut().find(|r| r.name == recipe.name) {
                Some(old) => *old = recipe,
                None => recipes.push(recipe),
            }
        }
        Ok(recipes)
    }

    /// The recipes with the given names, joined with commas; `all`: all there are.
    pub fn chosen(names: &str, dir: Option<&Path>) -> Result<Vec<Recipe>, String> {
        let all = Recipe::all(dir)?;
        if names == "all" {
            return Ok(all);
        }
        names
            .split(',')
            .map(|name| {
                let found = all.iter().find(|r| r.name == name);
                found.cloned().ok_or_else(|| {
                    let known: Vec<&str> = all.iter().map(|r| r.name.as_str()).collect();
                    format!("no recipe {name:?}; there are {}", known.join(", "))
                })
            })
            .collect()
    }

    /// The program, if it is there.
    pub fn find_program(&self, install: &Path) -> Option<PathBuf> {
        let install = install.display().to_string();
        self.program.iter().find_map(|place| {
            let place = place.replace("{install}", &install);
            if place.contains('/') {
                return std::fs::canonicalize(place).ok();
            }
            let path = std::env::var_os("PATH")?;
            let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
            std::env::split_paths(&path)
                .chain(system)
                .map(|dir| dir.join(&place))
                .find(|file| file.is_file())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_are_well_formed_and_names_differ() {
        let mut names: Vec<String> = Vec::new();
        for recipe in Recipe::all(None).unwrap() {
            assert!(!recipe.about.is_empty() && !recipe.tried.is_empty());
            assert!(!names.contains(&recipe.name), "{}", recipe.name);
            names.push(recipe.name);
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let files = std::fs::read_dir(&dir).unwrap().count();
        assert_eq!(
            files,
            names.len(),
            "each file is built in, and each name is one file"
        );
    }
}
