//! What real agents and servers of Keylime sent is read, checked, and written again to the byte; with any byte changed it is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use base64ct::{Base64, Encoding};
use keylime::quote::BINDING_PCR;
use keylime::{Asked, AuthTag, CredentialBlob, PcrValues, Quote, QuoteRefused, Version};
use serde_json::Value;
use tpm2::PublicArea;
use tpm2::wire::Reader;

fn run() -> Value {
    serde_json::from_str(include_str!("../../../testdata/keylime/run.json")).unwrap()
}

fn bytes(text: &Value) -> Vec<u8> {
    Base64::decode_vec(text.as_str().unwrap()).unwrap()
}

fn attestation_key(run: &Value) -> PublicArea {
    let sized = bytes(&run["registration"]["request"]["body"]["aik_tpm"]);
    let mut reader = Reader::new(&sized);
    let area = PublicArea::parse(reader.sized("public area", 1024).unwrap()).unwrap();
    reader.finish().unwrap();
    area
}

/// Of each recorded quote of the pull model: its nonce, its mask, its answer.
fn quotes(run: &Value) -> Vec<(String, u32, Value)> {
    let answers = run["agent"].as_object().unwrap();
    let quotes = answers.iter().filter(|(_, answer)| answer["results"]["quote"].is_string());
    let quotes: Vec<_> = quotes
        .map(|(asked, answer)| {
            let nonce = asked.split("nonce=").nth(1).unwrap().split(['&', ' ']).next().unwrap();
            let mask = if asked.contains("mask=0x400") { 0x400 } else { 0 };
            (nonce.to_owned(), mask, answer["results"].clone())
        })
        .collect();
    assert_eq!(quotes.len(), 4);
    quotes
}

#[test]
fn recorded_quotes_verify_and_are_bound_to_their_key() {
    let run = run();
    let key = attestation_key(&run);
    for (nonce, mask, results) in quotes(&run) {
        let quote = Quote::parse(results["quote"].as_str().unwrap()).unwrap();
        let verified = quote.verify(&Asked { key: &key, nonce: nonce.as_bytes(), mask }).unwrap();
        if let Some(public_key) = results["pubkey"].as_str() {
            assert!(verified.binds(public_key));
            assert!(!verified.binds(public_key.trim_end()));
        }
        assert!(verified.pcrs().get(BINDING_PCR).is_some());
        assert_eq!(verified.pcrs().get(10).is_some(), mask != 0);
        assert!(verified.clock().safe);
    }
}

#[test]
fn a_recorded_quote_is_written_again_to_the_byte() {
    for (_, _, results) in quotes(&run()) {
        let text = results["quote"].as_str().unwrap();
        assert_eq!(Quote::parse(text).unwrap().to_text().unwrap(), text);
    }
}

#[test]
fn a_recorded_quote_with_any_bit_changed_is_refused() {
    let run = run();
    let key = attestation_key(&run);
    let (nonce, mask, results) = quotes(&run).into_iter().find(|(_, mask, _)| *mask != 0).unwrap();
    let text = results["quote"].as_str().unwrap();
    let asked = Asked { key: &key, nonce: nonce.as_bytes(), mask };
    let parts: Vec<Vec<u8>> = text[1..].split(':').map(|part| Base64::decode_vec(part).unwrap()).collect();
    for (part, place) in (0..3).flat_map(|part| (0..parts[part].len()).map(move |place| (part, place))) {
        let mut changed = parts.clone();
        changed[part][place] ^= 1 << (place % 8);
        let quote = Quote::from_parts(&changed[0], &changed[1], &changed[2]);
        assert!(quote.map_or(true, |quote| quote.verify(&asked).is_err()), "part {part}, byte {place}");
    }
}

#[test]
fn a_recorded_quote_answers_no_other_question() {
    let run = run();
    let key = attestation_key(&run);
    let (nonce, mask, results) = quotes(&run).into_iter().find(|(_, mask, _)| *mask != 0).unwrap();
    let quote = Quote::parse(results["quote"].as_str().unwrap()).unwrap();
    let refused =
        |nonce: &str, mask| quote.verify(&Asked { key: &key, nonce: nonce.as_bytes(), mask }).unwrap_err();
    assert_eq!(refused("integrityNonce999999", mask), QuoteRefused::AnotherNonce);
    assert_eq!(refused(&nonce[..19], mask), QuoteRefused::AnotherNonce);
    assert_eq!(refused(&nonce[..15], mask), QuoteRefused::Nonce);
    assert_eq!(refused("", mask), QuoteRefused::Nonce);
    for other in [0, 0x401, 0x800, 0xff_ffff] {
        assert_eq!(refused(&nonce, other), QuoteRefused::AnotherSelection, "{other:#x}");
    }
}

