//! Small surgery on encodings.

/// The bytes with the one place where `from` stands replaced by `to`.
pub fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{} stands {} times", hex::encode(from), places.len());
    let at = places[0];
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// The bytes with the bits of one byte, counted from the end, changed.
pub fn flipped(bytes: &[u8], from_end: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = bytes.len() - from_end;
    bytes[at] ^= 0x01;
    bytes
}
