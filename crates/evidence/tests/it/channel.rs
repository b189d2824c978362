//! Was it made for this connection, and is the certificate the enclave's?

use evidence::{Bytes, Channel, NoChannel, Rejected};
use forge::World;
use logs::enclave::Event;
use names::{Digest, EnclaveId, Part};
use pki::Certificate;

use crate::case::{Attempt, Case, check, defect, digest, drafted, no_answer, question, sealed};

/// Evidence that speaks of this certificate, asked by a client who saw it.
fn with_certificate(world: &World, certificate: &Certificate) -> Attempt {
    let stated = Digest::of(certificate.der());
    drafted(world, |draft| {
        draft.statement.certificate = Some(stated);
        draft.certificate = Some(certificate.clone());
    })
    .asked(question(world, |question| question.certificate = stated))
}

pub const CASES: &[Case] = &[
    no_answer(Rejected::CertificateMismatch, "a man in the middle with a certificate of his own", |world| {
        sealed(world, |_| ()).asked(question(world, |question| question.certificate = digest(9)))
    }),
    no_answer(Rejected::ChannelMissing, "evidence without a channel, where one is required", |world| {
        drafted(world, |draft| draft.statement.channel = Channel::None(NoChannel::Recorded))
    }),
    no_answer(Rejected::ChannelMissing, "evidence of a path without channels", |world| {
        drafted(world, |draft| draft.statement.channel = Channel::None(NoChannel::NotOffered))
    }),
    no_answer(Rejected::ChannelMismatch, "evidence of another connection", |world| {
        drafted(world, |draft| draft.statement.channel = Channel::Exporter([0xcd; 32]))
    }),
    defect(Rejected::CertificateMissing, "evidence without the enclave's certificate", |world| {
        sealed(world, |evidence| evidence.certificate = None)
    }),
    defect(Rejected::CertificateMismatch, "another certificate than the stated one", |world| {
        let other = world.certify_facade("other.enclaves.localhost", &world.enclave.id);
        sealed(world, |evidence| evidence.certificate = Some(Bytes(other.der().to_vec())))
    }),
    defect(Rejected::CertificateMalformed, "a stated certificate that is none", |world| {
        let stated = Digest::of(b"no certificate");
        let mut attempt = drafted(world, |draft| draft.statement.certificate = Some(stated));
        attempt.evidence.certificate = Some(Bytes(b"no certificate".to_vec()));
        attempt.asked(question(world, |question| question.certificate = stated))
    }),
    defect(Rejected::CertificateKeyMismatch, "a certificate of another key than the enclave's", |world| {
        drafted(world, |draft| {
            draft.statement.enclave.as_mut().unwrap().spki = digest(9);
            draft.events[2] = Event::Key { enclave: world.enclave.id, incarnation: 3, spki: digest(9) };
        })
    }),
    defect(
        Rejected::CertificateNameMismatch,
        "a certificate of another enclave with the same key",
        |world| {
            with_certificate(
                world,
                &world.certify_facade(&world.dns_name, &EnclaveId::from_bytes([0xe2; 16])),
            )
        },
    ),
    defect(Rejected::CertificateNameMismatch, "a certificate of a part with the same key", |_| {
        let mut world = World::new();
        world.verifier_key = World::new().facade_key;
        with_certificate(&World::new(), &world.certify_part(Part::Gateway))
    }),
];

#[test]
fn what_was_made_for_another_connection_is_rejected() {
    check(CASES);
}

#[test]
fn evidence_for_a_request_needs_no_certificate() {
    let world = World::new();
    let attempt = Attempt::new(&world, world.issue_draft().seal()).asked(world.issue_challenge());
    assert_eq!(attempt.evidence.certificate, None);
    crate::case::accepted(attempt);
}