/// Values of fewer, more or other PCRs than were signed would let the sender choose what a PCR is worth.
#[test]
fn values_of_other_pcrs_than_the_signed_ones_are_refused() {
    let run = run();
    let key = attestation_key(&run);
    let (nonce, mask, results) = quotes(&run).into_iter().find(|(_, mask, _)| *mask != 0).unwrap();
    let text = results["quote"].as_str().unwrap();
    let parts: Vec<Vec<u8>> = text[1..].split(':').map(|part| Base64::decode_vec(part).unwrap()).collect();
    let values: Vec<(u8, Vec<u8>)> =
        PcrValues::parse(&parts[2]).unwrap().iter().map(|(pcr, value)| (pcr, value.to_vec())).collect();
    let asked = Asked { key: &key, nonce: nonce.as_bytes(), mask };
    let with = |values| {
        let pcrs = PcrValues::new(tpm2::HashAlgorithm::Sha256, values).unwrap().to_bytes();
        Quote::from_parts(&parts[0], &parts[1], &pcrs).unwrap().verify(&asked).unwrap_err()
    };
    assert_eq!(with(values[..1].to_vec()), QuoteRefused::OtherValues);
    assert_eq!(with(vec![(11, values[0].1.clone()), values[1].clone()]), QuoteRefused::OtherValues);
    assert_eq!(with(vec![(10, values[1].1.clone()), (16, values[0].1.clone())]), QuoteRefused::PcrDigest);
}

/// CVE-2023-38201's kind of mistake: text that base64 decoders read as they like.
#[test]
fn a_quote_has_one_text() {
    let results = quotes(&run()).remove(0).2;
    let text = results["quote"].as_str().unwrap();
    let others = [
        text[1..].to_owned(),
        format!("d{}", &text[1..]),
        format!("{text}:"),
        format!("{text}\n"),
        text.replace(':', " :"),
        text.replacen(':', "=:", 1),
        text.replace('=', ""),
        "r::".to_owned(),
        "r".repeat(keylime::quote::MAX_QUOTE + 1),
    ];
    for other in others {
        assert!(Quote::parse(&other).is_err(), "{:.20}", other);
    }
}

#[test]
fn the_push_models_quote_verifies_over_its_challenge() {
    let run = run();
    let evidence = &run["push_latest"]["data"]["attributes"]["evidence"][0];
    let data = &evidence["data"];
    let quote = Quote::from_parts(
        &bytes(&data["message"]),
        &bytes(&data["signature"]),
        &bytes(&data["subject_data"]),
    )
    .unwrap();
    let challenge = bytes(&evidence["chosen_parameters"]["challenge"]);
    let key = attestation_key(&run);
    let verified = quote.verify(&Asked { key: &key, nonce: &challenge, mask: 0x400 }).unwrap();
    let hex = names::hex(verified.pcrs().get(10).unwrap());
    assert_eq!(data["meta"]["pcrs"]["sha256"]["10"].as_str().unwrap(), format!("0x{hex}"));
    assert_eq!(verified.clock().reset_count, 3);
}

#[test]
fn the_recorded_credential_is_written_again_to_the_byte_and_refused_when_changed() {
    let run = run();
    let text = run["registration"]["response"]["results"]["blob"].as_str().unwrap();
    let blob = CredentialBlob::parse(text).unwrap();
    assert_eq!((blob.0.id_object.len(), blob.0.encrypted_secret.len()), (68, 256));
    assert_eq!(blob.to_text().unwrap(), text);
    let bytes = Base64::decode_vec(text).unwrap();
    for place in (0..10).chain(78..80) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(CredentialBlob::parse(&Base64::encode_string(&changed)).is_err(), "byte {place}");
    }
    for other in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
        assert!(CredentialBlob::parse(&Base64::encode_string(other)).is_err());
    }
}

#[test]
fn the_recorded_answer_is_the_right_one_and_no_other_is() {
    let run = run();
    let key = run["registration"]["hmac_key_ascii"].as_str().unwrap();
    let challenge: [u8; 32] = Base64::decode_vec(key).unwrap().try_into().unwrap();
    let sent = run["registration"]["activate"]["body"]["auth_tag"].as_str().unwrap();
    let id = run["uuid"].as_str().unwrap();
    let right = AuthTag::of(&challenge, id);
    assert!(right.matches(&AuthTag::parse(sent).unwrap()));
    assert_eq!(right.to_text().as_str(), sent);
    assert!(!right.matches(&AuthTag::of(&challenge, "another-agent")));
    let mut other = challenge;
    other[31] ^= 1;
    assert!(!right.matches(&AuthTag::of(&other, id)));
    for text in ["", &sent[..94], &format!("{sent}00"), &sent.to_uppercase()] {
        assert!(AuthTag::parse(text).is_err());
    }
    assert_eq!(format!("{right:?}"), "AuthTag(..)");
}

#[test]
fn the_recorded_answers_name_key_and_versions_as_their_version_does() {
    let run = run();
    let agent = run["agent"].as_object().unwrap();
    for (asked, answer) in agent.iter().filter(|(asked, _)| asked.contains("identity")) {
        let version: Version = asked.split("(v").nth(1).unwrap().trim_end_matches(')').parse().unwrap();
        assert_eq!(answer["results"]["enc_alg"], version.rsa_2048());
    }
    let listed = agent["version"]["results"]["supported_versions"].as_array().unwrap();
    let versions: Vec<Version> =
        listed.iter().map(|version| version.as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(Version::newest_common(&Version::ALL, &versions), Some(Version::V2_5));
}
