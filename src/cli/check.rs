//! `strait check`: what the configuration resolves to.

use crate::config::Snapshot;

/// Prints the snapshot, secrets masked.
pub fn print(snapshot: &Snapshot) {
    let listen: Vec<String> = snapshot.listen.iter().map(|a| a.to_string()).collect();
    println!("listen     {}", listen.join(", "));
    println!("workers    {}", snapshot.workers);
    let names: Vec<&str> = snapshot.keys.iter().map(|k| k.name.as_str()).collect();
    let open = "none: open to everyone who reaches the address";
    println!(
        "keys       {}",
        if names.is_empty() {
            open.into()
        } else {
            names.join(", ")
        }
    );
    println!();
    for provider in snapshot.providers.values() {
        let origin = &provider.origin;
        let scheme = if origin.tls { "https" } else { "http" };
        let key = provider
            .key
            .as_ref()
            .map_or("no key".to_owned(), |k| mask(k.expose()));
        println!(
            "provider   {} (profile {})",
            provider.name, provider.profile.name
        );
        println!(
            "           {scheme}://{}:{}{}",
            origin.host, origin.port, provider.path_prefix
        );
        println!("           key {key}");
    }
    println!();
    for (alias, chain) in &snapshot.models {
        let targets: Vec<String> = chain
            .iter()
            .map(|t| format!("{}/{}", t.provider.name, t.model))
            .collect();
        println!("model      {alias:<24} {}", targets.join(" → "));
    }
    for entry in snapshot.catalog() {
        if !snapshot.models.contains_key(&entry.slug) {
            println!("model      {:<24} {}", entry.slug, entry.owner);
        }
    }
    let t = &snapshot.timeouts;
    println!();
    println!(
        "timeouts   connect {:?} · first byte {:?} · silence {:?} · keepalive {:?} · hold {:?} · drain {:?}",
        t.connect, t.first_byte, t.silence, t.keepalive, t.hold, t.drain
    );
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
