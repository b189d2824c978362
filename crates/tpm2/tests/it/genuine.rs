//! Quotes of other people's machines: `testdata/tpm`, whose README says where each file is from.

use std::collections::BTreeMap;

use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use tpm2::algorithms::NameAlgorithm;
use tpm2::public::{Key, PublicFields, Scheme, Symmetric};
use tpm2::{Attest, HashAlgorithm, PublicArea, Signature, SignatureError, composite, verify_signature};

use crate::support::{Field, attestation_attributes, protobuf, testdata};

const KEYLIME_NONCE: [u8; 20] = [
    0xdb, 0x1d, 0xb2, 0x98, 0xdb, 0x6d, 0x60, 0xe6, 0x38, 0x5b, 0x72, 0x31, 0x74, 0x3e, 0x9c, 0x30, 0x56,
    0xa1, 0x80, 0x03,
];

/// The sample has only the RSA key as PEM: the rest of the public area is what such a key has.
fn keylime_public(scheme: Scheme) -> PublicArea {
    let pem = String::from_utf8(testdata("keylime-akpub.pem")).unwrap();
    let key = rsa::PublicKey::from_public_key_pem(&pem).unwrap();
    PublicArea::new(&PublicFields {
        name_algorithm: NameAlgorithm::Sha256,
        attributes: attestation_attributes(),
        auth_policy: Vec::new(),
        key: Key::Rsa {
            symmetric: Symmetric::Null,
            scheme,
            bits: 2048,
            exponent: 0,
            modulus: key.n_bytes().into(),
        },
    })
    .unwrap()
}

#[test]
fn the_keylime_quote_is_by_the_keylime_key() {
    let public = keylime_public(Scheme::Rsassa(HashAlgorithm::Sha256));
    let attest = Attest::parse(&testdata("keylime-quote.out")).unwrap();
    let signature = Signature::parse(&testdata("keylime-quotesig.out")).unwrap();
    assert_eq!(verify_signature(&public, attest.as_bytes(), &signature), Ok(()));
    assert_eq!(attest.extra_data(), KEYLIME_NONCE);
    assert_eq!(attest.selection().sha256_pcrs(), Some(vec![15, 16, 22]));
}

#[test]
fn the_keylime_pcr_values_add_up_to_the_quoted_digest() {
    // What tpm2-tools wrote in 2016: a selection of 16 entries of 8 bytes, then lists of at most eight values, each
    // with two bytes of length (little-endian) and room for 64 bytes.
    let blob = testdata("keylime-quotepcr.out");
    let values: Vec<&[u8]> =
        blob[4 + 16 * 8 + 4 + 4..].chunks(66).take(3).map(|entry| &entry[2..34]).collect();
    let attest = Attest::parse(&testdata("keylime-quote.out")).unwrap();
    assert_eq!(attest.pcr_digest(), composite(values));
}

#[test]
fn each_flipped_byte_of_the_keylime_quote_is_noticed() {
    let public = keylime_public(Scheme::Rsassa(HashAlgorithm::Sha256));
    let (quote, signature) = (testdata("keylime-quote.out"), testdata("keylime-quotesig.out"));
    for index in 0..quote.len() {
        let mut changed = quote.clone();
        changed[index] ^= 1;
        let verdict = verify_signature(&public, &changed, &Signature::parse(&signature).unwrap());
        assert_eq!(verdict, Err(SignatureError::Invalid), "byte {index} of the quote");
    }
    for index in 0..signature.len() {
        let mut changed = signature.clone();
        changed[index] ^= 1;
        let verdict =
            Signature::parse(&changed).and_then(|signature| verify_signature(&public, &quote, &signature));
        assert!(verdict.is_err(), "byte {index} of the signature");
    }
}

