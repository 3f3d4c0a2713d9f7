//! About how many tokens a text is, without a vocabulary.
//!
//! Tokenizers of the last years first cut a text into words, numbers of three digits at most, runs
//! of signs and runs of blanks; a common piece is one token, a rare one some more. The cuts can be
//! made by the kinds of the characters alone; what a piece costs is fitted to o200k_base.

/// Sixteenths of a token: costs are fractions, and sums of integers have no order.
type Cost = u64;
const TOKEN: Cost = 16;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Blank,
    Break,
    Digit,
    /// A letter of an alphabet that is rarer in vocabularies than the Latin one.
    Foreign,
    /// A character that is a word or a syllable.
    Ideograph,
    Lower,
    /// Pictures and whatever else takes several bytes.
    Rare,
    Sign,
    Upper,
}

fn kind_of(c: char) -> Kind {
    match c {
        'a'..='z' => Kind::Lower,
        'A'..='Z' => Kind::Upper,
        '0'..='9' => Kind::Digit,
        '\n' | '\r' => Kind::Break,
        ' ' | '\t' | '\u{a0}' => Kind::Blank,
        '\0'..='\u{7f}' => Kind::Sign,
        '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff65}' => Kind::Sign,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' => {
            Kind::Ideograph
        }
        '\u{c0}'..='\u{24f}' if c.is_lowercase() => Kind::Lower,
        '\u{c0}'..='\u{24f}' => Kind::Upper,
        c if c.is_alphabetic() => Kind::Foreign,
        _ => Kind::Rare,
    }
}

/// The tokens of `text`, rounded up.
pub(super) fn tokens(text: &str) -> u64 {
    let mut cost = 0;
    let mut run = (Kind::Blank, 0);
    let mut before = Kind::Break;
    for c in text.chars() {
        let kind = kind_of(c);
        let (of, len) = run;
        // A capital begins a word that goes on in small letters.
        let goes_on = kind == of || (of == Kind::Upper && kind == Kind::Lower && len == 1);
        if goes_on {
            run = (kind, len + 1);
            continue;
        }
        cost += cost_of(of, len, before, kind);
        before = of;
        run = (kind, 1);
    }
    cost += cost_of(run.0, run.1, before, Kind::Break);
    cost.div_ceil(TOKEN)
}

/// What a run costs that stands between runs of the kinds `before` and `after`.
fn cost_of(kind: Kind, len: u64, before: Kind, after: Kind) -> Cost {
    if len == 0 {
        return 0;
    }
    match kind {
        // The last blank belongs to the word that it stands before.
        Kind::Blank if after == Kind::Break => TOKEN / 2,
        Kind::Blank if len == 1 => 0,
        Kind::Blank => TOKEN,
        Kind::Break if before == Kind::Sign => 0,
        Kind::Break => TOKEN,
        Kind::Digit => len.div_ceil(3) * TOKEN,
        Kind::Foreign => TOKEN + len.saturating_sub(3) * TOKEN / 4,
        Kind::Ideograph => len * TOKEN * 5 / 8,
        Kind::Lower => TOKEN + len.saturating_sub(6) * 3,
        Kind::Rare => len * TOKEN * 4 / 3,
        // One that stands before a word often is part of it.
        Kind::Sign if len == 1 && matches!(after, Kind::Lower | Kind::Upper) => TOKEN * 5 / 8,
        Kind::Sign => len.div_ceil(4) * TOKEN,
        Kind::Upper => TOKEN + len.saturating_sub(3) * TOKEN / 4,
    }
}
