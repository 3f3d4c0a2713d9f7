//! A PostgreSQL server of our own, for as long as a test runs. The tests of the store's backends
//! use this file, too.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Whom the server runs as where the tests run as root, which it refuses: nobody.
const NOBODY: u32 = 65_534;

pub struct Cluster {
    /// Also of its Unix socket.
    pub dir: PathBuf,
    pub port: u16,
    programs: PathBuf,
    server: Option<Child>,
}

/// Where `initdb` is: in the path, or where Debian puts it.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let mut dirs = std::env::split_paths(&path).chain(debian);
    dirs.find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
}

fn is_root() -> bool {
    // SAFETY: geteuid(2) touches no memory and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn give_away(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Not under Cargo's directory: whom the server runs as may not get that far.
fn fresh_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("strait-cluster-{}-{n}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    give_away(&dir);
    dir
}

impl Cluster {
    /// A server with nothing in it, which speaks TLS to who wants it; `None` where PostgreSQL is
    /// not installed.
    pub fn start() -> Option<Cluster> {
        let programs = programs()?;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut cluster = Cluster {
            dir: fresh_dir(),
            port: free.local_addr().unwrap().port(),
            programs,
            server: None,
        };
        drop(free);
        let mut initdb = cluster.command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=strait"]);
        initdb.args(["--encoding=UTF8", "-D"]);
        let output = initdb.arg(cluster.dir.join("db")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(cluster.ca_file(), issued.cert.pem()).unwrap();
        let key = cluster.dir.join("key.pem");
        fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        give_away(&key);
        cluster.begin();
        Some(cluster)
    }

    /// Its certificate, which is its own authority.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Where its database `name` is; `host` is a name, or its directory with `/` as `%2F`.
    pub fn url(&self, host: &str, name: &str) -> String {
        format!("postgres://strait@{host}:{}/{name}", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.dir).env("LC_ALL", "C");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts the server, and waits until it takes connections.
    pub fn begin(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.dir.join("db"));
        let settings = [
            format!("unix_socket_directories={}", self.dir.display()),
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "fsync=off".to_owned(),
            "shared_buffers=8MB".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.ca_file().display()),
            format!("ssl_key_file={}", self.dir.join("key.pem").display()),
        ];
        for setting in settings {
            command.args(["-c", &setting]);
        }
        let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            assert_ne!(log.read_line(&mut said).unwrap(), 0, "{said}");
        }
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        self.server = Some(server);
    }

    /// Stops the server at once, connections and all.
    pub fn end(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = server.id().to_string();
            let told = Command::new("kill").args(["-s", "INT", &pid]).status();
            assert!(told.unwrap().success());
            server.wait().unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
