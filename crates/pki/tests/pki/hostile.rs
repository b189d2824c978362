//! Nothing panics on any bytes: random ones, and good ones with a few changes.

use pki::{
    Certificate, Oid, PublicKey, csr,
    jwk::Jwks,
    jws::{KeyHint, Unverified},
    path,
};
use proptest::prelude::*;

use crate::{NOW, authorities, key};

fn read_all(bytes: &[u8]) {
    let _ = Certificate::from_der(bytes).map(|certificate| certificate.public_key());
    let _ = csr::Csr::from_der(bytes);
    let _ = PublicKey::from_spki(bytes);
    let _ = Jwks::parse(bytes);
    let _ = path::verify(&[bytes], &[], NOW, Oid::SERVER_AUTH);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Unverified::parse(text);
        let _ = Certificate::all_from_pem(text);
    }
}

fn samples() -> Vec<Vec<u8>> {
    let authorities = authorities();
    let token = pki::jws::sign("t", &KeyHint::Id("k".into()), &[1, 2], &key(1)).unwrap();
    vec![
        authorities.facade().der().to_vec(),
        authorities.root.der().to_vec(),
        authorities.root.to_pem().into_bytes(),
        csr::build(&key(1), "x").unwrap(),
        token.into_bytes(),
    ]
}

proptest! {
    #[test]
    fn random_bytes_are_refused_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }

    #[test]
    fn changed_samples_are_read_quietly(
        which in 0usize..5,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let mut bytes = samples().swap_remove(which);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if shorten {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_all(&bytes);
    }

    /// A changed certificate is either refused or keeps its signature's word: it never verifies.
    #[test]
    fn a_changed_byte_never_verifies(place in any::<prop::sample::Index>(), flip in 1u8..) {
        let authorities = authorities();
        let mut der = authorities.facade().der().to_vec();
        let place = place.index(der.len());
        der[place] ^= flip;
        let chain = [der.as_slice(), authorities.issuing.der()];
        prop_assert!(path::verify(&chain, &[authorities.root], NOW, Oid::SERVER_AUTH).is_err());
    }
}
