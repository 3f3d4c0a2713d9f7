//! The file of a login: read whole, replaced whole, locked beside.

use crate::limits;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Nobody but its owner reads a login.
const MODE: u32 = 0o600;
/// Pause between two tries to get a lock.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// The file's bytes, of which there are not too many.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limits::LOGIN_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limits::LOGIN_FILE_BYTES_MAX {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// A lock that all Straits respect; gone when dropped, or with the process.
pub(super) struct Lock {
    /// The kernel takes the lock back with the last descriptor.
    _file: File,
}

/// Waits for the lock beside `path`, for `limit` at most.
pub(super) fn lock(path: &Path, limit: Duration) -> io::Result<Lock> {
    let path = beside(&fs::canonicalize(path)?, ".lock");
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(MODE).open(path)?;
    let until = Instant::now() + limit;
    loop {
        // SAFETY: flock(2) touches no memory, and `file` owns the open descriptor.
        let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if result == 0 {
            return Ok(Lock { _file: file });
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock if Instant::now() < until => std::thread::sleep(TRY_EVERY),
            io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// A file that takes another's place once it is whole and on the disk. Held under the lock.
pub(super) struct Replacement {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Replacement {
    /// Makes the new file, empty, beside the one at `path`: what a symbolic link there points at.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let temporary = beside(&path, ".strait-new");
        // Left behind by a process that was killed: the lock says that nobody else is at it.
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options
            .create_new(true)
            .write(true)
            .mode(MODE)
            .open(&temporary)?;
        Ok(Replacement {
            file,
            temporary,
            path,
            done: false,
        })
    }

    /// Writes it, and puts it in the other's place in one step.
    pub(super) fn commit(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.done = true;
        // The name is in place for every process now; this makes it survive a power cut, and
        // some file systems cannot.
        if let Some(dir) = self.path.parent()
            && let Ok(dir) = File::open(dir)
        {
            let _ = dir.sync_all();
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory of its own, removed in the end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = std::env::temp_dir().join(format!("strait-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Dir(dir)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_replacement_is_whole_private_and_follows_a_link() {
        let dir = Dir::new("replace");
        let (path, link) = (dir.0.join("auth.json"), dir.0.join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&path, &link).unwrap();
        fs::write(dir.0.join("auth.json.strait-new"), "left behind").unwrap();
        let new = Replacement::begin(&link).unwrap();
        assert_eq!(read(&link).unwrap(), b"old");
        new.commit(b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        let about = fs::symlink_metadata(&path).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, MODE);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        drop(Replacement::begin(&path).unwrap());
        assert_eq!(dir.names(), ["auth.json", "link"]);
    }

    #[test]
    fn a_lock_is_waited_for_and_no_longer_than_stated() {
        let dir = Dir::new("lock");
        let path = dir.0.join("auth.json");
        fs::write(&path, "").unwrap();
        let held = lock(&path, Duration::ZERO).unwrap();
        let late = lock(&path, Duration::from_millis(30)).err().unwrap();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let other = path.clone();
        let waiting = std::thread::spawn(move || lock(&other, Duration::from_secs(30)).is_ok());
        drop(held);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let dir = Dir::new("large");
        let path = dir.0.join("auth.json");
        fs::write(&path, vec![b' '; limits::LOGIN_FILE_BYTES_MAX as usize + 1]).unwrap();
        assert!(read(&path).is_err());
        assert_eq!(
            read(&dir.0.join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
