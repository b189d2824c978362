//! Proofs that lead nowhere, by their reasons.

use evidence::tree::{MAX_LEAVES, Tree, leaf};
use evidence::{Proof, ProofError, quote_data};
use names::Digest;

use crate::case::digest;

#[test]
fn every_impossible_proof_is_refused_by_its_reason() {
    let place = |index, count, length| Proof { index, count, path: vec![digest(1); length] };
    let cases = [
        (place(0, 0, 0), Err(ProofError::Count)),
        (place(0, MAX_LEAVES + 1, 11), Err(ProofError::Count)),
        (place(0, MAX_LEAVES, 10), Ok(())),
        (place(1, 1, 0), Err(ProofError::Index)),
        (place(2, 2, 1), Err(ProofError::Index)),
        (place(u32::MAX, MAX_LEAVES, 10), Err(ProofError::Index)),
        (place(0, 1, 1), Err(ProofError::Length)),
        (place(1, 2, 0), Err(ProofError::Length)),
        (place(2, 3, 2), Err(ProofError::Length)),
        (place(2, 3, 1), Ok(())),
    ];
    for (proof, expected) in cases {
        assert_eq!(proof.root(&leaf(b"x")).map(drop), expected, "{proof:?}");
    }
}

#[test]
fn a_tree_is_refused_by_its_reason() {
    assert_eq!(Tree::new(Vec::new()).err(), Some(ProofError::Count));
    let tree = Tree::new(vec![digest(1); 3]).unwrap();
    assert_eq!((tree.count(), tree.proof(3)), (3, Err(ProofError::Index)));
}

#[test]
fn leaves_nodes_and_heads_are_hashed_in_different_domains() {
    let tree = Tree::new(vec![leaf(b"a"), leaf(b"b")]).unwrap();
    assert_eq!(leaf(b"a"), Digest::of(b"\0a"));
    let inner = [&[1], leaf(b"a").as_bytes().as_slice(), leaf(b"b").as_bytes()].concat();
    assert_eq!(tree.root(), Digest::of(&inner));
    let head = [b"sealwright/quote/v1".as_slice(), &[0, 0, 0, 2], tree.root().as_bytes()].concat();
    assert_eq!(quote_data(2, tree.root().as_bytes()), Digest::of(&head));
}
