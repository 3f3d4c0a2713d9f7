//! How many system calls a process makes: counted by `perf stat` on the tracepoint
//! `raw_syscalls:sys_enter`, or, where that is refused, by `strace -c`, which slows it much more.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

enum Tool {
    Perf,
    Strace,
}

/// A count that is going on.
pub struct Syscalls {
    tool: Tool,
    child: Child,
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C")
        .spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    match child.try_wait()? {
        None => Ok(child),
        Some(status) => Err(io::Error::other(format!("ended at once with {status}"))),
    }
}

impl Syscalls {
    /// Starts counting what the trees of `roots` do.
    pub fn start(roots: &[u32]) -> io::Result<Syscalls> {
        let pids: Vec<String> = crate::outside::tree(roots)
            .iter()
            .map(u32::to_string)
            .collect();
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p"]);
        if let Ok(child) = spawn(perf.arg(pids.join(","))) {
            return Ok(Syscalls {
                tool: Tool::Perf,
                child,
            });
        }
        let mut strace = Command::new("strace");
        strace.args(["-c", "-f", "-q"]);
        for pid in &pids {
            strace.args(["-p", pid]);
        }
        let child = spawn(&mut strace)
            .map_err(|e| io::Error::other(format!("neither perf nor strace can count: {e}")))?;
        Ok(Syscalls {
            tool: Tool::Strace,
            child,
        })
    }

    /// Ends the count.
    pub fn stop(mut self) -> io::Result<u64> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text)?;
        }
        self.child.wait()?;
        let count = match self.tool {
            Tool::Perf => text.split(',').next().and_then(|n| n.trim().parse().ok()),
            Tool::Strace => strace_total(&text),
        };
        count.ok_or_else(|| io::Error::other(format!("no count in {text:?}")))
    }
}

/// The calls in the last line of `strace -c`: `100.00 0.1 5 1234 56 total`.
fn strace_total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .rev()
        .find(|l| l.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_strace_is_read() {
        let text = "% time seconds usecs/call calls errors syscall\n\
                    ------ ----- ----- ---- ---- ----\n\
                    100.00 0.001 5 1234 56 total\n";
        assert_eq!(strace_total(text), Some(1234));
    }
}
