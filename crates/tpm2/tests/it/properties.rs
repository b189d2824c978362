//! No bytes make a parser panic, and what it accepts it would write the same way.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use tpm2::command::{
    ContextLoad, ContextSave, CreatePrimary, Created, GetHandles, GetProperties, GetRandom, NvReadPublic,
    PcrRead, PolicyGetDigest, Quote, ReadPublic, Sign, StartAuthSession, Unseal,
};
use tpm2::credential::Salt;
use tpm2::frame::{Request, decode};
use tpm2::public::PublicFields;
use tpm2::session::{Authorization, SessionKind};
use tpm2::{Attest, Entity, Handle, Name, PcrSelection, PublicArea, Signature, template, verify_signature};

use crate::support::{attest, public, sign, testdata};

/// Good structures with a few bytes changed, removed or added, and plain noise.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![
        Just(public().as_bytes().to_vec()),
        Just(template::ek_rsa2048().unwrap().as_bytes().to_vec()),
        Just(attest(0xff54_4347, 0x8018, b"nonce")),
        Just(sign(b"message").to_bytes().unwrap()),
        Just(testdata("keylime-quote.out")),
        Just(testdata("keylime-quotesig.out")),
        vec(any::<u8>(), 0..600),
    ];
    let edits = vec((any::<u16>(), any::<u8>(), 0..3u8), 0..4);
    (good, edits).prop_map(|(mut bytes, edits)| {
        for (position, value, edit) in edits {
            let position = usize::from(position) % (bytes.len() + 1);
            match edit {
                0 => bytes.insert(position, value),
                1 => bytes.truncate(position),
                _ => {
                    if let Some(byte) = bytes.get_mut(position) {
                        *byte = value;
                    }
                }
            }
        }
        bytes
    })
}

/// A response frame around the bytes, so that they reach the parameters.
fn answer<R: Request>(request: &R, parameters: &[u8]) {
    for (tag, authorizations) in [(0x8001u16, &mut [][..]), (0x8002, &mut [Authorization::Password(&[])][..])]
    {
        let mut frame = tag.to_be_bytes().to_vec();
        let handle = if R::ANSWERS_HANDLE { 4 } else { 0 };
        let area = if authorizations.is_empty() { 0 } else { 4 };
        frame.extend((10 + handle as u32 + area + parameters.len() as u32).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(vec![0x80; handle]);
        if area > 0 {
            frame.extend((parameters.len() as u32).saturating_sub(5).to_be_bytes());
        }
        frame.extend(parameters);
        let _ = decode(request, authorizations, &frame);
    }
    let _ = decode(request, &mut [], parameters);
}

proptest! {
    #[test]
    fn public_areas_are_written_as_they_were_read(bytes in bytes()) {
        if let Ok(public) = PublicArea::parse(&bytes) {
            assert_eq!(public.as_bytes(), bytes);
            let fields = PublicFields {
                name_algorithm: public.name_algorithm(),
                attributes: public.attributes(),
                auth_policy: public.auth_policy().to_vec(),
                key: public.key().clone(),
            };
            assert_eq!(PublicArea::new(&fields).unwrap(), public);
            let _ = (public.check_restricted_signing_key(), public.check_restricted_decryption_key());
            let _ = (public.spki_der(), public.subject_public_key());
            let _ = verify_signature(&public, b"", &sign(b""));
        }
    }

    #[test]
    fn quotes_and_names_never_panic(bytes in bytes()) {
        if let Ok(attest) = Attest::parse(&bytes) {
            assert_eq!(attest.as_bytes(), bytes);
        }
        let _ = Name::parse(&bytes);
        let _ = Created::parse(&bytes);
    }

    #[test]
    fn signatures_are_written_as_they_were_read(bytes in bytes()) {
        if let Ok(signature) = Signature::parse(&bytes) {
            assert_eq!(signature.to_bytes().unwrap(), bytes);
            let _ = verify_signature(&public(), b"", &signature);
            let _ = signature.to_p256_der();
        }
    }

    #[test]
    fn responses_never_panic(bytes in bytes()) {
        let selection = PcrSelection::sha256(&[0]).unwrap();
        let key = Entity::permanent(Handle::OWNER);
        answer(&GetRandom(8), &bytes);
        answer(&GetHandles { first: Handle::OWNER }, &bytes);
        answer(&GetProperties { first: 0, count: 1 }, &bytes);
        answer(&PcrRead(&selection), &bytes);
        answer(&ReadPublic(Handle::OWNER), &bytes);
        answer(&CreatePrimary { hierarchy: Handle::OWNER, template: &public() }, &bytes);
        answer(&Quote { key: key.clone(), extra_data: b"", selection: &selection }, &bytes);
        answer(&Sign { key: key.clone(), digest: &[0; 32] }, &bytes);
        answer(&NvReadPublic(Handle::OWNER), &bytes);
        answer(&Unseal(key), &bytes);
        answer(&ContextSave(Handle::OWNER), &bytes);
        answer(&PolicyGetDigest(Handle::OWNER), &bytes);
        let salt = Salt::none();
        answer(&StartAuthSession { salted_by: Handle::NULL, salt: &salt, kind: SessionKind::Hmac, nonce: [0; 32] }, &bytes);
    }

    #[test]
    fn selections_hold_what_was_selected(pcrs in proptest::collection::btree_set(0u8..24, 0..24)) {
        let pcrs: Vec<u8> = pcrs.into_iter().collect();
        let reversed: Vec<u8> = pcrs.iter().rev().copied().collect();
        let selection = PcrSelection::sha256(&pcrs).unwrap();
        assert_eq!(PcrSelection::sha256(&reversed).unwrap(), selection);
        assert_eq!(selection.sha256_pcrs(), Some(pcrs));
    }
}

#[test]
fn a_saved_context_that_the_tpm_gave_is_sent_back_unchanged() {
    let context = [vec![0; 16], vec![0, 3, 1, 2, 3]].concat();
    let mut response = vec![0x80, 0x01, 0, 0, 0, 31, 0, 0, 0, 0];
    response.extend(&context);
    let saved = decode(&ContextSave(Handle::OWNER), &mut [], &response).unwrap();
    let command = tpm2::frame::encode(&ContextLoad(&saved), &[]).unwrap();
    assert_eq!(command[10..], context);
}
