//! What is looked at before Strait serves: whether the place of the store can be used. The
//! database itself is opened with the first question, so that who keeps nothing pays nothing.

use crate::config::{Place, Store};
use crate::server::ServerError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The version of the schema that this program writes. A newer one is refused, an older one is
/// brought up.
pub(super) const SCHEMA: u32 = 1;
/// `application_id` of our files: "Strt".
pub(super) const APPLICATION: u32 = 0x5374_7274;

/// Makes the directory and the file of an SQLite store. One that nobody chose, and that cannot be
/// made, is done without, which is said once on standard error.
pub fn settle(store: &mut Store) -> Result<(), ServerError> {
    let path = match &store.place {
        Place::Sqlite(path) => path,
        Place::Nowhere if !store.chosen => {
            eprintln!("strait: no store of responses: neither STATE_DIRECTORY nor HOME is set.");
            return Ok(());
        }
        _ => return Ok(()),
    };
    match prepare(path) {
        Ok(()) => Ok(()),
        Err(why) if store.chosen => Err(ServerError::Store(format!("{}: {why}", store.place))),
        Err(why) => {
            eprintln!(
                "strait: no store of responses: {}: {why}. Set [store] url in strait.toml, or \
                 url = \"none\".",
                store.place
            );
            store.place = Place::Nowhere;
            Ok(())
        }
    }
}

/// Makes the directory and the file, and looks at what is there; an error is a phrase.
pub(super) fn prepare(path: &Path) -> Result<(), String> {
    let system = |e: io::Error| e.to_string();
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(system)?;
    // The log and the index of the log stand beside the file. A file without a name shows whether
    // they can; a file system that knows no such files is given the benefit of the doubt.
    let mut nameless = OpenOptions::new();
    nameless.write(true).mode(0o600);
    nameless.custom_flags(libc::O_TMPFILE);
    if let Err(e) = nameless.open(dir)
        && [Some(libc::EACCES), Some(libc::EROFS)].contains(&e.raw_os_error())
    {
        return Err(format!("its directory cannot be written: {e}"));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    header(options.open(path).map_err(system)?)
}

/// Looks at the head of the file (<https://www.sqlite.org/fileformat2.html>, section 1.3). It may
/// be older than what the log beside it says; that is found out with the first question.
fn header(file: File) -> Result<(), String> {
    let mut head = Vec::new();
    file.take(100)
        .read_to_end(&mut head)
        .map_err(|e| e.to_string())?;
    if head.is_empty() {
        return Ok(());
    }
    if head.len() < 100 || !head.starts_with(b"SQLite format 3\0") {
        return Err("is a file, but no SQLite database".to_owned());
    }
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    versions(number(68), number(60))
}

/// Refuses the database of another program, or of a newer Strait. Both numbers are 0 in a
/// database without tables.
pub(super) fn versions(application: u32, schema: u32) -> Result<(), String> {
    match (application, schema) {
        (0, 0) => Ok(()),
        (APPLICATION, schema) if schema > SCHEMA => Err(newer(schema)),
        (APPLICATION, _) => Ok(()),
        _ => Err("is the database of another program".to_owned()),
    }
}

/// The words for a schema that a newer Strait has made.
pub(super) fn newer(schema: impl std::fmt::Display) -> String {
    format!(
        "its schema has version {schema}, and this Strait knows {SCHEMA}: it was written by a \
         newer one. Run that, or name another place"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("strait-place-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    fn store(path: PathBuf, chosen: bool) -> Store {
        Store {
            place: Place::Sqlite(path),
            chosen,
            ..Store::none()
        }
    }

    #[test]
    fn directory_and_file_are_their_owners_alone() {
        let dir = scratch("modes");
        let path = dir.join("a/b/strait.db");
        settle(&mut store(path.clone(), true)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&dir.join("a"))), (0o600, 0o700));
        settle(&mut store(path, true)).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn only_a_place_that_was_chosen_is_insisted_on() {
        let dir = scratch("file");
        std::fs::write(&dir, "here is a file").unwrap();
        let beneath = dir.join("strait.db");
        let error = settle(&mut store(beneath.clone(), true)).unwrap_err();
        let shown = format!("store sqlite:{}: ", beneath.display());
        assert!(error.to_string().starts_with(&shown), "{error}");
        let mut own = store(beneath, false);
        settle(&mut own).unwrap();
        assert!(!own.keeps());
        let error = settle(&mut store(dir.clone(), true)).unwrap_err();
        assert!(error.to_string().contains("no SQLite database"), "{error}");
        std::fs::remove_file(dir).unwrap();
    }

    #[test]
    fn foreign_and_newer_files_are_refused() {
        let dir = scratch("versions");
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("strait.db");
        for (application, schema, expected) in [
            (APPLICATION, SCHEMA + 1, "written by a newer one"),
            (7, 0, "of another program"),
        ] {
            let mut head = [0; 100];
            head[..16].copy_from_slice(b"SQLite format 3\0");
            head[60..64].copy_from_slice(&u32::to_be_bytes(schema));
            head[68..72].copy_from_slice(&u32::to_be_bytes(application));
            std::fs::write(&path, head).unwrap();
            let error = settle(&mut store(path.clone(), true)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
