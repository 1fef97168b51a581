//! Changes to records that keep what is around them right: lengths, counts, and signatures by the test network's keys.
//!
//! Votes are never signed anew, so no header is certified that was not.

use stemma_chain_format::cose::ContentType;
use stemma_chain_format::cose::sig_structure;
use stemma_chain_format::cosign::signed_bytes;
use stemma_chain_format::keys::{self, PublicKey};

use crate::known::KNOWN;
use crate::tree::{self, Node};

/// Numbers from a seed (xorshift64*), so that a run can be repeated.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }
}

/// Changes an input in place; its new size. Half of the changes are libFuzzer's own, as are all where the input is no CBOR.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut chance = Chance(u64::from(seed) << 1 | 1);
    chance.next();
    let structured = if chance.below(2) == 0 { None } else { changed(&data[..size], &mut chance) };
    match structured.filter(|bytes| bytes.len() <= max_size) {
        Some(bytes) => {
            data[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        }
        None => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
}

fn changed(bytes: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    let mut nodes = tree::read(bytes)?;
    for _ in 0..=chance.below(3) {
        change(&mut nodes, chance)?;
    }
    if chance.below(4) > 0 {
        sign(&mut nodes);
    }
    Some(tree::write(&nodes))
}

/// One change at a node by chance.
fn change(nodes: &mut Vec<Node>, chance: &mut Chance) -> Option<()> {
    let count = tree::count(nodes);
    let at = chance.below(count + 1);
    if at == count {
        rearrange(nodes, chance);
        return Some(());
    }
    let other = tree::nth(nodes, chance.below(count))?.clone();
    let node = tree::nth(nodes, at)?;
    if chance.below(8) == 0 {
        *node = other;
        return Some(());
    }
    match node {
        Node::Number(_, number) => {
            *number = match chance.below(4) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_sub(1),
                2 => *number ^ (1 << chance.below(64)),
                _ => chance.next() >> chance.below(64),
            }
        }
        Node::Bytes(_, content) => match other {
            Node::Bytes(_, other) if chance.below(2) == 0 => *content = other,
            _ => {
                let at = chance.below(content.len());
                if let Some(byte) = content.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
        },
        Node::Packed(nodes) | Node::List(_, nodes) => rearrange(nodes, chance),
        Node::Tag(..) => {}
    }
    Some(())
}

/// Takes one out, puts one in twice, or swaps two.
fn rearrange(nodes: &mut Vec<Node>, chance: &mut Chance) {
    if nodes.is_empty() {
        return;
    }
    let (at, other) = (chance.below(nodes.len()), chance.below(nodes.len()));
    match chance.below(3) {
        0 => {
            nodes.remove(at);
        }
        1 => nodes.insert(other, nodes[at].clone()),
        _ => nodes.swap(at, other),
    }
}

/// Signs every envelope anew whose signer's key is known, what lies deepest first.
pub fn sign(nodes: &mut [Node]) {
    for node in nodes {
        if let Some(children) = node.children() {
            sign(children);
        }
        let Node::Tag(tag, tagged) = node else { continue };
        let Some(Node::List(4, parts)) = tagged.first_mut() else { continue };
        let [protected, _, payload, last] = parts.as_mut_slice() else { continue };
        let Some(payload) = content(payload) else { continue };
        match (*tag, last) {
            (18, Node::Bytes(2, signature)) => {
                one(protected, signature, |protected, _| sig_structure(protected, &payload))
            }
            (98, Node::List(4, signatures)) => {
                for signature in signatures {
                    let Node::List(4, parts) = signature else { continue };
                    let [protected, _, Node::Bytes(2, signature)] = parts.as_mut_slice() else { continue };
                    one(protected, signature, |protected, key| {
                        let is_genesis = protected.windows(7).any(|part| part == b"genesis");
                        let content = if is_genesis { ContentType::Genesis } else { ContentType::Governance };
                        signed_bytes(content, key, &payload)
                    });
                }
            }
            _ => {}
        }
    }
}

fn one(protected: &Node, signature: &mut Vec<u8>, message: impl Fn(&[u8], &PublicKey) -> Vec<u8>) {
    let Some(protected) = content(protected) else { return };
    // The signer's key ends the protected header.
    let key = protected.last_chunk::<32>().map(|key| PublicKey(*key));
    if let Some((public, key)) = key.and_then(|key| KNOWN.keys.get_key_value(&key)) {
        *signature = keys::sign(key, &message(&protected, public)).0.to_vec();
    }
}

/// What a byte string holds.
fn content(node: &Node) -> Option<Vec<u8>> {
    match node {
        Node::Bytes(2, content) => Some(content.clone()),
        Node::Packed(nodes) => Some(tree::write(nodes)),
        _ => None,
    }
}

/// Requires that reading and signing anew give back every vector, byte for byte.
///
/// # Panics
/// Where they do not.
pub fn check() {
    for vector in KNOWN.vectors.iter().filter(|vector| vector.record != "inclusion-path") {
        let mut nodes = tree::read(&vector.bytes).expect("vectors are CBOR");
        sign(&mut nodes);
        assert_eq!(tree::write(&nodes), vector.bytes, "{}", vector.name);
    }
}
