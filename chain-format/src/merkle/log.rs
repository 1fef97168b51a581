//! The tree of RFC 6962 §2.1 (and RFC 9162 §2.1): leaves `H(0x00 ‖ data)`, nodes `H(0x01 ‖ left ‖ right)`, split at the
//! largest power of two below the size. Ours hashes with BLAKE3; the hash is a parameter so that the public SHA-256
//! vectors test the very same code.

use crate::error::{Rule, Violation};
use crate::hash::Digest;

/// A hash for the tree.
pub trait TreeHash {
    /// Hashes the concatenation of some parts.
    fn hash(parts: &[&[u8]]) -> Digest;
}

/// BLAKE3, the hash of every tree on the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Blake3;

impl TreeHash for Blake3 {
    fn hash(parts: &[&[u8]]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }
}

/// The hash of a leaf's data.
pub fn leaf_hash(data: &[u8]) -> Digest {
    Blake3::hash(&[&[0], data])
}

fn node<H: TreeHash>(left: &Digest, right: &Digest) -> Digest {
    H::hash(&[&[1], &left.0, &right.0])
}

/// The root over leaf hashes; of none, the hash of nothing.
pub fn root(leaves: &[Digest]) -> Digest {
    root_with::<Blake3>(leaves)
}

/// [`root`] with another hash.
pub fn root_with<H: TreeHash>(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => H::hash(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len()));
            node::<H>(&root_with::<H>(left), &root_with::<H>(right))
        }
    }
}

/// The largest power of two below a size of at least two.
fn split_point(size: usize) -> usize {
    size.div_ceil(2).next_power_of_two()
}

/// The path that proves the leaf at an index, from the leaf's sibling up; `None` where there is no such leaf.
pub fn inclusion_path(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    Some(sided_path(leaves, index)?.into_iter().map(|step| step.sibling).collect())
}

/// One step of a path that says on which side its sibling stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SidedStep {
    /// The sibling is the left one of the two.
    #[n(0)]
    pub is_left: bool,
    /// The sibling's hash.
    #[n(1)]
    pub sibling: Digest,
}

/// [`inclusion_path`] with the sides: a root does not tell how many leaves it has, so an index proves nothing by itself, but which
/// sibling stands on which side the root does fix.
pub fn sided_path(leaves: &[Digest], index: usize) -> Option<Vec<SidedStep>> {
    if index >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut part, mut at) = (leaves, index);
    while part.len() > 1 {
        let split = split_point(part.len());
        let (left, right) = part.split_at(split);
        if at < split {
            path.push(SidedStep { is_left: false, sibling: root(right) });
            part = left;
        } else {
            path.push(SidedStep { is_left: true, sibling: root(left) });
            part = right;
            at = at.checked_sub(split)?;
        }
    }
    path.reverse();
    Some(path)
}

/// Checks a path with sides.
///
/// # Errors
/// [`Rule::Proof`] where it is longer than 64 steps, or does not lead from the leaf to the root.
pub fn verify_sided(leaf: &Digest, path: &[SidedStep], root: &Digest) -> Result<(), Violation> {
    const STEPS_MAX: usize = 64;
    if path.len() > STEPS_MAX {
        return Err(wrong("at most 64 steps", path.len()));
    }
    let hash =
        path.iter().fold(
            *leaf,
            |hash, SidedStep { is_left, sibling }| {
                if *is_left { node::<Blake3>(sibling, &hash) } else { node::<Blake3>(&hash, sibling) }
            },
        );
    if hash == *root { Ok(()) } else { Err(wrong(&root.to_string(), hash)) }
}

fn wrong(expected: &str, found: impl std::fmt::Display) -> Violation {
    Violation::new(Rule::Proof, "merkle.path", expected, found)
}

/// Checks an inclusion path (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`Rule::Proof`] where the path does not lead from the leaf to the root.
pub fn verify_inclusion<H: TreeHash>(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), Violation> {
    if index >= size {
        return Err(wrong("an index below the tree's size", format!("{index} of {size}")));
    }
    let (mut fn_, mut sn) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in path {
        if sn == 0 {
            return Err(wrong("a path no longer than the tree is high", "a longer path"));
        }
        if fn_ & 1 == 1 || fn_ == sn {
            hash = node::<H>(sibling, &hash);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            hash = node::<H>(&hash, sibling);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    if sn != 0 {
        return Err(wrong("a path as long as the tree is high", "a shorter path"));
    }
    if hash == *root { Ok(()) } else { Err(wrong(&root.to_string(), hash)) }
}

/// Checks that a tree of one size is the beginning of a tree of a larger one (RFC 9162 §2.1.4.2).
///
/// # Errors
/// [`Rule::Proof`] where the path does not connect both roots.
pub fn verify_consistency<H: TreeHash>(
    size: u64,
    root: &Digest,
    larger_size: u64,
    larger_root: &Digest,
    path: &[Digest],
) -> Result<(), Violation> {
    if size == 0 || size > larger_size {
        return Err(wrong("sizes in ascending order, from one", format!("{size}, {larger_size}")));
    }
    if size == larger_size {
        let holds = path.is_empty() && root == larger_root;
        return if holds { Ok(()) } else { Err(wrong("equal roots and no path", "otherwise")) };
    }
    let mut rest = path.iter();
    let first = if size.is_power_of_two() { Some(root) } else { rest.next() };
    let first = *first.ok_or_else(|| wrong("a path", "an empty path"))?;
    let (mut fn_, mut sn) = (size.saturating_sub(1), larger_size.saturating_sub(1));
    while fn_ & 1 == 1 {
        fn_ >>= 1;
        sn >>= 1;
    }
    let (mut small, mut large) = (first, first);
    for sibling in rest {
        if sn == 0 {
            return Err(wrong("a path no longer than the tree is high", "a longer path"));
        }
        if fn_ & 1 == 1 || fn_ == sn {
            small = node::<H>(sibling, &small);
            large = node::<H>(sibling, &large);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            large = node::<H>(&large, sibling);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    if small != *root {
        return Err(wrong(&root.to_string(), small));
    }
    if large != *larger_root || sn != 0 {
        return Err(wrong(&larger_root.to_string(), large));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sided_path_leads_from_its_leaf_alone() {
        for size in 1..40_u8 {
            let leaves: Vec<Digest> = (0..size).map(|n| leaf_hash(&[n])).collect();
            let root = root(&leaves);
            for index in 0..leaves.len() {
                let path = sided_path(&leaves, index).unwrap();
                for (other, leaf) in leaves.iter().enumerate() {
                    assert_eq!(
                        verify_sided(leaf, &path, &root).is_ok(),
                        other == index,
                        "{other} by {index} of {size}"
                    );
                }
            }
            assert_eq!(sided_path(&leaves, leaves.len()), None);
        }
    }
}
