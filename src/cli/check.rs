//! `strait check`: what the configuration resolves to.

use super::{USAGE, login};
use crate::config::{Snapshot, Store, Target, Tls};
use crate::server;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Prints the snapshot, secrets masked, and looks whether the files that it names can be used.
pub fn run(snapshot: &Snapshot) -> ExitCode {
    print(snapshot);
    let Some(Err(e)) = snapshot.tls.as_ref().map(server::check_certificates) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("strait: {e}");
    ExitCode::from(USAGE)
}

fn print(snapshot: &Snapshot) {
    let listen: Vec<String> = snapshot.listen.iter().map(|a| a.to_string()).collect();
    say!("listen     {}", listen.join(", "));
    if let Some(tls) = &snapshot.tls {
        say!("tls        {}", certificates(tls));
    }
    say!("workers    {}", snapshot.workers);
    say!(
        "websocket  {}",
        if snapshot.websocket { "on" } else { "off" }
    );
    say!("store      {}", store(&snapshot.store));
    let names: Vec<&str> = snapshot.keys.iter().map(|k| k.name.as_str()).collect();
    let open = "none: open to everyone who reaches the address";
    say!(
        "keys       {}",
        if names.is_empty() {
            open.into()
        } else {
            names.join(", ")
        }
    );
    let free = unpriced(snapshot);
    if !free.is_empty() {
        let free = free.join(", ");
        say!("           no price is known of {free}: no budget counts them");
    }
    say!();
    for provider in snapshot.providers.values() {
        let origin = &provider.origin;
        let scheme = if origin.tls { "https" } else { "http" };
        say!(
            "provider   {} (profile {})",
            provider.name,
            provider.profile.name
        );
        say!(
            "           {scheme}://{}:{}{}",
            origin.host,
            origin.port,
            provider.path_prefix
        );
        if let Some(proxy) = &origin.proxy {
            say!("           through the proxy {proxy} ({})", proxy.named_by);
        }
        for own in &provider.keys {
            say!("           key {}", mask(own.key.expose()));
        }
        match &provider.login {
            Some(login) => say!("           {}", login::line(login)),
            None if provider.keys.is_empty() => say!("           no key"),
            None => {}
        }
    }
    say!();
    for (alias, chain) in &snapshot.models {
        say!("model      {alias:<24} {}", targets(chain));
    }
    for entry in snapshot.catalog() {
        if !snapshot.models.contains_key(&entry.slug) {
            say!("model      {:<24} {}", entry.slug, entry.owner);
        }
    }
    let t = &snapshot.timeouts;
    say!();
    say!(
        "timeouts   connect {:?} · first byte {:?} · silence {:?} · keepalive {:?} · hold {:?} · drain {:?}",
        t.connect,
        t.first_byte,
        t.silence,
        t.keepalive,
        t.hold,
        t.drain
    );
    let r = &snapshot.retry;
    say!(
        "retry      {} attempts · backoff {:?} to {:?} · deadline {:?}",
        r.attempts,
        r.backoff,
        r.backoff_max,
        r.deadline
    );
    let b = &snapshot.breaker;
    match b.failures {
        0 => say!("breaker    off"),
        failures => say!(
            "breaker    {failures} failures in a row, or {} % within {:?} · open {:?}",
            b.rate * 100.0,
            b.window,
            b.open
        ),
    }
}

/// The targets that cost nothing as far as budgets know, where a key has one. Keys that are stored
/// are not looked for.
fn unpriced(snapshot: &Snapshot) -> Vec<String> {
    let counts = snapshot.keys.iter().any(|key| key.limits.budget.is_some());
    let priced = |target: &Target| {
        let profile = &target.provider.profile;
        // Behind a `*` there may be any model, with a price or without.
        target.model == "*"
            || profile
                .model(&target.model)
                .is_some_and(|m| m.price.is_some())
    };
    let targets = snapshot.models.values().flatten();
    let free = targets.filter(|target| counts && !priced(target));
    let named = free.map(|target| format!("{}/{}", target.provider.name, target.model));
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A chain in its order, or with the shares of its targets.
fn targets(chain: &[Target]) -> String {
    let sum: f64 = chain.iter().map(|t| f64::from(t.weight.unwrap_or(0))).sum();
    let named = chain.iter().map(|t| {
        let name = format!("{}/{}", t.provider.name, t.model);
        match t.weight {
            Some(weight) => format!("{name} {:.0} %", f64::from(weight) / sum * 100.0),
            None => name,
        }
    });
    let shared = chain.iter().any(|t| t.weight.is_some());
    let named: Vec<String> = named.collect();
    named.join(if shared { " | " } else { " → " })
}

/// Prints what clients may ask for: window, efforts and price, as far as they are known.
pub fn models(snapshot: &Snapshot) {
    for entry in snapshot.catalog() {
        let price = entry.price.map_or(String::new(), |(input, output)| {
            format!(" · ${input} in, ${output} out per million tokens")
        });
        let efforts = match entry.efforts.is_empty() {
            true => String::new(),
            false => format!(" · {}", entry.efforts.join(" ")),
        };
        say!(
            "{:<32} {} · {} tokens{efforts}{price}",
            entry.slug,
            entry.owner,
            entry.context_window
        );
    }
}

/// What clients are shown, and what they have to show.
fn certificates(tls: &Tls) -> String {
    let asked = match &tls.clients {
        None => "",
        Some(clients) if clients.required => " · clients need a certificate",
        Some(_) => " · clients may have a certificate",
    };
    format!("{}{asked}", tls.cert_file.display())
}

/// Where responses are kept, and for how long.
fn store(store: &Store) -> String {
    if !store.keeps() {
        return store.place.to_string();
    }
    let days = store.max_age.as_secs_f64() / 86_400.0;
    let mib = store.max_bytes / 1_048_576;
    format!("{} · {days} days, {mib} MiB", store.place)
}

/// The beginning of a long secret and its length; nothing of a short one.
fn mask(secret: &str) -> String {
    match secret.len() {
        0..16 => format!("… ({} characters)", secret.len()),
        len => format!(
            "{}… ({len} characters)",
            secret.chars().take(3).collect::<String>()
        ),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mask_shows_little() {
        assert_eq!(super::mask("sk-0123456789abcdef"), "sk-… (19 characters)");
        assert_eq!(super::mask("short"), "… (5 characters)");
    }
}
