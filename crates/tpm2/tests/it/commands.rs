//! Frames of commands and responses, byte by byte.

use tpm2::command::{Created, DictionaryAttackLockReset, GetRandom, PcrExtend, ReadPublic, Startup};
use tpm2::credential::Salt;
use tpm2::frame::{CommandError, ResponseError, decode, encode};
use tpm2::session::{Authorization, Secrecy, Session, SessionKind};
use tpm2::{CipherError, Handle, ResponseCode, WireError};

use crate::support::public;

const EMPTY: Authorization<'static> = Authorization::Password(&[]);

#[test]
fn commands_have_the_bytes_of_the_specification() {
    assert_eq!(encode(&Startup, &[]).unwrap(), hex("8001 0000000c 00000144 0000"));
    assert_eq!(encode(&GetRandom(8), &[]).unwrap(), hex("8001 0000000c 0000017b 0008"));
    assert_eq!(
        encode(&DictionaryAttackLockReset, &[EMPTY]).unwrap(),
        hex("8002 0000001b 00000139 4000000a 00000009 40000009 0000 01 0000")
    );
    let extend = PcrExtend { pcr: 13, digest: &[0xaa; 32] };
    let expected = format!(
        "8002 00000041 00000182 0000000d 00000009 40000009 0000 01 0000 00000001 000b {}",
        "aa".repeat(32)
    );
    assert_eq!(encode(&extend, &[EMPTY]).unwrap(), hex(&expected));
}

#[test]
fn more_than_three_authorizations_do_not_fit() {
    let four = [EMPTY, EMPTY, EMPTY, EMPTY];
    assert!(matches!(encode(&Startup, &four), Err(CommandError::Wire(WireError::TooLong { length: 4, .. }))));
}

#[test]
fn a_response_is_read_whole_or_not_at_all() {
    let answer = |text: &str| decode(&GetRandom(8), &mut [], &hex(text));
    assert_eq!(answer("8001 00000010 00000000 0004 01020304"), Ok(vec![1, 2, 3, 4]));
    // More than was asked for, a wrong size, a wrong tag, bytes behind the parameters.
    assert!(matches!(
        answer("8001 00000015 00000000 0009 010203040506070809"),
        Err(ResponseError::Wire(WireError::TooLong { .. }))
    ));
    assert!(matches!(answer("8001 00000011 00000000 0004 01020304"), Err(ResponseError::Wire(_))));
    assert!(matches!(answer("8002 00000010 00000000 0004 01020304"), Err(ResponseError::Wire(_))));
    assert_eq!(
        answer("8001 00000011 00000000 0004 0102030405"),
        Err(ResponseError::Wire(WireError::Trailing(1)))
    );
    assert_eq!(answer("8001 0000000a 00000922"), Err(ResponseError::Refused(ResponseCode::RETRY)));
}

#[test]
fn an_object_whose_name_is_not_its_public_areas_is_refused() {
    let (area, name) = (public().as_bytes().to_vec(), public().name().as_bytes().to_vec());
    let response = |name: &[u8]| {
        let mut body = Vec::new();
        for part in [area.as_slice(), name, &[0, 0x0b]] {
            body.extend((part.len() as u16).to_be_bytes());
            body.extend(part);
        }
        let mut bytes = hex("8001");
        bytes.extend((10 + body.len() as u32).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        decode(&ReadPublic(Handle(0x8100_0001)), &mut [], &bytes)
    };
    assert_eq!(response(&name), Ok(public()));
    let mut other = name;
    other[5] ^= 1;
    assert!(matches!(
        response(&other),
        Err(ResponseError::Wire(WireError::Value { what: "name of the object", .. }))
    ));
}

#[test]
fn a_response_with_a_wrong_hmac_is_tampered() {
    let mut session =
        Session::new(Handle(0x0200_0000), SessionKind::Hmac, &Salt::none(), &[1; 32], vec![2; 32]);
    let mut by = [Authorization::Session {
        session: &mut session,
        auth_value: b"",
        nonce: [3; 32],
        secrecy: Secrecy::Open,
    }];
    let response =
        hex(&format!("8002 00000053 00000000 00000000 0020 {} 01 0020 {}", "00".repeat(32), "00".repeat(32)));
    let extend = PcrExtend { pcr: 13, digest: &[0; 32] };
    assert_eq!(decode(&extend, &mut by, &response), Err(ResponseError::Tampered));
}

#[test]
fn nothing_is_encrypted_without_a_salt() {
    let mut session =
        Session::new(Handle(0x0200_0000), SessionKind::Hmac, &Salt::none(), &[1; 32], vec![2; 32]);
    let by = Authorization::Session {
        session: &mut session,
        auth_value: b"a weak password",
        nonce: [3; 32],
        secrecy: Secrecy::Command,
    };
    let create = tpm2::command::NvWrite {
        authorized_by: tpm2::Entity::permanent(Handle::OWNER),
        index: tpm2::Entity::permanent(Handle::OWNER),
        data: b"secret",
        offset: 0,
    };
    assert_eq!(encode(&create, &[by]), Err(CommandError::Cipher(CipherError)));
}

#[test]
fn blobs_are_read_as_they_were_written() {
    let created = Created { private: vec![1, 2, 3], public: public() };
    let bytes = created.to_bytes().unwrap();
    assert_eq!(Created::parse(&bytes), Ok(created));
    assert_eq!(Created::parse(&[bytes.as_slice(), &[0]].concat()), Err(WireError::Trailing(1)));
}

#[test]
fn response_codes_say_what_they_are_about() {
    for (code, text) in [
        (0x922, "TPM_RC_RETRY (0x922)"),
        (0x98e, "TPM_RC_AUTH_FAIL (0x98e) for session 1"),
        (0x18b, "TPM_RC_HANDLE (0x18b) for handle 1"),
        (0x2d5, "TPM_RC_SIZE (0x2d5) for parameter 2"),
        (0x99d, "TPM_RC_POLICY_FAIL (0x99d) for session 1"),
        (0x100, "TPM_RC_INITIALIZE (0x100)"),
        (0x1ff_ffff, "response code 0x1ffffff for parameter 15"),
    ] {
        assert_eq!(ResponseCode(code).to_string(), text);
    }
    for code in [0x922, 0x908, 0x90a] {
        assert!(ResponseCode(code).is_retry());
    }
    assert!(!ResponseCode::OBJECT_MEMORY.is_retry());
    assert!(ResponseCode(0x18b).is_absent() && ResponseCode(0x910).is_absent());
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}
