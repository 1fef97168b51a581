//! Bundles.

use stemma_chain_format::bundle::{self, Bundle, Element, Head, Items, Verdict};

use crate::known::KNOWN;
use crate::only;

/// What a bundle proves is so, and it has one encoding.
///
/// # Panics
/// Where that does not hold.
pub fn bundle(bytes: &[u8]) -> bool {
    let Verdict::Verified(proved) = bundle::verify(bytes, &KNOWN.genesis) else { return false };
    let read = Bundle::decode(bytes).expect("what is verified can be read");
    assert_eq!(read.encode(), bytes, "verified, but written otherwise");
    assert!(KNOWN.is_so(&proved), "proved, but not so: {proved:?}");
    let again = bundle::verify(bytes, &KNOWN.genesis);
    assert_eq!(again, Verdict::Verified(proved), "another verdict on the same bytes");
    true
}

/// What is read is written so, whether it comes whole or in pieces.
///
/// # Panics
/// Where that does not hold.
pub fn form(bytes: &[u8]) -> bool {
    let whole = Bundle::decode(bytes);
    let in_pieces = pieces(bytes);
    match (&whole, in_pieces) {
        (Ok(whole), Some(in_pieces)) => {
            assert_eq!(whole.encode(), bytes, "read, but written otherwise");
            assert_eq!(*whole, in_pieces, "another bundle in pieces");
            assert!(Bundle::decode(&[bytes, &[0]].concat()).is_err(), "read with a byte after its end");
        }
        (Err(_), None) => {}
        (whole, in_pieces) => panic!("whole: {whole:?}, in pieces: {in_pieces:?}"),
    }
    if let Ok(element) = Element::decode(bytes) {
        assert_eq!(stemma_chain_format::cbor::encode(&element), bytes);
        only(bytes, |bytes| Element::decode(bytes).is_ok());
    }
    whole.is_ok()
}

/// The same bundle from pieces whose sizes the bytes themselves say.
fn pieces(bytes: &[u8]) -> Option<Bundle> {
    let (mut items, mut read, mut rest) = (Items::new(), Vec::new(), bytes);
    while let Some(first) = rest.first() {
        let (piece, after) = rest.split_at(rest.len().min(1 + usize::from(*first)));
        items.push(piece);
        rest = after;
        while let Some(item) = items.take().ok()? {
            read.push(item.to_vec());
        }
    }
    while let Some(item) = items.take_or_end().ok()? {
        read.push(item.to_vec());
    }
    let mut read = read.into_iter();
    let head = Head::first(read.next().as_deref()).ok()?;
    let elements: Result<Vec<_>, _> = read.map(|item| Element::decode(&item)).collect();
    Some(Bundle { head, elements: elements.ok()? })
}
