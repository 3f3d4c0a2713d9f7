//! How the log is written.

use super::load::{ConfigError, Loader};
use serde::Deserialize;
use toml::Spanned;

/// `[log]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogDraft {
    format: Option<Spanned<String>>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// An object per line, for programs.
    Json,
    /// A sentence per line, for people.
    #[default]
    Text,
}

impl Loader<'_> {
    /// What the environment wants (`STRAIT_LOG_FORMAT`), else the file.
    pub(super) fn log_format(&self, draft: &LogDraft) -> Result<LogFormat, ConfigError> {
        let name = "STRAIT_LOG_FORMAT";
        let set = (self.env)(name).filter(|set| !set.is_empty());
        let (at, key, format) = match (&set, &draft.format) {
            (Some(set), _) => (0, name, set.as_str()),
            (None, Some(format)) => (format.span().start, "log.format", &**format.get_ref()),
            (None, None) => return Ok(LogFormat::default()),
        };
        match format {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            other => {
                let what = format!("there is no format {other:?}.");
                Err(self.error(at, key, what, "use \"json\" or \"text\"."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogFormat, parse};

    fn read(text: &str, set: Option<&str>) -> Result<LogFormat, String> {
        let env = |name: &str| match name {
            "DEEPSEEK_API_KEY" => Some("k".to_owned()),
            "STRAIT_LOG_FORMAT" => set.map(str::to_owned),
            _ => None,
        };
        let snapshot = parse("f", text, &env).map_err(|e| e.to_string())?;
        Ok(snapshot.log_format)
    }

    #[test]
    fn the_environment_comes_first() {
        let json = "[log]\nformat = \"json\"";
        assert_eq!(read("", None), Ok(LogFormat::Text));
        assert_eq!(read(json, None), Ok(LogFormat::Json));
        assert_eq!(read(json, Some("text")), Ok(LogFormat::Text));
        let wrong = read("[log]\nformat = \"xml\"", None).unwrap_err();
        assert!(wrong.starts_with("f:2: log.format: "), "{wrong}");
        assert!(read("", Some("xml")).is_err());
    }
}
