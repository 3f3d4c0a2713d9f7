//! What is looked at before Strait serves: whether a place can be used. The database itself is
//! opened with the first question, so that who keeps nothing pays nothing.

use super::Schema;
use crate::config::Place;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes the directory and the file of an SQLite database. One that nobody has `chosen`, and that
/// cannot be made, is done without, which is said once on standard error; `what` it is, and the
/// `section` of the configuration. An error is a phrase that names the place.
pub(in crate::server) fn settle(
    place: &mut Place,
    chosen: bool,
    schema: &Schema,
    (what, section): (&str, &str),
) -> Result<(), String> {
    let Place::Sqlite(path) = place else {
        return Ok(());
    };
    match prepare(path, schema) {
        Ok(()) => Ok(()),
        Err(why) if chosen => Err(format!("{place}: {why}")),
        Err(why) => {
            eprintln!(
                "strait: no {what}: {place}: {why}. Set [{section}] url in strait.toml, or url = \
                 \"none\"."
            );
            *place = Place::Nowhere;
            Ok(())
        }
    }
}

/// Makes the directory and the file, and looks at what is there; an error is a phrase.
pub(super) fn prepare(path: &Path, schema: &Schema) -> Result<(), String> {
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
    header(options.open(path).map_err(system)?, schema)
}

/// Looks at the head of the file (<https://www.sqlite.org/fileformat2.html>, section 1.3). It may
/// be older than what the log beside it says; that is found out with the first question.
fn header(file: File, schema: &Schema) -> Result<(), String> {
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
    versions(number(68), number(60), schema)
}

/// Refuses the database of another program, or of a newer Strait. Both numbers are 0 in a
/// database without tables.
pub(super) fn versions(application: u32, version: u32, schema: &Schema) -> Result<(), String> {
    if (application, version) == (0, 0) {
        return Ok(());
    }
    if application != schema.application {
        return Err("is the database of another program, or for something else".to_owned());
    }
    match version > schema.version {
        true => Err(newer(version, schema)),
        false => Ok(()),
    }
}

/// The words for a schema that a newer Strait has made.
pub(super) fn newer(version: impl std::fmt::Display, schema: &Schema) -> String {
    format!(
        "its schema has version {version}, and this Strait knows {}: it was written by a newer \
         one. Run that, or name another place",
        schema.version
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

    const SCHEMA: Schema = Schema {
        application: 77,
        table: "things",
        version: 1,
    };

    /// What became of the place, or why not.
    fn settled(path: &Path, chosen: bool) -> Result<Place, String> {
        let mut place = Place::Sqlite(path.to_owned());
        settle(&mut place, chosen, &SCHEMA, ("things", "thing"))?;
        Ok(place)
    }

    #[test]
    fn directory_and_file_are_their_owners_alone() {
        let dir = scratch("modes");
        let path = dir.join("a/b/strait.db");
        settled(&path, true).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&dir.join("a"))), (0o600, 0o700));
        settled(&path, true).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn only_a_place_that_was_chosen_is_insisted_on() {
        let dir = scratch("file");
        std::fs::write(&dir, "here is a file").unwrap();
        let beneath = dir.join("strait.db");
        let error = settled(&beneath, true).unwrap_err();
        let shown = format!("sqlite:{}: ", beneath.display());
        assert!(error.starts_with(&shown), "{error}");
        assert_eq!(settled(&beneath, false), Ok(Place::Nowhere));
        let error = settled(&dir, true).unwrap_err();
        assert!(error.contains("no SQLite database"), "{error}");
        std::fs::remove_file(dir).unwrap();
    }

    #[test]
    fn foreign_and_newer_files_are_refused() {
        let dir = scratch("versions");
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("strait.db");
        for (application, schema, expected) in [
            (
                SCHEMA.application,
                SCHEMA.version + 1,
                "written by a newer one",
            ),
            (7, 0, "of another program"),
        ] {
            let mut head = [0; 100];
            head[..16].copy_from_slice(b"SQLite format 3\0");
            head[60..64].copy_from_slice(&u32::to_be_bytes(schema));
            head[68..72].copy_from_slice(&u32::to_be_bytes(application));
            std::fs::write(&path, head).unwrap();
            let error = settled(&path, true).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
