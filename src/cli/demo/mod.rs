//! `strait demo`: shows Strait working with no key and no network.
//!
//! A scripted chat provider and Strait before it, both on loopback ports; one streaming request
//! with both sides printed as they happen; then it keeps serving.

mod provider;
mod show;

use crate::config::{Listen, Snapshot};
use crate::provider::Profile;
use crate::server::{self, DriverKind, Options};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// What the demo asks its model.
const REQUEST: &str = r#"{"model":"demo","stream":true,"input":"Is it raining in Gibraltar?","reasoning":{"effort":"medium","summary":"auto"},"tools":[{"type":"function","name":"get_weather","description":"The weather in a place.","parameters":{"type":"object","properties":{"place":{"type":"string"}},"required":["place"]}}]}"#;

/// Runs the demo until it is stopped, or only its one request if `once`.
pub fn run(driver: Option<DriverKind>, listen: SocketAddr, once: bool) -> ExitCode {
    match demonstrate(driver, listen, once) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("strait demo: {e}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(
    driver: Option<DriverKind>,
    listen: SocketAddr,
    once: bool,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let show = Arc::new(show::Show::new(Instant::now()));
    let provider = provider::start(Arc::clone(&show))?;
    let profile = Profile::parse("demo-provider", include_str!("profile.toml"))?;
    let mut snapshot = Snapshot::single(profile, &format!("http://{provider}/v1"));
    snapshot.listen = vec![Listen::Tcp(listen)];
    snapshot.workers = 1;
    let (ready, started) = mpsc::channel();
    let options = Options {
        snapshot,
        reload: None,
        take_over: None,
        driver,
        ready: Some(Box::new(move |addresses: Vec<Listen>| {
            let _ = ready.send(addresses);
        })),
    };
    let server = std::thread::spawn(move || server::run(options));
    let Ok(addresses) = started.recv() else {
        let failed = server.join().map_err(|_| "the server thread panicked")?;
        failed?;
        return Err("the server did not start".into());
    };
    let Listen::Tcp(address) = addresses[0] else {
        return Err("the demo listens on a port".into());
    };
    show.introduce(provider, address);
    converse(address, &show)?;
    if once {
        return Ok(ExitCode::SUCCESS);
    }
    show.invite(address);
    server.join().map_err(|_| "the server thread panicked")??;
    Ok(ExitCode::SUCCESS)
}

/// Sends the request and shows each event as it arrives.
fn converse(address: SocketAddr, show: &show::Show) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST /v1/responses HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{REQUEST}",
        REQUEST.len()
    )?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if let Some(data) = line.strip_prefix("data: ") {
            show.event(data);
        }
    }
    Ok(())
}
