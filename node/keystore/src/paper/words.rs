//! Words and their numbers.

use bip39::Language;
use zeroize::Zeroizing;

/// What can't be read as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Another number of words.
    #[error("expected {expected} words, found {found}")]
    Count {
        /// How many there must be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Not in the list.
    #[error("word {place} is not in the list of words")]
    Unknown {
        /// Its place, from 1.
        place: usize,
    },
}

/// Numbers of the words in a text, which must be this many.
pub(super) fn numbers(text: &str, expected: usize) -> Result<Zeroizing<Vec<u16>>, WordError> {
    let lines = text.lines().filter(|line| !line.contains(':'));
    let is_number = |word: &&str| word.trim_end_matches(['.', ')']).bytes().all(|byte| byte.is_ascii_digit());
    let words = lines.flat_map(str::split_whitespace).filter(|word| !is_number(word));
    let found = words.clone().count();
    if found != expected {
        return Err(WordError::Count { expected, found });
    }
    let mut numbers = Zeroizing::new(Vec::with_capacity(expected));
    for (at, word) in words.enumerate() {
        let number = number(word).ok_or(WordError::Unknown { place: at.saturating_add(1) })?;
        numbers.push(number);
    }
    Ok(numbers)
}

/// A word's number; the first four letters will do.
fn number(word: &str) -> Option<u16> {
    const LETTERS_MIN: usize = 4;
    let word = Zeroizing::new(word.to_ascii_lowercase());
    if let Some(number) = Language::English.find_word(&word) {
        return Some(number);
    }
    if word.len() < LETTERS_MIN {
        return None;
    }
    let list = Language::English.word_list();
    let place = list.iter().position(|listed| listed.starts_with(word.as_str()))?;
    u16::try_from(place).ok()
}

/// The word of a number below 2,048.
pub(super) fn word(number: u16) -> &'static str {
    Language::English.word_list().get(usize::from(number)).copied().unwrap_or_default()
}

/// Bytes as numbers of 11 bits, the last filled up with zeros.
pub(super) fn pack(bytes: &[u8]) -> Zeroizing<Vec<u16>> {
    let count = bytes.len().saturating_mul(8).div_ceil(11);
    let mut numbers = Zeroizing::new(vec![0_u16; count]);
    for (at, bit) in bytes.iter().flat_map(|byte| (0..8).rev().map(move |shift| (byte >> shift) & 1)).enumerate() {
        if let Some(number) = numbers.get_mut(at / 11) {
            *number |= u16::from(bit) << (10_usize.saturating_sub(at % 11));
        }
    }
    numbers
}

/// Numbers of 11 bits as bytes; nothing where bits are left over that are not zero.
pub(super) fn unpack<const N: usize>(numbers: &[u16]) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    let bits = numbers.iter().flat_map(|number| (0..11).rev().map(move |shift| (number >> shift) & 1));
    for (at, bit) in bits.enumerate() {
        match bytes.get_mut(at / 8) {
            Some(byte) => *byte |= u8::try_from(bit).ok()? << (7_usize.saturating_sub(at % 8)),
            None if bit == 0 => {}
            None => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn packing_is_undone() {
        let bytes: Vec<u8> = (0..48).map(|n: u8| n.wrapping_mul(37)).collect();
        let numbers = pack(&bytes);
        assert_eq!(numbers.len(), 35);
        assert_eq!(unpack::<48>(&numbers).unwrap().as_slice(), bytes);
        let mut left_over = numbers.to_vec();
        *left_over.last_mut().unwrap() |= 1;
        assert!(unpack::<48>(&left_over).is_none());
    }

    #[test]
    fn words_are_read_as_people_write_them() {
        let expected = [0, 3, 2047];
        for text in ["abandon about zoo", " 1 ABANDON\n2. About\n3) zoo\n", "Note: any\naban abou zoo"] {
            assert_eq!(numbers(text, 3).unwrap().as_slice(), expected, "{text:?}");
        }
        assert_eq!(numbers("abandon aba zoo", 3).unwrap_err(), WordError::Unknown { place: 2 });
        assert_eq!(numbers("abandon acts zoo", 3).unwrap_err(), WordError::Unknown { place: 2 });
        assert_eq!(numbers("abandon", 3).unwrap_err(), WordError::Count { expected: 3, found: 1 });
    }

    #[test]
    fn four_letters_tell_every_word() {
        for word in Language::English.word_list() {
            let short: String = word.chars().take(4).collect();
            assert_eq!(number(&short), Language::English.find_word(word), "{word}");
        }
    }
}
