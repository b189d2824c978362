//! The hash tree that lets one quote speak for many statements (RFC 6962, 2.1, with the domain bytes 0x00 and 0x01).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use names::Digest;

/// Most leaves that one quote speaks for.
pub const MAX_LEAVES: u32 = 1024;

/// Where a statement stands in the tree: index, number of leaves, and the sibling hashes from leaf to root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Position of the leaf, from 0.
    pub index: u32,
    /// Number of leaves, 1 to [`MAX_LEAVES`].
    pub count: u32,
    /// Sibling hashes, nearest first.
    pub path: Vec<Digest>,
}

/// Why a proof leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No leaves, or more than [`MAX_LEAVES`].
    #[error("leaf count is not between 1 and {MAX_LEAVES}")]
    Count,
    /// The index is not below the count.
    #[error("leaf index is not below the leaf count")]
    Index,
    /// The path is not exactly as long as index and count imply.
    #[error("path length is not what index and count imply")]
    Length,
}

/// Hash of a statement as a leaf.
#[must_use]
pub fn leaf(statement: &[u8]) -> Digest {
    Digest::of_parts(&[&[0x00], statement])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&[0x01], left.as_bytes(), right.as_bytes()])
}

impl Proof {
    /// The root that this proof and a leaf lead to (RFC 9162, 2.1.3.2).
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn root(&self, leaf: &Digest) -> Result<Digest, ProofError> {
        if self.count == 0 || self.count > MAX_LEAVES {
            return Err(ProofError::Count);
        }
        if self.index >= self.count {
            return Err(ProofError::Index);
        }
        let (mut position, mut last) = (self.index, self.count - 1);
        let mut hash = *leaf;
        for sibling in &self.path {
            if last == 0 {
                return Err(ProofError::Length);
            }
            if position % 2 == 1 || position == last {
                hash = node(sibling, &hash);
                while position % 2 == 0 && position != 0 {
                    position /= 2;
                    last /= 2;
                }
            } else {
                hash = node(&hash, sibling);
            }
            position /= 2;
            last /= 2;
        }
        if last == 0 { Ok(hash) } else { Err(ProofError::Length) }
    }
}

/// A tree over leaf hashes, kept level by level so that every proof is a walk.
#[derive(Debug, Clone)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// Builds the tree.
    ///
    /// # Errors
    /// [`ProofError::Count`] for no leaves or more than [`MAX_LEAVES`].
    pub fn new(leaves: Vec<Digest>) -> Result<Self, ProofError> {
        let count = u32::try_from(leaves.len()).map_err(|_| ProofError::Count)?;
        if count == 0 || count > MAX_LEAVES {
            return Err(ProofError::Count);
        }
        let mut levels = alloc::vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let pair = |pair: &[Digest]| match pair {
                [left, right] => Some(node(left, right)),
                [alone] => Some(*alone),
                _ => None,
            };
            let above = below.chunks(2).filter_map(pair).collect();
            levels.push(above);
        }
        Ok(Self { levels })
    }

    /// Number of leaves.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.levels.first().and_then(|leaves| u32::try_from(leaves.len()).ok()).unwrap_or(0)
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Digest {
        let top = self.levels.last().and_then(|level| level.first());
        top.copied().unwrap_or(Digest::from_bytes([0; 32]))
    }

    /// The proof of one leaf.
    ///
    /// # Errors
    /// [`ProofError::Index`].
    pub fn proof(&self, index: u32) -> Result<Proof, ProofError> {
        if index >= self.count() {
            return Err(ProofError::Index);
        }
        let mut path = Vec::new();
        let mut position = index as usize;
        for level in &self.levels {
            if let Some(sibling) = level.get(position ^ 1) {
                path.push(*sibling);
            }
            position /= 2;
        }
        Ok(Proof { index, count: self.count(), path })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn leaves(count: u8) -> Vec<Digest> {
        (0..count).map(|i| leaf(&[i])).collect()
    }

    /// RFC 6962 2.1 written as it stands there, as a second opinion.
    fn reference_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [one] => *one,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&reference_root(&leaves[..split]), &reference_root(&leaves[split..]))
            }
        }
    }

    #[test]
    fn every_leaf_of_every_size_is_proved() {
        for count in 1..=70u8 {
            let tree = Tree::new(leaves(count)).unwrap();
            assert_eq!(tree.root(), reference_root(&leaves(count)), "{count}");
            for index in 0..u32::from(count) {
                let proof = tree.proof(index).unwrap();
                assert_eq!(proof.root(&leaf(&[index as u8])), Ok(tree.root()), "{index} of {count}");
            }
        }
    }

    #[test]
    fn a_proof_has_exactly_one_length_and_place() {
        for count in 1..=17u8 {
            let tree = Tree::new(leaves(count)).unwrap();
            for index in 0..u32::from(count) {
                let good = tree.proof(index).unwrap();
                let mut long = good.clone();
                long.path.push(tree.root());
                assert_eq!(long.root(&leaf(&[index as u8])), Err(ProofError::Length));
                let mut short = good.clone();
                if short.path.pop().is_some() {
                    assert_eq!(short.root(&leaf(&[index as u8])), Err(ProofError::Length));
                }
                for other in (0..u32::from(count)).filter(|other| *other != index) {
                    let moved = Proof { index: other, ..good.clone() };
                    assert_ne!(moved.root(&leaf(&[index as u8])), Ok(tree.root()), "{index} as {other}");
                }
            }
        }
    }

    #[test]
    fn an_inner_node_is_not_a_leaf() {
        let tree = Tree::new(leaves(4)).unwrap();
        let inner = node(&leaf(&[0]), &leaf(&[1]));
        let proof = Proof { index: 0, count: 2, path: alloc::vec![node(&leaf(&[2]), &leaf(&[3]))] };
        // The path itself leads to the root; the leaf count, which the quote signs, and the leaf's domain byte do not.
        assert_eq!(proof.root(&inner), Ok(tree.root()));
        assert_ne!(
            crate::quote_data(2, tree.root().as_bytes()),
            crate::quote_data(4, tree.root().as_bytes())
        );
        assert!((0..=255u8).all(|byte| leaf(&[byte]) != inner));
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(Tree::new(Vec::new()).err(), Some(ProofError::Count));
        let digest = leaf(&[]);
        assert!(Tree::new(alloc::vec![digest; 1024]).is_ok());
        assert_eq!(Tree::new(alloc::vec![digest; 1025]).err(), Some(ProofError::Count));
        for (index, count, error) in
            [(0, 0, ProofError::Count), (0, 1025, ProofError::Count), (1, 1, ProofError::Index)]
        {
            assert_eq!(Proof { index, count, path: Vec::new() }.root(&digest), Err(error));
        }
    }
}
