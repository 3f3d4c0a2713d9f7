//! `strait profiles`: what is known of each provider's dialect.

use crate::provider::profile::Auth;
use crate::provider::{Profile, builtin};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Lists the built-in profiles, or prints one in full.
pub fn run(name: Option<&str>) -> ExitCode {
    let own = BTreeMap::new();
    if let Some(name) = name {
        let text = builtin::table(name, &own).map(|table| toml::to_string_pretty(&table));
        let Ok(Ok(text)) = text else {
            let known: Vec<&str> = builtin::tables().keys().copied().collect();
            eprintln!(
                "strait profiles: there is no profile {name:?}. Mend: one of {}.",
                known.join(", ")
            );
            return ExitCode::from(super::USAGE);
        };
        say!("# Override any of it under [providers.NAME.override] in strait.toml.");
        say!("{}", text.trim_end());
        return ExitCode::SUCCESS;
    }
    for name in builtin::tables().keys() {
        let profile = builtin::table(name, &own).map(|table| Profile::from_table(name, table));
        let Ok(Ok(profile)) = profile else { continue };
        let wire = format!("{:?}", profile.wire).to_lowercase();
        let variables = match profile.auth {
            Auth::Chatgpt => "the login of `codex login`".to_owned(),
            Auth::Key => profile.key_env.join(" or "),
        };
        let address = match profile.base_url.as_str() {
            "" => profile.base_url_env.join(" or "),
            url => url.to_owned(),
        };
        say!("{name:<18} {wire:<10} {address:<58} {variables}");
    }
    ExitCode::SUCCESS
}
