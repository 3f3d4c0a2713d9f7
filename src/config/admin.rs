//! The operators' pages.

use super::load::{ConfigError, Loader};
use serde::Deserialize;
use toml::Spanned;

/// `[admin]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AdminDraft {
    hosts: Vec<Spanned<String>>,
}

/// The operators' pages.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Admin {
    /// Names, without ports, under which browsers may open them; IP addresses and `localhost`
    /// always may.
    pub hosts: Vec<String>,
}

impl Loader<'_> {
    pub(super) fn admin(&self, draft: &AdminDraft) -> Result<Admin, ConfigError> {
        let mut hosts = Vec::new();
        for host in &draft.hosts {
            let at = host.span().start;
            let name = self.expand(at, "admin.hosts", host.get_ref())?;
            let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            if name.is_empty() || !name.bytes().all(legal) {
                let what = format!("{name:?} is not the name of a host.");
                let mend = "write it like \"strait.example.com\", without scheme and port.";
                return Err(self.error(at, "admin.hosts", what, mend));
            }
            hosts.push(name);
        }
        Ok(Admin { hosts })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn names_of_hosts_are_taken_and_others_refused() {
        let env = |name: &str| (name == "DEEPSEEK_API_KEY").then(|| "k".to_owned());
        let read = |hosts: &str| parse("f", &format!("[admin]\nhosts = {hosts}"), &env);
        assert_eq!(read("[\"a.example\"]").unwrap().admin.hosts, ["a.example"]);
        for wrong in ["https://a.example", "a.example:80", "", "*"] {
            let said = read(&format!("[{wrong:?}]")).unwrap_err().to_string();
            assert!(
                said.contains("f:2: admin.hosts: ") && said.contains("Mend"),
                "{said}"
            );
        }
    }
}
