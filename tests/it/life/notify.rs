//! What the service manager hears.

use super::{config, load};
use crate::strait::{Strait, scratch};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Manager(socket)
    }

    /// The next message that is no sign of life.
    fn hears(&self) -> String {
        loop {
            match self.next() {
                said if said == "WATCHDOG=1" => {}
                said => return said,
            }
        }
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }
}

#[test]
fn the_service_manager_hears_of_every_change() {
    let provider = load::provider();
    let dir = scratch("notify");
    let path = dir.join("notify");
    let manager = Manager::at(&path);
    let text = config("127.0.0.1:0", &provider.url(), &[]);
    let serve = |more: &[&str]| {
        Strait::serve(dir.clone(), &text, |command| {
            command
                .env("NOTIFY_SOCKET", &path)
                .env("WATCHDOG_USEC", "100000")
                .args(more);
        })
    };
    let mut old = serve(&[]);
    let ready = manager.hears();
    let begin = format!("READY=1\nSTATUS=listening on http://{}", old.address);
    assert!(ready.starts_with(&begin), "{ready}");
    assert_eq!(
        [manager.next(), manager.next()],
        ["WATCHDOG=1", "WATCHDOG=1"]
    );
    old.signal("HUP");
    let said = manager.hears();
    assert!(said.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said}");
    let usec: u64 = said.rsplit('=').next().unwrap().parse().unwrap();
    assert!(usec > 0);
    assert_eq!(manager.hears(), "READY=1\nSTATUS=configuration reloaded");
    let mut new = serve(&["--take-over"]);
    assert_eq!(manager.hears(), format!("MAINPID={}", new.child.id()));
    assert!(manager.hears().starts_with("READY=1\n"));
    assert!(old.child.wait().unwrap().success());
    new.signal("TERM");
    let said = manager.hears();
    assert_eq!(said, "STOPPING=1\nSTATUS=draining: 0 streams in flight");
    assert!(new.child.wait().unwrap().success());
}