#[test]
fn a_signature_by_another_scheme_than_the_keys_is_refused() {
    let quote = testdata("keylime-quote.out");
    let signature = Signature::parse(&testdata("keylime-quotesig.out")).unwrap();
    for scheme in [Scheme::Null, Scheme::Rsapss(HashAlgorithm::Sha256), Scheme::Rsassa(HashAlgorithm::Sha384)]
    {
        assert_eq!(
            verify_signature(&keylime_public(scheme), &quote, &signature),
            Err(SignatureError::SchemeMismatch)
        );
    }
}

#[test]
fn a_sha1_signature_is_refused_by_name_before_any_key_is_asked() {
    let mut signature = testdata("keylime-quotesig.out");
    signature[3] = 0x04;
    assert_eq!(Signature::parse(&signature), Err(SignatureError::HashRefused(HashAlgorithm::Sha1)));
}

#[derive(Default)]
struct GoogleQuote {
    attest: Vec<u8>,
    signature: Vec<u8>,
    pcrs: BTreeMap<u64, Vec<u8>>,
}

struct Sample {
    public: PublicArea,
    quotes: Vec<GoogleQuote>,
}

/// attest.Attestation of go-tpm-tools: 1 AK public area, 2 quotes of 1 TPMS_ATTEST, 2 signature, 3 PCRs by number.
fn google(name: &str) -> Sample {
    let mut sample = (None, Vec::new());
    for field in protobuf(&testdata(name)) {
        match field {
            Field::Bytes(1, public) => sample.0 = Some(PublicArea::parse(&public).unwrap()),
            Field::Bytes(2, quote) => {
                let mut parts = GoogleQuote::default();
                for part in protobuf(&quote) {
                    match part {
                        Field::Bytes(1, attest) => parts.attest = attest,
                        Field::Bytes(2, signature) => parts.signature = signature,
                        Field::Bytes(3, pcrs) => parts.pcrs = google_pcrs(&pcrs),
                        _ => {}
                    }
                }
                sample.1.push(parts);
            }
            _ => {}
        }
    }
    Sample { public: sample.0.unwrap(), quotes: sample.1 }
}

fn google_pcrs(bytes: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let mut pcrs = BTreeMap::new();
    for field in protobuf(bytes) {
        if let Field::Bytes(2, entry) = field {
            let (mut index, mut value) = (0, Vec::new());
            for part in protobuf(&entry) {
                match part {
                    Field::Integer(1, number) => index = number,
                    Field::Bytes(2, bytes) => value = bytes,
                    _ => {}
                }
            }
            pcrs.insert(index, value);
        }
    }
    pcrs
}

#[test]
fn quotes_of_a_google_machine_verify_and_their_pcrs_add_up() {
    for (name, nonce) in [
        ("gce-cos85-attestation-nonce9009.pb", vec![0x90, 0x09]),
        // Genuine, and for whoever sent a nonce it is a replay: the extra data is not what they sent.
        ("gce-cos85-attestation-no-nonce.pb", vec![]),
    ] {
        let sample = google(name);
        sample.public.check_restricted_signing_key().unwrap();
        assert_eq!(sample.quotes.len(), 3);
        for GoogleQuote { attest, signature, pcrs } in sample.quotes {
            let attest = Attest::parse(&attest).unwrap();
            verify_signature(&sample.public, attest.as_bytes(), &Signature::parse(&signature).unwrap())
                .unwrap();
            assert_eq!(attest.extra_data(), nonce);
            let [bank] = attest.selection().banks() else { panic!("one bank") };
            assert!(bank.pcrs().map(u64::from).eq(pcrs.keys().copied()));
            assert_eq!(attest.pcr_digest(), composite(pcrs.values().map(Vec::as_slice)), "{:?}", bank.hash());
        }
    }
}

#[test]
fn a_public_area_of_a_google_machine_is_written_as_it_was_read() {
    let public = google("gce-cos85-attestation-no-nonce.pb").public;
    let fields = PublicFields {
        name_algorithm: public.name_algorithm(),
        attributes: public.attributes(),
        auth_policy: public.auth_policy().to_vec(),
        key: public.key().clone(),
    };
    assert_eq!(PublicArea::new(&fields).unwrap(), public);
}
