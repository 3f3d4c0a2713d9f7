//! Client keys that stand in no file: those of the store, as they were last read. Shared by every
//! snapshot of a process, so that one that is revoked stops working at once, everywhere.

use super::keys::{ClientKey, Digest, KeyFrom, Refused};
use super::load::hex32;
use super::{Models, Snapshot};
use crate::ledger::keys::StoredKey;
use std::sync::{Arc, RwLock, RwLockReadGuard};

/// The keys of the store.
#[derive(Debug, Default)]
pub struct Keyring(RwLock<Seen>);

#[derive(Debug, Default)]
struct Seen {
    sight: Sight,
    keys: Vec<Arc<ClientKey>>,
}

/// What is known of the store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Sight {
    /// It holds no keys, and never did.
    #[default]
    None,
    /// It holds keys, or did.
    Some,
    /// It was not reached yet, and may hold some.
    Unknown,
}

impl Keyring {
    /// The store was read. Keys keep what they have had of their limits.
    pub fn replace(&self, stored: &[StoredKey]) {
        let before = self.all();
        let known = |name: &str| before.iter().find(|key| key.name == name);
        let keys = stored.iter().filter(|key| key.revoked_s.is_none());
        let keys = keys.map(|stored| {
            let mut key = ClientKey::of(stored);
            if let Some(before) = known(&key.name) {
                key.meter = before.meter.clone();
            }
            Arc::new(key)
        });
        let seen = Seen {
            sight: match stored.is_empty() {
                true => Sight::None,
                false => Sight::Some,
            },
            keys: keys.collect(),
        };
        *self.0.write().unwrap_or_else(|broken| broken.into_inner()) = seen;
    }

    /// The store cannot be read. What was read before still holds.
    pub fn out_of_sight(&self, at_start: bool) {
        if at_start {
            let mut seen = self.0.write().unwrap_or_else(|broken| broken.into_inner());
            seen.sight = Sight::Unknown;
        }
    }

    /// Those there are, but for revoked ones.
    pub fn all(&self) -> Vec<Arc<ClientKey>> {
        self.read().keys.clone()
    }

    /// Whether nobody needs a key for it.
    pub(super) fn is_open(&self) -> bool {
        self.read().sight == Sight::None
    }

    pub(super) fn find(&self, digest: &[u8; 32], unix_s: u64) -> Result<Arc<ClientKey>, Refused> {
        let seen = self.read();
        match ClientKey::find(&seen.keys, digest, unix_s) {
            Err(Refused::Unknown) if seen.sight == Sight::Unknown => Err(Refused::Unsure),
            found => found.cloned(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.0.read().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl ClientKey {
    /// A key of the store.
    fn of(stored: &StoredKey) -> ClientKey {
        let last = stored.expires_s.unwrap_or(u64::MAX);
        let secrets = stored.secrets.iter().filter_map(|secret| {
            Some(Digest {
                sha256: hex32(&secret.sha256)?,
                expires_s: secret.expires_s.unwrap_or(u64::MAX).min(last),
            })
        });
        ClientKey {
            name: stored.name.clone(),
            from: KeyFrom::Store,
            admin: stored.admin,
            secrets: secrets.collect(),
            models: Models::new(stored.models.clone()).unwrap_or_else(|_| Models::none()),
            limits: stored.limits,
            meter: Arc::default(),
        }
    }
}

impl Snapshot {
    /// Takes over the keys of the store, and what each key has had of its limits.
    pub(super) fn inherit_keys(&mut self, before: &Snapshot) {
        self.keyring = before.keyring.clone();
        for key in &mut self.keys {
            let known = before.keys.iter().find(|known| known.name == key.name);
            if let (Some(known), Some(key)) = (known, Arc::get_mut(key)) {
                key.meter = known.meter.clone();
            }
        }
    }

    /// Every key there is, those of the store included.
    pub fn all_keys(&self) -> Vec<Arc<ClientKey>> {
        let mut keys = self.keys.clone();
        keys.extend(self.keyring.all());
        keys
    }
}
