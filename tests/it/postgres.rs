//! A PostgreSQL server of our own, for as long as a test runs.

use crate::strait::scratch;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Whom the server runs as where the tests run as root, which it refuses: nobody.
const NOBODY: u32 = 65_534;

pub struct Postgres {
    dir: PathBuf,
    port: u16,
    server: Child,
}

/// Where `initdb` is: in the path, or where Debian puts it.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let mut dirs = std::env::split_paths(&path).chain(debian);
    dirs.find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
}

fn command(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env("LC_ALL", "C");
    // SAFETY: geteuid(2) touches no memory and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

impl Postgres {
    /// A server with nothing in it; `None` where PostgreSQL is not installed.
    pub fn start() -> Option<Postgres> {
        let programs = programs()?;
        // Not under Cargo's directory: whom the server runs as may not get that far.
        let name = scratch("postgres");
        let dir = std::env::temp_dir().join(name.file_name()?);
        std::fs::create_dir(&dir).unwrap();
        // SAFETY: as above.
        if unsafe { libc::geteuid() } == 0 {
            chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut initdb = command(&programs.join("initdb"), &dir);
        initdb.args([
            "--no-sync",
            "-A",
            "trust",
            "-U",
            "strait",
            "-E",
            "UTF8",
            "-D",
        ]);
        let output = initdb.arg(dir.join("db")).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = command(&programs.join("postgres"), &dir);
        server.arg("-D").arg(dir.join("db"));
        for setting in [
            format!("unix_socket_directories={}", dir.display()),
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "fsync=off".to_owned(),
            "shared_buffers=8MB".to_owned(),
        ] {
            server.args(["-c", &setting]);
        }
        let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            assert_ne!(log.read_line(&mut said).unwrap(), 0, "{said}");
        }
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Some(Postgres { dir, port, server })
    }

    /// Where it is, as `strait.toml` says it.
    pub fn url(&self) -> String {
        format!("postgres://strait@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pid = self.server.id().to_string();
        let _ = Command::new("kill").args(["-s", "INT", &pid]).status();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
