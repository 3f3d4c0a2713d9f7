//! Keys of the store, watched by a thread that also tells the store what keys with a budget have
//! spent, and hears what others did who share it.
//!
//! The thread is there if there is something to do: a key has a budget, the configuration names a
//! store, or the store that nobody named holds keys when Strait starts or reloads. Each second it
//! asks the database whether keys have changed, and writes what was spent. So a budget can be
//! overshot by what is under way, and by what all who share it spend in two seconds.

use super::journal::Journal;
use super::store::{Cost, Till};
use crate::config::{ClientKey, Place, Snapshot};
use crate::ledger::meter::Owed;
use crate::limits;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The thread, if there is one.
pub(super) struct Keys {
    journal: Journal,
    running: Option<Running>,
}

struct Running {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

enum Order {
    /// Watch over these.
    Adopt(Arc<Snapshot>),
    /// Tell the store the last, and end.
    Stop,
}

impl Keys {
    /// Looks into the store before anybody is served, and starts the thread if it is needed.
    pub(super) fn start(snapshot: &Arc<Snapshot>, journal: &Journal) -> io::Result<Keys> {
        let mut keys = Keys {
            journal: journal.clone(),
            running: None,
        };
        keys.adopt(snapshot)?;
        Ok(keys)
    }

    /// Watches over these from now on.
    pub(super) fn adopt(&mut self, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        if let Some(running) = &self.running {
            let _ = running.orders.send(Order::Adopt(snapshot.clone()));
            return Ok(());
        }
        if !snapshot.store.keeps() {
            if has_budget(snapshot) {
                let line = "keys: no store: what they spend is forgotten when Strait stops";
                self.journal.info(|| line.to_owned());
            }
            return Ok(());
        }
        let wanted = has_budget(snapshot) || snapshot.store.chosen;
        if !wanted && is_unused(&snapshot.store.place) {
            return Ok(());
        }
        let mut watch = Watch::new(snapshot.clone(), self.journal.clone());
        watch.look();
        if !wanted && watch.till.is_none() && !watch.is_ill() {
            return Ok(());
        }
        let (orders, received) = channel();
        let thread = std::thread::Builder::new()
            .name("strait-keys".to_owned())
            .spawn(move || watch.run(&received))?;
        self.running = Some(Running { orders, thread });
        Ok(())
    }

    /// Tells the store the last, and ends the thread.
    pub(super) fn finish(self) {
        if let Some(running) = self.running {
            let _ = running.orders.send(Order::Stop);
            let _ = running.thread.join();
        }
    }
}

fn has_budget(snapshot: &Snapshot) -> bool {
    let mut keys = snapshot.keys.iter();
    keys.any(|key| key.limits.budget.is_some())
}

/// Whether nothing was ever written to the database, as far as a look at its files says.
fn is_unused(place: &Place) -> bool {
    let Place::Sqlite(path) = place else {
        return false;
    };
    let empty = |path: &Path| std::fs::metadata(path).map_or(true, |file| file.len() == 0);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    empty(path) && empty(Path::new(&log))
}

struct Watch {
    snapshot: Arc<Snapshot>,
    journal: Journal,
    /// Open while there are keys or budgets.
    till: Option<Till>,
    /// That of the keys that were read last; `None`: none were read yet.
    version: Option<u64>,
    /// What was last told to the operator, until the database answers again.
    trouble: Option<String>,
    /// The database is not asked before.
    pause_until: Instant,
}

impl Watch {
    fn new(snapshot: Arc<Snapshot>, journal: Journal) -> Watch {
        Watch {
            snapshot,
            journal,
            till: None,
            version: None,
            trouble: None,
            pause_until: Instant::now(),
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(limits::KEYS_LOOK_EVERY) {
                Ok(Order::Adopt(snapshot)) => self.snapshot = snapshot,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.look();
                    return;
                }
            }
            if Instant::now() >= self.pause_until {
                self.look();
            }
        }
    }

    fn is_ill(&self) -> bool {
        self.trouble.is_some()
    }

    /// Asks the database once.
    fn look(&mut self) {
        match self.work() {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    self.journal
                        .info(|| "keys: the store works again".to_owned());
                }
            }
            Err(why) => {
                self.till = None;
                self.pause_until = Instant::now() + limits::KEYS_RETRY_AFTER;
                self.snapshot.keyring.out_of_sight(self.version.is_none());
                if self.trouble.as_ref() != Some(&why) {
                    let place = &self.snapshot.store.place;
                    self.journal.info(|| format!("keys: {place}: {why}"));
                    self.trouble = Some(why);
                }
            }
        }
    }

    fn work(&mut self) -> Result<(), String> {
        let snapshot = self.snapshot.clone();
        let now_s = now_s();
        let mut till = match self.till.take() {
            Some(till) => till,
            None => Till::open(&snapshot.store, snapshot.ca_file.as_deref(), now_s)?,
        };
        let version = till.version()?;
        if self.version != Some(version) {
            let keys = till.keys()?;
            snapshot.keyring.replace(&keys);
            if version > 0 {
                let count = snapshot.keyring.all().len();
                self.journal.info(|| format!("keys: {count} in the store"));
            }
            self.version = Some(version);
        }
        let metered = pay(&mut till, &snapshot.all_keys(), now_s)?;
        // A connection to a server is dear, an open file that nobody needs is not free.
        let served = matches!(snapshot.store.place, Place::Postgres(_));
        self.till = (served || metered || version > 0).then_some(till);
        Ok(())
    }
}

/// Tells the store what was spent, and the meters what it says; false if no key has a budget.
fn pay(till: &mut Till, keys: &[Arc<ClientKey>], now_s: u64) -> Result<bool, String> {
    let mut paid = Vec::new();
    let mut wanted = Vec::new();
    let mut meters: Vec<(&ClientKey, Owed)> = Vec::new();
    for key in keys {
        let Some(budget) = key.limits.budget else {
            continue;
        };
        let owed = key.meter.owed();
        paid.extend(owed.iter().map(|(window, nanos)| Cost {
            key: key.name.clone(),
            window: *window,
            nanos: *nanos,
        }));
        wanted.push((key.name.clone(), budget.per.window(now_s)));
        meters.push((key, owed));
    }
    if wanted.is_empty() {
        return Ok(false);
    }
    let spent = till.spend(&paid, &wanted)?;
    for (((key, owed), (_, window)), nanos) in meters.into_iter().zip(&wanted).zip(spent) {
        key.meter.stored(&owed, *window, nanos);
    }
    Ok(true)
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
