//! Did a TPM sign it?

use evidence::{Bytes, Rejected, Statement};
use forge::{RsaScheme, TpmKey, World};

use crate::case::{Attempt, Case, check, defect, digest, rejected, sealed, statement_bytes};

const FIRMWARE_VERSION: usize = 4 + 2 + (2 + 34) + (2 + 32) + 8 + 4 + 4 + 1;

fn rsa_signed(scheme: RsaScheme, signature: fn(&mut Vec<u8>)) -> Attempt {
    let world = World::with_attestation_key(TpmKey::rsa_attestation(scheme));
    sealed(&world, |evidence| signature(&mut evidence.signature.0))
}

pub const CASES: &[Case] = &[
    defect(Rejected::ProofInvalid, "a place beyond the leaves", |world| sealed(world, |e| e.proof.index = 3)),
    defect(Rejected::ProofInvalid, "a tree without leaves", |world| sealed(world, |e| e.proof.count = 0)),
    defect(Rejected::ProofInvalid, "a tree with too many leaves", |world| {
        sealed(world, |e| e.proof.count = 1025)
    }),
    defect(Rejected::ProofInvalid, "a path that is too short", |world| {
        sealed(world, |e| e.proof.path.clear())
    }),
    defect(Rejected::ProofInvalid, "a path that is too long", |world| {
        sealed(world, |e| e.proof.path.push(digest(1)))
    }),
    defect(Rejected::QuoteMalformed, "a magic that no TPM writes", |world| {
        sealed(world, |e| e.quote.0[0] = 0)
    }),
    defect(Rejected::QuoteMalformed, "another attestation than a quote", |world| {
        sealed(world, |e| e.quote.0[5] = 0x17)
    }),
    defect(Rejected::QuoteMalformed, "a byte after the quote", |world| sealed(world, |e| e.quote.0.push(0))),
    defect(Rejected::QuoteMalformed, "half a quote", |world| sealed(world, |e| e.quote.0.truncate(70))),
    defect(Rejected::QuoteData, "a proof of another place", |world| {
        sealed(world, |e| e.proof.path[0] = digest(1))
    }),
    defect(Rejected::QuoteData, "a quote for another number of leaves", |world| {
        // One sibling on the left: the path of leaf 2 of 3 and of leaf 1 of 2 alike.
        sealed(world, |e| (e.proof.index, e.proof.count) = (1, 2))
    }),
    defect(Rejected::QuoteData, "a statement that was changed after it was signed", |world| {
        let statement = Statement { agent_time: 1, ..world.draft().statement };
        let mut draft = world.draft();
        draft.statement = statement;
        let bytes = statement_bytes(&draft);
        sealed(world, |evidence| evidence.statement = Bytes(bytes))
    }),
    defect(Rejected::SignatureMalformed, "a signature of another hash", |world| {
        sealed(world, |e| e.signature.0[3] = 0x04)
    }),
    defect(Rejected::SignatureMalformed, "no signature", |world| sealed(world, |e| e.signature.0.clear())),
    defect(Rejected::SignatureMalformed, "a byte after the signature", |world| {
        sealed(world, |e| e.signature.0.push(0))
    }),
    defect(Rejected::QuoteSignature, "a signature with a changed bit", |world| {
        sealed(world, |e| *e.signature.0.last_mut().unwrap() ^= 1)
    }),
    defect(Rejected::QuoteSignature, "a signature by another key", |world| {
        sealed(world, |e| e.signature = Bytes(TpmKey::attestation(6).sign(&e.quote.0)))
    }),
    defect(Rejected::QuoteSignature, "another firmware version in the quote", |world| {
        sealed(world, |e| e.quote.0[FIRMWARE_VERSION + 7] ^= 1)
    }),
    defect(Rejected::QuoteSignature, "a signature of another kind of key", |world| {
        let rsa = TpmKey::rsa_attestation(RsaScheme::Rsassa);
        sealed(world, |e| e.signature = Bytes(rsa.sign(&e.quote.0)))
    }),
    defect(Rejected::QuoteSignature, "an RSASSA signature with a changed bit", |_| {
        rsa_signed(RsaScheme::Rsassa, |signature| *signature.last_mut().unwrap() ^= 1)
    }),
    defect(Rejected::QuoteSignature, "an RSAPSS signature with a changed bit", |_| {
        rsa_signed(RsaScheme::Rsapss, |signature| *signature.last_mut().unwrap() ^= 1)
    }),
    defect(Rejected::QuoteSignature, "an RSASSA signature that says it is RSAPSS", |_| {
        rsa_signed(RsaScheme::Rsassa, |signature| signature[1] = 0x16)
    }),
    defect(Rejected::QuoteSignature, "an RSAPSS signature by a key for RSASSA", |_| {
        let world = World::with_attestation_key(TpmKey::rsa_attestation(RsaScheme::Rsassa));
        let other = TpmKey::rsa_attestation(RsaScheme::Rsapss);
        sealed(&world, |evidence| evidence.signature = Bytes(other.sign(&evidence.quote.0)))
    }),
    defect(Rejected::SignatureMalformed, "an RSA signature of an unknown scheme", |_| {
        rsa_signed(RsaScheme::Rsassa, |signature| signature[1] = 0x15)
    }),
];

#[test]
fn what_no_tpm_signed_is_rejected() {
    check(CASES);
}

#[test]
fn an_rsa_signature_is_refused_in_the_other_scheme_both_ways() {
    for (key, signer) in [(RsaScheme::Rsassa, RsaScheme::Rsapss), (RsaScheme::Rsapss, RsaScheme::Rsassa)] {
        let world = World::with_attestation_key(TpmKey::rsa_attestation(key));
        let signer = TpmKey::rsa_attestation(signer);
        let attempt = sealed(&world, |evidence| evidence.signature = Bytes(signer.sign(&evidence.quote.0)));
        assert_eq!(rejected(attempt), Rejected::QuoteSignature);
    }
}
