//! A process changes while it serves: reloads lose nothing.

use crate::client::respond;
use crate::provider::{Provider, Seen, text};
use crate::strait::Strait;
use serde_json::json;

/// A configuration whose one alias is `alias`.
fn aliased(url: &str, alias: &str) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 1\n[providers.mock]\nprofile = \"openai-compatible\"\nbase_url = \"{url}\"\napi_key = \"sk-test-provider-key\"\n[models]\n{alias} = \"mock/served\"\n"
    )
}

fn status_of(strait: &Strait, model: &str) -> u16 {
    let ask = json!({"model": model, "input": "hi", "stream": true});
    respond(strait.address, &ask).status
}

#[test]
fn a_signal_swaps_the_configuration_and_a_bad_one_is_refused() {
    for driver in ["io_uring", "epoll"] {
        let provider = Provider::answering(|_: &Seen| crate::provider::Answer::Stream(text("hi")));
        let more = "[models]\nfirst = \"mock/served\"\n";
        let strait = Strait::with("openai-compatible", &provider.url(), driver, more);
        assert_eq!(
            (status_of(&strait, "first"), status_of(&strait, "second")),
            (200, 404)
        );
        let config = strait.dir.join("strait.toml");
        let reload = |text: &str| {
            std::fs::write(&config, text).unwrap();
            strait.signal("HUP");
            strait.says("configuration ")
        };
        let said = reload(&aliased(&provider.url(), "second"));
        assert_eq!(said, "configuration reloaded");
        assert_eq!(
            (status_of(&strait, "first"), status_of(&strait, "second")),
            (404, 200)
        );
        let said = reload(&aliased("ftp://nowhere", "third"));
        for part in ["strait.toml:3: providers.mock: base_url", "Mend: "] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let said = reload(&aliased(&provider.url(), "third").replace("workers = 1", "workers = 2"));
        assert!(said.contains("workers cannot change"), "{said}");
        assert_eq!(
            (status_of(&strait, "third"), status_of(&strait, "second")),
            (404, 200)
        );
    }
}
