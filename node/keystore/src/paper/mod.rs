//! Keys as words that a person can write down, keep in a safe, and type.
//!
//! Words are those of BIP39's English list: 2,048, none longer than eight letters, each told from all others by its first four.
//! They are read in either case, numbered or not, on as many lines as one likes; lines with a colon are read as fields.
//! Nothing that is said about a mistake repeats a word: only its place is told.
//!
//! # 24 words
//!
//! BIP39 with the seed as the 256 bits of entropy: 24 words, of which the last holds 8 bits of SHA-256 as a checksum. The words *are*
//! the key; BIP39's own derivation of a seed by PBKDF2 is not used, so that the key that comes back is byte for byte the one that
//! was written down. What it is for, words don't say: the field `Stemma-Purpose` does, and whoever restores must know it.
//!
//! # Shares
//!
//! Shamir's scheme over GF(2⁸) with AES's polynomial, byte by byte: any `threshold` of `count` shares restore the seed, any fewer say
//! nothing about it. Share *i* is the value at *x = i*. A share is 48 bytes, written as 35 words of 11 bits (the last bit is 0):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1, in the upper four bits; purpose in the lower: 0 validator, 1 member, 2 network, 3 account |
//! | 1 | threshold, from 2 |
//! | 1 | count, at most 32 |
//! | 1 | index, from 1 |
//! | 4 | set: random, the same in all shares of one splitting |
//! | 4 | key id: the first bytes of the BLAKE3 of the public key |
//! | 32 | the share of the seed |
//! | 4 | checksum: the first bytes of the BLAKE3 (`derive_key`, `stemma 2026 key share checksum`) of all before |
//!
//! So a damaged share, one of another key, one of another splitting and too few of them are each told by name. What is restored
//! must have the public key that the key id names.

mod phrase;
mod shares;
mod words;

pub use self::phrase::{Phrase, PhraseError};
pub use self::shares::{COUNT_MAX, CombineError, Share, ShareError, SplitError, combine, split};
pub use self::words::WordError;

use zeroize::Zeroizing;

/// Words in rows of four, numbered: what is written on paper.
fn rows(numbers: &[u16]) -> Zeroizing<String> {
    const PER_ROW: usize = 4;
    // Number, blanks and a word of at most eight letters, or a line's end.
    const CELL: usize = 14;
    // Reserved at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(numbers.len().saturating_mul(CELL).saturating_add(CELL)));
    for (at, word) in numbers.iter().enumerate() {
        let (place, word) = (at.saturating_add(1), words::word(*word));
        text.push_str(if place < 10 { " " } else { "" });
        text.push_str(&place.to_string());
        text.push(' ');
        text.push_str(word);
        if place.is_multiple_of(PER_ROW) || place == numbers.len() {
            text.push('\n');
        } else {
            (word.len()..9).for_each(|_| text.push(' '));
        }
    }
    text
}

/// The value of a field `Name: value`, if it stands there.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(found, _)| found.trim() == name).map(|(_, value)| value.trim()).next()
}
