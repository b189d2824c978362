#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use rustls::server::Acceptor;

use super::*;

fn vector16(content: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), vector16(content)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[vec![0], vector16(name)].concat()))
}

/// A handshake message with these extensions, as small as rustls accepts one.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend(vector16(&[0x13, 0x01]));
    body.extend([1, 0]);
    body.extend(vector16(&extensions.concat()));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [vec![1], length[1..].to_vec(), body].concat()
}

/// The message in records of at most `fragment` bytes.
fn records(message: &[u8], fragment: usize) -> Vec<u8> {
    message.chunks(fragment).flat_map(|part| [vec![22, 3, 1], vector16(part)].concat()).collect()
}

fn hello(name: &str) -> Vec<u8> {
    // signature_algorithms, without which rustls refuses to go on.
    let schemes = extension(13, &vector16(&[4, 3]));
    records(&message(&[sni(name.as_bytes()), schemes]), MAX_FRAGMENT)
}

fn read(bytes: &[u8]) -> Result<Option<String>, HelloError> {
    Hello::default().push(bytes)
}

#[test]
fn an_exact_name_is_found_however_the_bytes_are_cut() {
    let name = "notes-alice.enclaves.localhost";
    assert_eq!(read(&hello(name)), Ok(Some(name.to_owned())));
    for fragment in [1, 2, 5, 40] {
        let bytes = records(&message(&[sni(name.as_bytes())]), fragment);
        let mut reading = Hello::default();
        let mut found = None;
        for byte in &bytes {
            assert_eq!(found, None, "a name before the end");
            found = reading.push(&[*byte]).unwrap();
        }
        assert_eq!(found.as_deref(), Some(name));
        assert_eq!(reading.into_bytes(), bytes, "the upstream gets every byte as it came");
    }
}

#[test]
fn names_in_another_spelling_are_refused() {
    let long = format!("{}.localhost", "a".repeat(64));
    for name in [
        "Alice.localhost",
        "alice.localhost.",
        ".",
        "",
        "a..b",
        "*.localhost",
        "a_b.localhost",
        "-a",
        "a-",
        &long,
    ] {
        assert_eq!(read(&hello(name)), Err(HelloError::NotExact), "{name}");
    }
    assert_eq!(read(&records(&message(&[sni(&[0xff])]), 99)), Err(HelloError::NotExact));
}

#[test]
fn a_missing_name_is_its_own_refusal() {
    assert_eq!(read(&records(&message(&[]), 999)), Err(HelloError::Unnamed));
    assert_eq!(HelloError::Unnamed.alert(), Some(112));
}

#[test]
fn an_encrypted_client_hello_is_routed_by_its_outer_name() {
    let ech = extension(0xfe0d, &[0; 300]);
    let bytes = records(&message(&[ech.clone(), sni(b"outer.localhost"), ech]), 999);
    assert_eq!(read(&bytes), Ok(Some("outer.localhost".into())));
}

#[test]
fn structures_that_lie_about_themselves_are_refused() {
    let twice = records(&message(&[sni(b"a"), sni(b"b")]), 999);
    let two_names = extension(0, &vector16(&[vec![0], vector16(b"a"), vec![0], vector16(b"b")].concat()));
    let other_kind = extension(0, &vector16(&[vec![1], vector16(b"a")].concat()));
    let empty_list = extension(0, &vector16(&[]));
    let trailing = [message(&[sni(b"a")]), vec![0]].concat();
    let mut long_extension = message(&[sni(b"a")]);
    let at = long_extension.len() - 8;
    long_extension[at] = 0xff;
    for (case, bytes) in [
        ("twice", twice),
        ("two names", records(&message(&[two_names]), 999)),
        ("other kind", records(&message(&[other_kind]), 999)),
        ("empty list", records(&message(&[empty_list]), 999)),
        ("something after it", records(&trailing, 999)),
        ("length too long", records(&long_extension, 999)),
        ("empty record", vec![22, 3, 1, 0, 0]),
        ("fragment too long", vec![22, 3, 1, 0x40, 1]),
        ("server hello", records(&[2, 0, 0, 0], 999)),
    ] {
        assert_eq!(read(&bytes), Err(HelloError::Malformed), "{case}");
    }
}

#[test]
fn what_is_not_tls_is_known_at_the_first_bytes() {
    for bytes in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"SSH-2.0", &[0x80, 0x2e], &[22, 2]] {
        assert_eq!(read(bytes), Err(HelloError::NotTls));
    }
    assert_eq!(HelloError::NotTls.alert(), None);
}

#[test]
fn an_endless_hello_is_cut_at_the_bound() {
    assert_eq!(read(&records(&[1, 0, 0x40, 1], 999)), Err(HelloError::TooLarge));
    let crumbs = records(&[vec![1, 0, 0x3f, 0xf0], vec![0; MAX_HELLO]].concat(), 1);
    let mut reading = Hello::default();
    let mut outcome = Ok(None);
    let mut fed = 0;
    for byte in crumbs {
        outcome = reading.push(&[byte]);
        fed += 1;
        if outcome.is_err() {
            break;
        }
    }
    assert_eq!((outcome, fed), (Err(HelloError::TooLarge), MAX_HELLO));
}

/// The name that rustls itself would see, lower-cased as it does.
fn oracle(bytes: &[u8]) -> Option<String> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).ok()?;
    }
    let accepted = acceptor.accept().ok()??;
    accepted.client_hello().server_name().map(str::to_owned)
}

#[test]
fn rustls_sees_the_same_name() {
    let bytes = hello("notes-alice.enclaves.localhost");
    assert_eq!(oracle(&bytes), read(&bytes).unwrap());
    assert!(oracle(&bytes).is_some());
}

proptest! {
    #[test]
    fn nothing_panics_and_pieces_agree_with_the_whole(bytes: Vec<u8>, cut in 1usize..40) {
        let whole = read(&bytes);
        let mut reading = Hello::default();
        let mut pieces = Ok(None);
        for piece in bytes.chunks(cut) {
            pieces = reading.push(piece);
            if pieces != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn a_damaged_hello_never_names_another_host_than_rustls_reads(
        at in 0usize..120, value: u8, name in "[a-z0-9.-]{1,40}"
    ) {
        let mut bytes = hello(&name);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        if let Ok(Some(ours)) = read(&bytes) && let Some(theirs) = oracle(&bytes) {
            prop_assert_eq!(ours, theirs);
        }
    }
}
