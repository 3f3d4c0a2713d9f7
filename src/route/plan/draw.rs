//! Which of several a conversation belongs to, by rendezvous hashing: every node comes to the same
//! without asking another, and when one of the several goes, only its own conversations move.

use ring::digest::{Context, SHA256};

/// The order in which the conversation prefers targets, each a name and a weight: the first is
/// drawn with its weight's share, each further one likewise among those that are left.
pub(super) fn by_weight<'a>(
    conversation: &str,
    targets: impl Iterator<Item = (&'a str, &'a str, u32)>,
) -> Vec<usize> {
    let scores = targets.map(|(provider, model, weight)| {
        let number = number(&[conversation, provider, model]);
        // Above 0 and below 1. The smallest of exponentially distributed numbers is each with the
        // share of its rate; a weight of 0 gives infinity, and so the end.
        let uniform = ((number >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() / f64::from(weight)
    });
    let scores: Vec<f64> = scores.collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    order
}

/// Puts keys, by their ids, into the order in which the conversation prefers them.
pub(super) fn order_keys(conversation: &str, keys: &mut [u64]) {
    keys.sort_by_cached_key(|id| number(&[conversation, &format!("{id:016x}")]));
}

/// A number that is the same for the same parts everywhere, and for no others.
fn number(parts: &[&str]) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_le_bytes());
        context.update(part.as_bytes());
    }
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&context.finish().as_ref()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(conversation: &str, targets: &[(&'static str, u32)]) -> &'static str {
        let named = targets.iter().map(|(name, weight)| (*name, "m", *weight));
        targets[by_weight(conversation, named)[0]].0
    }

    #[test]
    fn shares_are_those_of_the_weights_and_only_the_lost_move() {
        let all = [("a", 3), ("b", 1), ("c", 0)];
        let mut counts = [0; 3];
        for n in 0..4000 {
            let conversation = format!("session {n}");
            let home = first(&conversation, &all);
            counts[all.iter().position(|(name, _)| *name == home).unwrap()] += 1;
            let without_b = first(&conversation, &[("a", 3), ("c", 0)]);
            assert!(home == "b" || without_b == home);
        }
        assert!((2850..3150).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0, "{counts:?}");
    }

    #[test]
    fn keys_share_evenly_and_only_the_lost_move() {
        let mut counts = [0; 4];
        for n in 0..4000 {
            let conversation = format!("session {n}");
            let (mut four, mut three) = ([0, 1, 2, 3], [0, 1, 2]);
            order_keys(&conversation, &mut four);
            order_keys(&conversation, &mut three);
            counts[four[0] as usize] += 1;
            assert!(four.iter().filter(|k| **k != 3).eq(&three));
        }
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    }

    #[test]
    fn every_node_and_every_version_comes_to_the_same() {
        assert_eq!(number(&["session", "a", "m"]), 11_699_084_513_724_741_618);
        assert_ne!(number(&["session", "am"]), number(&["session", "a", "m"]));
    }
}
