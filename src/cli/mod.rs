//! The commands.

/// Prints a line; a reader that has gone (`strait models | head`) is no mistake.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod check;
mod codex;
mod demo;
mod health;
mod keys;
mod login;
mod profiles;
mod reload;

use crate::config::{self, Listen, Snapshot};
use crate::server::{self, DriverKind, Options, TakeOver};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code for mistakes in the command line or the configuration.
const USAGE: u8 = 2;

#[derive(Parser)]
#[command(
    name = "strait",
    version,
    about = "Codex, on any chat-completions model",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve.
    Serve(Serve),
    /// Show it working, with no key and no network.
    Demo {
        /// Where Strait listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// How sockets are waited for; default: io_uring, or epoll where it is refused.
        #[arg(long)]
        driver: Option<Driver>,
        /// End after the one request.
        #[arg(long)]
        once: bool,
    },
    /// Say what the configuration resolves to, secrets masked.
    Check(Config),
    /// Ask a running Strait whether it serves; the exit code says it.
    Health {
        /// Where: http://host:port, with a path other than /healthz if need be, or unix:/path.
        #[arg(long, default_value = "http://127.0.0.1:8787")]
        url: String,
    },
    /// List the models that clients may ask for.
    Models(Config),
    /// List the built-in provider profiles, or print one in full, to be overridden in strait.toml.
    Profiles {
        /// The profile to print.
        name: Option<String>,
    },
    /// Make and change client keys that are kept in the store.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Have a running Strait read its configuration again, as SIGHUP does; say whether it did.
    ///
    /// It takes the file that it was started with, and the environment of its process. What is
    /// under way goes on with what it began with. A bad configuration is refused, and so is one
    /// that changes listen, workers or the store.
    Reload {
        /// Which one, where several run. They are found by their control sockets: control-PID.sock
        /// in $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/strait, the state directory, or /run/strait.
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Print Codex's configuration, or run Codex through this Strait.
    Codex {
        #[command(flatten)]
        config: Config,
        /// The model to ask for; default: the first one there is.
        #[arg(long, short)]
        model: Option<String>,
        /// Arguments for Codex, which is then run: `strait codex -- exec "…"`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
struct Config {
    /// The configuration file; without one, ./strait.toml if it exists, else the environment.
    #[arg(long, short, env = "STRAIT_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    config: Config,
    /// How sockets are waited for; default: io_uring, or epoll where it is refused.
    #[arg(long)]
    driver: Option<Driver>,
    /// Listen here instead of where the configuration says: an address with a port, or
    /// unix:/path.
    #[arg(long)]
    listen: Vec<Listen>,
    /// Worker threads; 0: one per core.
    #[arg(long)]
    workers: Option<usize>,
    /// Take the place of a running Strait of the same user: its listening sockets are served on,
    /// and it ends when its streams have ended. Where none runs, just serve. Where several run,
    /// name one.
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true)]
    take_over: Option<Option<u32>>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Driver {
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

impl From<Driver> for DriverKind {
    fn from(driver: Driver) -> DriverKind {
        match driver {
            Driver::IoUring => DriverKind::IoUring,
            Driver::Epoll => DriverKind::Epoll,
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => serve(options),
        Command::Demo {
            listen,
            driver,
            once,
        } => demo::run(driver.map(Into::into), listen, once),
        Command::Check(config) => with(&config, check::run),
        Command::Health { url } => health::run(&url),
        Command::Models(config) => with(&config, |snapshot| {
            check::models(snapshot);
            ExitCode::SUCCESS
        }),
        Command::Keys(command) => keys::run(command),
        Command::Reload { pid } => reload::run(pid),
        Command::Profiles { name } => profiles::run(name.as_deref()),
        Command::Codex {
            config,
            model,
            arguments,
        } => with(&config, |snapshot| codex::run(snapshot, model, &arguments)),
    }
}

fn load(config: &Config) -> Result<Snapshot, String> {
    let here = PathBuf::from("strait.toml");
    let file = config
        .config
        .clone()
        .or_else(|| here.exists().then_some(here));
    let env = |name: &str| std::env::var(name).ok();
    let snapshot = match file {
        None => match config::from_env(&env) {
            Ok(snapshot) if snapshot.providers.is_empty() && login::is_there(&env) => {
                config::parse("environment", login::CONFIG, &env)
            }
            other => other,
        },
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|e| {
                format!("{name}: cannot be read: {e}. Mend: check the path and its permissions.")
            })?;
            config::parse(&name, &text, &env)
        }
    };
    snapshot.map_err(|e| e.to_string())
}

fn with(config: &Config, act: impl FnOnce(&Snapshot) -> ExitCode) -> ExitCode {
    match load(config) {
        Ok(snapshot) => act(&snapshot),
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(USAGE)
        }
    }
}

/// The configuration with what the command line says instead.
fn configured(options: &Serve) -> Result<Snapshot, String> {
    let mut snapshot = load(&options.config)?;
    if snapshot.providers.is_empty() {
        return Err(
            "strait: no provider is configured. Mend: export DEEPSEEK_API_KEY, OPENAI_API_KEY or \
             OPENAI_COMPATIBLE_BASE_URL, run `codex login`, or write a strait.toml; \
             `strait demo` needs none."
                .to_owned(),
        );
    }
    if !options.listen.is_empty() {
        let beyond = options.listen.iter().find(|a| !a.is_local());
        if let (Some(address), true) = (beyond, snapshot.keys.is_empty()) {
            return Err(format!(
                "strait: --listen {address} is beyond loopback, and no client keys are set. \
                 Mend: export STRAIT_MASTER_KEY, add [[keys]] to strait.toml, or listen on 127.0.0.1."
            ));
        }
        snapshot.listen = options.listen.clone();
    }
    match options.workers {
        Some(0) => snapshot.workers = std::thread::available_parallelism().map_or(1, |n| n.get()),
        Some(n) => snapshot.workers = n,
        None => {}
    }
    Ok(snapshot)
}

fn serve(options: Serve) -> ExitCode {
    let mut snapshot = match configured(&options) {
        Ok(snapshot) => snapshot,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(USAGE);
        }
    };
    let settled = server::settle_store(&mut snapshot.store)
        .and_then(|()| server::settle_audit(&mut snapshot.audit));
    if let Err(e) = settled {
        eprintln!("strait: {e}");
        return ExitCode::FAILURE;
    }
    login::announce(&snapshot);
    let driver = options.driver.map(Into::into);
    let take_over = options.take_over.map(|pid| TakeOver { pid });
    match server::run(Options {
        snapshot,
        reload: Some(Box::new(move || configured(&options))),
        take_over,
        driver,
        ready: None,
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("strait: {e}");
            ExitCode::FAILURE
        }
    }
}
