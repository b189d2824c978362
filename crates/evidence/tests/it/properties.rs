//! What holds for every input.

use evidence::tree::{Tree, leaf};
use evidence::{Audience, Channel, EnclaveClaim, Evidence, NoChannel, Proof, Purpose, Statement};
use forge::World;
use names::{Digest, EnclaveId, SpiffeId};
use proptest::array::{uniform16, uniform32};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;

fn digests() -> impl Strategy<Value = Digest> {
    uniform32(any::<u8>()).prop_map(Digest::from_bytes)
}

fn nodes() -> impl Strategy<Value = SpiffeId> {
    "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?".prop_map(|name| format!("spiffe://td/node/{name}").parse().unwrap())
}

fn audiences() -> impl Strategy<Value = Audience> {
    prop_oneof![
        Just(Audience::Anonymous),
        digests().prop_map(Audience::Key),
        nodes().prop_map(Audience::Service)
    ]
}

fn channels() -> impl Strategy<Value = Channel> {
    prop_oneof![
        Just(Channel::None(NoChannel::NotOffered)),
        Just(Channel::None(NoChannel::Recorded)),
        uniform32(any::<u8>()).prop_map(Channel::Exporter)
    ]
}

fn claims() -> impl Strategy<Value = EnclaveClaim> {
    (uniform16(any::<u8>()), any::<u64>(), vec(digests(), 5)).prop_map(|(id, incarnation, digests)| {
        EnclaveClaim {
            id: EnclaveId::from_bytes(id),
            incarnation,
            owner: digests[0],
            version: digests[1],
            instance: digests[2],
            facade: digests[3],
            spki: digests[4],
        }
    })
}

fn statements() -> impl Strategy<Value = Statement> {
    let purposes =
        prop_oneof![Just(Purpose::Serve), Just(Purpose::Issue), Just(Purpose::Release), Just(Purpose::Node)];
    let who = (purposes, audiences(), uniform32(any::<u8>()), vec(any::<u8>(), 34), nodes());
    let what = (option::of(claims()), option::of(digests()), option::of(digests()), digests(), channels());
    (who, what, any::<u64>(), any::<u64>()).prop_map(|(who, what, log_count, agent_time)| {
        let (purpose, audience, nonce, ak_name, node) = who;
        let (enclave, request, certificate, agent, channel) = what;
        let ak_name = ak_name.try_into().unwrap();
        Statement {
            purpose,
            audience,
            nonce,
            request,
            ak_name,
            node,
            enclave,
            agent,
            certificate,
            channel,
            log_count,
            agent_time,
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(statement in statements()) {
        if let Ok(bytes) = statement.encode() {
            assert_eq!(Statement::parse(&bytes), Ok(statement));
        }
    }

    #[test]
    fn no_bytes_make_a_statements_reader_panic(bytes in vec(any::<u8>(), 0..600)) {
        drop(Statement::parse(&bytes));
        drop(Statement::parse(&[b"sealwright/statement/v1\0\x02\0\x01".as_slice(), &bytes].concat()));
    }

    #[test]
    fn what_is_read_is_written_back(at in any::<Index>(), value in any::<u8>()) {
        let mut bytes = World::new().draft().statement.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(statement) = Statement::parse(&bytes) {
            assert_eq!(statement.encode(), Ok(bytes));
        }
    }

    #[test]
    fn no_bytes_make_a_bundles_reader_panic(bytes in vec(any::<u8>(), 0..400)) {
        drop(Evidence::from_json(&bytes));
    }

    #[test]
    fn no_text_in_a_bundle_makes_its_reader_panic(text in ".{0,40}", member in 0..6usize) {
        let members = ["format", "statement", "quote", "signature", "ak_public", "enclave_log"];
        let mut bundle: serde_json::Value = serde_json::from_slice(&World::new().draft().seal().to_json()).unwrap();
        bundle[members[member]] = text.into();
        drop(Evidence::from_json(&serde_json::to_vec(&bundle).unwrap()));
    }

    #[test]
    fn every_leaf_is_proved_and_no_other_is(seeds in vec(any::<u16>(), 1..200), at in any::<Index>(), other in digests()) {
        let leaves: Vec<Digest> = seeds.iter().map(|seed| leaf(&seed.to_be_bytes())).collect();
        let at = at.index(leaves.len());
        let tree = Tree::new(leaves.clone()).unwrap();
        let proof = tree.proof(u32::try_from(at).unwrap()).unwrap();
        assert_eq!(proof.root(&leaves[at]), Ok(tree.root()));
        assert_ne!(proof.root(&other), Ok(tree.root()));
    }

    #[test]
    fn no_proof_makes_the_walk_panic(index in any::<u32>(), count in any::<u32>(), length in 0..40usize, leaf in digests()) {
        let walk = |count| Proof { index, count, path: vec![leaf; length] }.root(&leaf);
        let _ = walk(count);
        let _ = walk(count % 1025);
    }
}
