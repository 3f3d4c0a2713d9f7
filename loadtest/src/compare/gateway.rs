//! A gateway that a recipe describes: installed, started, asked, stopped.

use crate::control;
use crate::outside;
use crate::poll;
use crate::recipe::Recipe;
use crate::run::Target;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// Installed programs.
    pub cache: PathBuf,
    /// The gateways' own directories.
    pub run: PathBuf,
    /// The scripted provider.
    pub upstream: SocketAddr,
    /// CPUs for gateways.
    pub cpus: Vec<usize>,
}

impl Places {
    /// Where a recipe's program is installed.
    pub fn install(&self, recipe: &Recipe) -> PathBuf {
        self.cache.join("install").join(&recipe.name)
    }
}

/// Installs a recipe's program and says how that went.
pub fn install(recipe: &Recipe, places: &Places) -> io::Result<()> {
    let dir = places.install(recipe);
    std::fs::create_dir_all(&dir)?;
    let dir = std::fs::canonicalize(dir)?;
    let log = std::fs::File::create(dir.join("install.log"))?;
    for step in &recipe.install {
        let step = step.replace("{install}", &dir.display().to_string());
        let status = Command::new("nice")
            .args(["sh", "-c", &step])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .status()?;
        if !status.success() {
            let file = dir.join("install.log");
            return Err(io::Error::other(format!(
                "`{step}` ended with {status}: {}",
                file.display()
            )));
        }
    }
    Ok(())
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// What it is.
    pub recipe: Recipe,
    /// What it says its version is.
    pub version: String,
    address: SocketAddr,
    child: Child,
}

fn fill(text: &str, pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Gateway {
    /// Starts a gateway and waits until it is ready.
    pub fn start(recipe: &Recipe, places: &Places) -> io::Result<Gateway> {
        let install = places.install(recipe);
        let program = recipe
            .find_program(&install)
            .ok_or_else(|| io::Error::other("not installed"))?;
        let dir = places.run.join(&recipe.name);
        std::fs::create_dir_all(&dir)?;
        let dir = std::fs::canonicalize(dir)?;
        let port = free_port()?;
        let pairs = [
            ("{port}", port.to_string()),
            ("{upstream}", format!("http://{}", places.upstream)),
            ("{upstream_address}", places.upstream.to_string()),
            ("{upstream_port}", places.upstream.port().to_string()),
            ("{dir}", dir.display().to_string()),
            ("{install}", absolute(&install)),
            ("{program}", program.display().to_string()),
        ];
        for file in &recipe.files {
            let path = dir.join(&file.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, fill(&file.text, &pairs))?;
        }
        let log = std::fs::File::create(dir.join("gateway.log"))?;
        let mut command = Command::new(fill(&recipe.start[0], &pairs));
        command
            .args(recipe.start[1..].iter().map(|a| fill(a, &pairs)))
            .current_dir(&dir)
            .env("HOME", &dir)
            .envs(recipe.env.iter().map(|(k, v)| (k, fill(v, &pairs))))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // What is started inherits the CPUs of the thread that starts it.
        let child = std::thread::scope(|scope| {
            let spawn = || {
                poll::pin(&places.cpus)?;
                command.spawn()
            };
            scope.spawn(spawn).join().expect("no panic in there")
        })?;
        let mut gateway = Gateway {
            version: version(recipe, &pairs),
            recipe: recipe.clone(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            child,
        };
        gateway.wait_until_ready(&dir)?;
        Ok(gateway)
    }

    fn wait_until_ready(&mut self, dir: &Path) -> io::Result<()> {
        let ready = &self.recipe.ready;
        let deadline = Instant::now() + Duration::from_secs(ready.seconds);
        let log = dir.join("gateway.log");
        let log = log.display();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let text = format!("ended with {status} before it was ready: {log}");
                return Err(io::Error::other(text));
            }
            let up = match ready.path.as_str() {
                "" => TcpStream::connect(self.address).is_ok(),
                path => control::ask(self.address, "GET", path, &[], b"")
                    .is_ok_and(|(status, _)| status < 500),
            };
            if up {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = format!("not ready after {} s: {log}", ready.seconds);
                return Err(io::Error::other(text));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whom to ask.
    pub fn target(&self, upstream: SocketAddr) -> Target {
        let request = &self.recipe.request;
        let or = |text: &str, other: &str| match text {
            "" => other.to_owned(),
            text => text.to_owned(),
        };
        let pairs = [("{upstream}", format!("http://{upstream}"))];
        let headers = request.headers.iter();
        Target {
            address: self.address,
            host: self.address.to_string(),
            path: or(&request.path, self.recipe.api.path()),
            api: self.recipe.api,
            model: or(&request.model, crate::answers::MODEL),
            headers: headers.map(|(k, v)| (k.clone(), fill(v, &pairs))).collect(),
            body: Some(request.body.clone()).filter(|b| !b.is_empty()),
        }
    }

    /// The process that was started.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True while the process is there.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Gateway {
    /// Ends the whole process tree.
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        let tree = outside::tree(&[self.child.id()]);
        let signal = |signal| {
            for pid in &tree {
                // A process that has ended already needs no signal.
                let _ = Pid::from_raw(*pid as i32).map(|pid| kill_process(pid, signal));
            }
        };
        signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline && self.is_alive() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.is_alive() || tree.len() > 1 {
            signal(Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

/// The first number with dots that the program prints, or what the recipe says.
fn version(recipe: &Recipe, pairs: &[(&str, String)]) -> String {
    let said = || {
        let (program, arguments) = recipe.version_command.split_first()?;
        let output = Command::new(fill(program, pairs))
            .args(arguments.iter().map(|a| fill(a, pairs)))
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let words = text.split(|c: char| c.is_whitespace() || "/,".contains(c));
        let mut numbers = words
            .map(|w| w.trim_start_matches('v'))
            .filter(|w| w.contains('.') && w.starts_with(|c: char| c.is_ascii_digit()));
        numbers.next().map(str::to_owned)
    };
    said().unwrap_or_else(|| recipe.version.clone())
}

/// The provider that all gateways forward to: this program, as a process of its own.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
}

impl Upstream {
    /// Starts it.
    pub fn start(cpus: &[usize]) -> io::Result<Upstream> {
        use std::io::BufRead;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["provider", "--listen", "127.0.0.1:0"]);
        for cpu in cpus {
            command.args(["--cpu", &cpu.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            io::BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().strip_prefix("provider http://").map(str::parse) {
            Some(Ok(address)) => Ok(Upstream { address, child }),
            _ => Err(io::Error::other(format!("the provider said {line:?}"))),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
