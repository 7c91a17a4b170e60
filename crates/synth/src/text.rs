//! Words for bodies: varied enough to compress as real ones do.

use std::fmt::Write as _;

use crate::random::Random;

const WORDS: [&str; 32] = [
    "comfortable",
    "cotton",
    "running",
    "shoe",
    "with",
    "a",
    "wide",
    "sole",
    "in",
    "red",
    "blue",
    "for",
    "every",
    "day",
    "light",
    "and",
    "durable",
    "made",
    "of",
    "recycled",
    "material",
    "delivered",
    "within",
    "two",
    "days",
    "classic",
    "winter",
    "jacket",
    "waterproof",
    "zip",
    "pockets",
    "size",
];

/// Appends that many words.
pub(crate) fn words(out: &mut String, count: u64, random: &mut Random) {
    let mut bits = 0;
    for at in 0..count {
        if at % 12 == 0 {
            bits = random.next();
        }
        if at > 0 {
            out.push(' ');
        }
        out.push_str(WORDS.get((bits & 31) as usize).copied().unwrap_or_default());
        bits >>= 5;
    }
}

/// Appends an article as JSON.
pub(crate) fn article(out: &mut String, article: u64, words_of_it: u64, random: &mut Random) {
    _ = write!(
        out,
        "{{\"id\":{article},\"sku\":\"SKU-{:06}\",\"price\":{}.{:02},\"stock\":{},\"title\":\"",
        article * 7,
        random.below(300),
        random.below(100),
        random.below(1_000)
    );
    words(out, words_of_it, random);
    out.push_str("\",\"tags\":[\"shop\",\"new\"]}");
}
