//! A PostgreSQL server of our own, for as long as a test runs.

use super::*;
use crate::auth::secret::Secret;
use crate::config::Database;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whom the server runs as where the tests run as root, which it refuses: nobody.
const NOBODY: u32 = 65_534;

pub(super) struct Cluster {
    dir: PathBuf,
    programs: PathBuf,
    port: u16,
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

impl Cluster {
    /// A server with nothing in it; `None` where PostgreSQL is not installed.
    pub(super) fn start() -> Option<Cluster> {
        let programs = programs()?;
        let dir = std::env::temp_dir().join(format!("strait-cluster-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        give_away(&dir);
        let mut cluster = Cluster {
            dir,
            programs,
            port: TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
            server: None,
        };
        let mut initdb = cluster.command("initdb");
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
        let output = initdb.arg(cluster.dir.join("db")).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(cluster.ca_file(), issued.cert.pem()).unwrap();
        let key = cluster.dir.join("key.pem");
        fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        give_away(&key);
        cluster.begin();
        Some(cluster)
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
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
    pub(super) fn begin(&mut self) {
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
    pub(super) fn end(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = server.id().to_string();
            let told = Command::new("kill").args(["-s", "INT", &pid]).status();
            assert!(told.unwrap().success());
            server.wait().unwrap();
        }
    }

    /// A database of its own for a test, reached by the Unix socket.
    pub(super) fn world(&self, name: &str) -> PostgresWorld {
        let admin = self.database("postgres", false);
        let mut client = connect(&admin);
        let create = format!("CREATE DATABASE {name}");
        client.batch_execute(&create).unwrap();
        PostgresWorld(self.database(name, false))
    }

    /// By TCP if `tls`.
    pub(super) fn database(&self, name: &str, tls: bool) -> Database {
        let host = match tls {
            true => "localhost".to_owned(),
            false => self.dir.display().to_string().replace('/', "%2F"),
        };
        let url = format!("postgres://strait@{host}:{}/{name}", self.port);
        Database {
            url: Secret::new(url),
            shown: format!("postgres://test/{name}"),
            tls,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn connect(database: &Database) -> ::postgres::Client {
    ::postgres::Client::connect(database.url.expose(), ::postgres::NoTls).unwrap()
}

pub(super) struct PostgresWorld(pub(super) Database);

impl World for PostgresWorld {
    fn backend(&self, terms: Terms) -> Box<dyn Backend> {
        Box::new(Postgres::new(&self.0, None, terms).unwrap())
    }

    fn age_of_tomorrow(&self) {
        let update = "UPDATE strait_schema SET version = version + 1";
        connect(&self.0).batch_execute(update).unwrap();
    }
}
