//! The part of an exchange that shows a login: what is asked of the shell, and what follows when
//! the provider refuses what was shown.

use crate::auth::chatgpt::Credential;
use crate::auth::secret::Secret;
use crate::config::{Login, Target};
use crate::error::{Error, Kind, Source};
use std::sync::Arc;

/// What the shell is to get.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The login.
    pub login: Arc<Login>,
    /// The access token that the provider refused although it seemed fresh.
    pub refused: Option<Secret>,
}

/// How the next target is begun.
pub(super) enum Next {
    /// With a credential, which is to be got first.
    Ask(Ask),
    /// At once.
    Go(Target),
}

/// The login of the target that is being tried, and how far it has come. Most have none, and
/// then nothing is held.
#[derive(Default)]
pub(super) struct Showing(Option<Box<Shown>>);

struct Shown {
    target: Target,
    login: Arc<Login>,
    credential: Option<Credential>,
    asked_again: bool,
}

impl Showing {
    /// Begins with another target.
    pub fn begin(&mut self, target: Target) -> Next {
        self.0 = None;
        let Some(login) = target.provider.login.clone() else {
            return Next::Go(target);
        };
        self.0 = Some(Box::new(Shown {
            target,
            login: login.clone(),
            credential: None,
            asked_again: false,
        }));
        let refused = None;
        Next::Ask(Ask { login, refused })
    }

    /// Whom the credential is for.
    pub fn target(&self) -> Option<Target> {
        self.0.as_ref().map(|shown| shown.target.clone())
    }

    /// The provider is shown `credential`.
    pub fn shown(&mut self, credential: Credential) {
        if let Some(shown) = &mut self.0 {
            shown.credential = Some(credential);
        }
    }

    /// Whether the request may have to be made again with another credential.
    pub fn may_ask_again(&self) -> bool {
        self.0.as_ref().is_some_and(|shown| !shown.asked_again)
    }

    /// The attempt failed with `error` and HTTP status `status`. A token that was refused is
    /// asked for anew, once; else the error, with what helps.
    pub fn refused(&mut self, status: u16, error: Error) -> Result<Ask, Error> {
        let Some(shown) = &mut self.0 else {
            return Err(error);
        };
        if error.kind != Kind::ProviderAuth || status != 401 {
            return Err(error);
        }
        match shown.credential.take() {
            Some(credential) if !shown.asked_again => {
                shown.asked_again = true;
                let refused = Some(credential.access_token);
                let login = shown.login.clone();
                Ok(Ask { login, refused })
            }
            _ => {
                let said = error.message.trim_end_matches('.');
                let message = format!("{said}. Run `codex login`, then try again.");
                Err(Error { message, ..error })
            }
        }
    }
}

/// There was no credential in time.
pub(super) fn late() -> Error {
    let message = "The login was not refreshed in time.";
    Error::new(Source::Gateway, Kind::UpstreamTimeout, message)
}
