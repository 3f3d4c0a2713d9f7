//! The built binary, started and stopped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

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

impl Strait {
    /// Starts Strait with one provider of the given profile; every model name goes to it.
    pub fn start(profile: &str, url: &str, driver: &str) -> Strait {
        Self::with(profile, url, driver, "[models]\n\"*\" = \"mock/*\"\n")
    }

    /// Starts Strait with further top-level keys.
    pub fn start_with_top(top: &str, url: &str, driver: &str) -> Strait {
        Self::run(
            top,
            "openai-compatible",
            url,
            driver,
            "[models]\n\"*\" = \"mock/*\"\n",
        )
    }

    pub fn with(profile: &str, url: &str, driver: &str, more: &str) -> Strait {
        Self::run("", profile, url, driver, more)
    }

    fn run(top: &str, profile: &str, url: &str, driver: &str, more: &str) -> Strait {
        // What a failure comes to is seen at the first, but where trying again is the subject.
        let retry = match more.contains("[retry]") {
            true => "",
            false => "[retry]\nattempts = 1\n",
        };
        let text = format!(
            "{top}listen = [\"127.0.0.1:0\"]\nworkers = 1\n{retry}[providers.mock]\nprofile = \"{profile}\"\nbase_url = \"{url}\"\napi_key = \"sk-test-provider-key\"\n{more}"
        );
        Self::launch(&text, driver, &[])
    }

    /// Starts Strait with this configuration and these variables of the environment.
    pub fn launch(text: &str, driver: &str, vars: &[(&str, &str)]) -> Strait {
        let dir = scratch("strait");
        let config = dir.join("strait.toml");
        std::fs::write(&config, text).unwrap();
        Self::spawn(
            dir.clone(),
            Command::new(env!("CARGO_BIN_EXE_strait"))
                .args(["serve", "--driver", driver, "--config"])
                .arg(&config)
                // What is kept by default is kept here, and not with whoever runs the tests.
                .env("XDG_STATE_HOME", &dir)
                .env_remove("STATE_DIRECTORY")
                .envs(vars.iter().copied()),
        )
    }

    /// Starts `strait serve` as the command has it, and waits until it serves.
    pub fn spawn(dir: PathBuf, command: &mut Command) -> Strait {
        let command = command.stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut banner = String::new();
        stderr.read_line(&mut banner).unwrap();
        let at = banner
            .find("://")
            .unwrap_or_else(|| panic!("no address in {banner:?}"));
        let address = banner[at + 3..]
            .split([' ', ',', '\n'])
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let (lines, log) = channel();
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
            address,
            banner,
            child,
            dir,
            log: Mutex::new(log),
        }
    }

    /// The next line of the log with `text` in it.
    pub fn says(&self, text: &str) -> String {
        loop {
            let line = self
                .log
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(30));
            match line.unwrap_or_else(|_| panic!("the log does not say {text:?}")) {
                line if line.contains(text) => return line,
                _ => {}
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
