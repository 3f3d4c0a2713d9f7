//! How many system calls a worker makes for an event, counted by ptrace: what io_uring is for.

use crate::strait::Strait;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

/// Streams, each with a delta at each beat.
const STREAMS: usize = 100;
const BEATS: usize = 20;
/// System calls an event, at most, when all streams of a batching engine speak at once.
const EACH_MAX: f64 = 0.15;

/// The id of the worker's thread.
fn worker_of(strait: &Strait) -> libc::pid_t {
    let tasks = format!("/proc/{}/task", strait.child.id());
    let mut tasks = std::fs::read_dir(tasks).unwrap().map(|t| t.unwrap().path());
    let worker = tasks.find(|t| {
        let name = std::fs::read_to_string(t.join("comm")).unwrap_or_default();
        name.trim_end() == "strait-0"
    });
    let worker = worker.expect("a worker");
    worker
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Counts the system calls that thread `tid` enters, until it ends. Sends on `ready` whether it
/// may be traced at all.
fn trace(tid: libc::pid_t, count: &AtomicU64, ready: &std::sync::mpsc::Sender<bool>) {
    let request = |request, data: libc::c_long| {
        // SAFETY: none of the requests made here reads or writes memory of this process.
        unsafe { libc::ptrace(request, tid, 0 as libc::c_long, data) }
    };
    if request(libc::PTRACE_SEIZE, libc::PTRACE_O_TRACESYSGOOD.into()) != 0
        || request(libc::PTRACE_INTERRUPT, 0) != 0
    {
        return ready.send(false).unwrap();
    }
    let (mut told, mut inside) = (false, false);
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a whole number that outlives the call.
        let waited = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
        if waited != tid || !libc::WIFSTOPPED(status) {
            return;
        }
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | 0x80 {
            // Once when it enters the kernel, once when it leaves.
            inside = !inside;
            count.fetch_add(inside.into(), Ordering::Relaxed);
        }
        let event = status >> 16 != 0 || signal == libc::SIGTRAP | 0x80;
        request(libc::PTRACE_SYSCALL, if event { 0 } else { signal.into() });
        if !std::mem::replace(&mut told, true) {
            ready.send(true).unwrap();
        }
    }
}

/// Reads from `stream` until `what` has come.
fn read_until(stream: &mut TcpStream, what: &[u8]) {
    let mut got = Vec::new();
    let mut piece = [0; 16 << 10];
    while !got.windows(what.len()).any(|w| w == what) {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&piece[..count]);
    }
}

#[test]
fn a_worker_makes_few_system_calls_for_an_event() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", upstream.local_addr().unwrap());
    let strait = Strait::start("openai-compatible", &url, "io_uring");
    let body = br#"{"model":"m","stream":true,"input":"hi"}"#;
    let mut pairs: Vec<(TcpStream, TcpStream)> = (0..STREAMS)
        .map(|_| {
            let mut client = TcpStream::connect(strait.address).unwrap();
            let head = "POST /v1/responses HTTP/1.1\r\nhost: s\r\ncontent-type: application/json";
            write!(client, "{head}\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
            client.write_all(body).unwrap();
            let (mut provider, _) = upstream.accept().unwrap();
            read_until(&mut provider, b"\"stream\":true");
            provider.set_nodelay(true).unwrap();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream";
            write!(provider, "{head}\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
            (provider, client)
        })
        .collect();
    let mut beat = |beat: usize| {
        let data = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"beat {beat}.\"}}}}]}}\n\n"
        );
        let chunk = format!("{:x}\r\n{data}\r\n", data.len());
        for (provider, _) in &mut pairs {
            provider.write_all(chunk.as_bytes()).unwrap();
        }
        for (_, client) in &mut pairs {
            read_until(client, format!("beat {beat}.").as_bytes());
        }
    };
    beat(1000);

    let count = Arc::new(AtomicU64::new(0));
    let tid = worker_of(&strait);
    let (ready, is_ready) = channel();
    let counting = count.clone();
    let tracer = std::thread::spawn(move || trace(tid, &counting, &ready));
    if !is_ready.recv().unwrap() {
        drop(tracer.join());
        return crate::skip("no right to trace a child process");
    }
    let before = count.load(Ordering::Relaxed);
    (0..BEATS).for_each(&mut beat);
    let calls = count.load(Ordering::Relaxed) - before;
    let each = calls as f64 / (STREAMS * BEATS) as f64;
    println!(
        "{calls} system calls for {} events: {each:.3} each",
        STREAMS * BEATS
    );
    assert!(
        calls > 0 && each <= EACH_MAX,
        "{each} system calls an event"
    );
    drop(strait);
    tracer.join().unwrap();
}
