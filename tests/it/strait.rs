//! The built binary, started and stopped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A running `strait serve`.
pub struct Strait {
    pub address: SocketAddr,
    pub banner: String,
    pub child: Child,
    /// Where its configuration and its state are.
    pub dir: PathBuf,
    log: Mutex<Receiver<String>>,
}

/// A fresh directory under Cargo's own for this test run.
pub fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{}-{n}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// What is kept by default, and the control socket, are there and not with whoever runs the tests.
pub fn at_home(command: &mut Command, dir: &Path) {
    command
        .env("XDG_STATE_HOME", dir)
        .env("XDG_RUNTIME_DIR", dir)
        .env_remove("STATE_DIRECTORY")
        .env_remove("RUNTIME_DIRECTORY")
        .env_remove("NOTIFY_SOCKET");
}

impl Strait {
    /// Starts Strait with one provider of the given profile; every model name goes to it.
    pub fn start(profile: &str, url: &str, driver: &str) -> Strait {
        Self::with(profile, url, driver, "[models]\n\"*\" = \"mock/*\"\n")
    }

    /// Starts Strait with further top-level keys.
    pub fn start_with_top(top: &str, url: &str, driver: &str) -> Strait {
        Self::start_in(&[], top, url, driver, "[models]\n\"*\" = \"mock/*\"\n")
    }

    /// The same with variables in its environment, and `more` behind its provider.
    pub fn start_in(
        variables: &[(&str, &str)],
        top: &str,
        url: &str,
        driver: &str,
        more: &str,
    ) -> Strait {
        Self::run(variables, top, "openai-compatible", url, driver, more)
    }

    pub fn with(profile: &str, url: &str, driver: &str, more: &str) -> Strait {
        Self::run(&[], "", profile, url, driver, more)
    }

    fn run(
        variables: &[(&str, &str)],
        top: &str,
        profile: &str,
        url: &str,
        driver: &str,
        more: &str,
    ) -> Strait {
        // What a failure comes to is seen at the first, but where trying again is the subject.
        let retry = match more.contains("[retry]") {
            true => "",
            false => "[retry]\nattempts = 1\n",
        };
        let text = format!(
            "{top}listen = [\"127.0.0.1:0\"]\nworkers = 1\n{retry}[providers.mock]\nprofile = \"{profile}\"\nbase_url = \"{url}\"\napi_key = \"sk-test-provider-key\"\n{more}"
        );
        Self::launch(&text, driver, variables)
    }

    /// Starts Strait with this configuration and these variables of the environment.
    pub fn launch(text: &str, driver: &str, vars: &[(&str, &str)]) -> Strait {
        Self::serve(scratch("strait"), text, |command| {
            command
                .args(["--driver", driver])
                .envs(vars.iter().copied());
        })
    }

    /// Starts `strait serve` with a configuration in `dir`, where its state goes, too.
    pub fn serve(dir: PathBuf, config: &str, more: impl FnOnce(&mut Command)) -> Strait {
        std::fs::write(dir.join("strait.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
        command.arg("serve");
        Self::serve_by(dir, command, more)
    }

    /// The same with another command that serves.
    pub fn serve_by(dir: PathBuf, mut command: Command, more: impl FnOnce(&mut Command)) -> Strait {
        command
            .args(["--config".as_ref(), dir.join("strait.toml").as_os_str()])
            .stdin(Stdio::null());
        at_home(&mut command, &dir);
        more(&mut command);
        Self::spawn(dir, &mut command)
    }

    /// Starts `strait serve` with a master key (`change-me`) and these variables, and no file.
    pub fn by_environment(variables: &[(&str, &str)]) -> Strait {
        let dir = scratch("environment");
        let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
        command
            .arg("serve")
            .current_dir(&dir)
            .env_clear()
            .env("XDG_STATE_HOME", &dir)
            .env("STRAIT_LISTEN", "127.0.0.1:0")
            .env("STRAIT_MASTER_KEY", "change-me")
            .envs(variables.iter().copied());
        Self::spawn(dir, &mut command)
    }

    /// Starts `strait serve` as the command has it, and waits until it serves.
    pub fn spawn(dir: PathBuf, command: &mut Command) -> Strait {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = channel();
        let mut banner = String::new();
        while !banner.contains("listening on") {
            let _ = lines.send(std::mem::take(&mut banner));
            let count = stderr.read_line(&mut banner).unwrap();
            assert!(
                count > 0,
                "no address, but {:?}",
                log.try_iter().collect::<Vec<_>>()
            );
        }
        let address = banner.split("://").nth(1).map(|rest| {
            let address = rest.split([' ', ',', '\n']).next().unwrap();
            address.parse().unwrap()
        });
        std::thread::spawn(move || {
            let shown = std::env::var_os("STRAIT_TEST_LOG").is_some();
            for line in stderr.lines().map_while(Result::ok) {
                assert!(!line.contains("sk-test-provider-key"), "a key was logged");
                if shown {
                    eprintln!("{line}");
                }
                let _ = lines.send(line);
            }
        });
        Strait {
            // Of one that has no port it is never used.
            address: address.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
            banner,
            child,
            dir,
            log: Mutex::new(log),
        }
    }

    /// The next line of the log with `text` in it.
    pub fn says(&self, text: &str) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        let log = self.log.lock().unwrap();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match log.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line.trim_end().to_owned(),
                Ok(_) => {}
                Err(_) => panic!("the log does not say {text:?}"),
            }
        }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        let scheme = match self.banner.contains("https://") {
            true => "https",
            false => "http",
        };
        format!("{scheme}://{}", self.address)
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Strait {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
