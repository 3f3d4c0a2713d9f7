//! The body that is being written, with what the profile says about its members.

use crate::json::write;
use crate::provider::Profile;
use crate::translate::diagnostic::Diagnostic;

/// A Responses request under construction.
pub(super) struct Body<'a> {
    pub out: Vec<u8>,
    pub profile: &'a Profile,
    diagnostics: Vec<Diagnostic>,
    /// Members that the profile has a default for, and that were written.
    given: Vec<&'a str>,
}

impl<'a> Body<'a> {
    pub fn new(profile: &'a Profile, capacity: usize) -> Self {
        Body {
            out: Vec::with_capacity(capacity),
            profile,
            diagnostics: Vec::new(),
            given: Vec::new(),
        }
    }

    /// Says that something is not as the client asked for it.
    pub fn note(
        &mut self,
        code: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic {
            code,
            path: path.into(),
            message: message.into(),
        });
    }

    /// Whether the provider takes the member `name`; members of members are named with a dot.
    pub fn takes(&self, name: &str) -> bool {
        !self.profile.drop_fields.iter().any(|f| f == name)
    }

    /// Like [`Body::takes`]; where it does not, the client is told about its own field `path`.
    pub fn takes_or_note(&mut self, name: &str, path: &str) -> bool {
        let takes = self.takes(name);
        if !takes {
            self.note("field.dropped", path, "The provider refuses this field.");
        }
        takes
    }

    /// Starts the member `name`, for the client's `path`, unless the profile forbids or sets it.
    pub fn open(&mut self, name: &str, path: &str) -> bool {
        if self.profile.extra_body.contains_key(name) || !self.takes_or_note(name, path) {
            return false;
        }
        self.key(name);
        true
    }

    /// Appends a member whose value is JSON already.
    pub fn raw(&mut self, name: &str, path: &str, json: &[u8]) {
        if self.open(name, path) {
            self.out.extend_from_slice(json);
        }
    }

    /// Appends a member that the client did not ask for, unless the profile forbids or sets it.
    pub fn own(&mut self, name: &str, json: &[u8]) {
        if !self.profile.extra_body.contains_key(name) && self.takes(name) {
            self.key(name);
            self.out.extend_from_slice(json);
        }
    }

    fn key(&mut self, name: &str) {
        if let Some((name, _)) = self.profile.default_body.get_key_value(name) {
            self.given.push(name);
        }
        self.out.push(b',');
        write::string(&mut self.out, name);
        self.out.push(b':');
    }

    /// Appends a member that the profile sets.
    pub fn set(&mut self, name: &str, value: &toml::Value) {
        self.key(name);
        // A profile holds nothing that JSON cannot say; its floats may be infinite, which
        // become `null`.
        match serde_json::to_writer(&mut self.out, value) {
            Ok(()) => {}
            Err(_) => self.out.extend_from_slice(b"null"),
        }
    }

    /// Appends what the profile wants where nobody gave it.
    pub fn defaults(&mut self) {
        let profile = self.profile;
        for (name, value) in &profile.default_body {
            let given = self.given.contains(&name.as_str());
            if !given && !profile.extra_body.contains_key(name) {
                self.set(name, value);
            }
        }
    }

    /// The whole body, and what was not as asked for.
    pub fn finish(mut self) -> (Vec<u8>, Vec<Diagnostic>) {
        self.out.push(b'}');
        (self.out, self.diagnostics)
    }
}
