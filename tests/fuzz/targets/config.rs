//! `config::parse` on arbitrary text and a small environment: never panics, and a mistake names
//! the file, a line that exists and what is wrong; what is accepted resolves and authorizes.

use strait_fuzz::fuzz_target;

fn env(name: &str) -> Option<String> {
    Some(match name {
        "DEEPSEEK_API_KEY" => "sk-1".into(),
        "KEY" | "STRAIT_KEY" => "secret".into(),
        "URL" => "http://127.0.0.1:9/v1".into(),
        "EMPTY" => String::new(),
        "ODD" => "a b\n\u{e9}".into(),
        _ => return None,
    })
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match strait::config::parse("strait.toml", text, &env) {
        Ok(snapshot) => {
            assert!(!snapshot.listen.is_empty() && snapshot.workers > 0);
            let open = snapshot.listen.iter().any(|a| !a.is_local());
            assert!(!open || !snapshot.keys.is_empty(), "open to the world");
            assert!(snapshot.models.values().all(|chain| !chain.is_empty()));
            for model in snapshot.models.keys() {
                assert!(snapshot.resolve(model).is_some());
            }
            let _ = (snapshot.resolve(text), snapshot.catalog());
            let _ = snapshot.authorize(Some(text), 0);
            let nobody = snapshot.authorize(None, 0);
            assert_eq!(nobody.is_ok(), snapshot.keys.is_empty());
        }
        Err(mistake) => {
            assert_eq!(mistake.file, "strait.toml");
            assert!(mistake.line <= text.matches('\n').count() + 1);
            assert!(!mistake.what.is_empty());
        }
    }
});
