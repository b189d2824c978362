//! Backups of a folder, and what is refused.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use backup::{BackupError, Source, create, restore};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A folder as `up` leaves it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("ports.json", "{}"),
        ("factors.key", "secret"),
        ("ca/root.pem", "root"),
        ("tpm/state", "tpm"),
        ("verifier/node-policy.json", "policy"),
        ("blobs/ab", "blob"),
        ("db.sqlite", "live"),
        ("db.sqlite-wal", "live"),
        ("apps/x/rootfs/bin/app", "copy"),
        ("enclaves/1/app.log", "log"),
        ("agent/log", "log"),
        ("lock", ""),
    ] {
        write(&folder.path().join(name), text);
    }
    fs::set_permissions(folder.path().join("factors.key"), fs::Permissions::from_mode(0o600)).unwrap();
    drop(UnixListener::bind(folder.path().join("stray.sock")).unwrap());
    write(&folder.path().join("snapshot.of.db"), "snapshot");
    folder
}

fn source(folder: &Path, tpm: bool) -> Source {
    Source { folder: folder.to_path_buf(), database: Some(folder.join("snapshot.of.db")), tpm }
}

fn saved(tpm: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    create(&source(folder().path(), tpm), &mut bytes, 1_764_000_000).unwrap();
    bytes
}

/// A place where a folder may be made, and its parent.
fn place() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let place = parent.path().join("data");
    (parent, place)
}

fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn a_restored_folder_has_what_counts_and_nothing_of_the_boot() {
    let (_parent, place) = place();
    let manifest = restore(Cursor::new(saved(true)), &place).unwrap();
    let expected = [
        "blobs/ab",
        "ca/root.pem",
        "db.sqlite",
        "factors.key",
        "ports.json",
        "snapshot.of.db",
        "tpm/state",
        "verifier/node-policy.json",
    ];
    assert_eq!(files(&place), expected);
    assert_eq!(fs::read_to_string(place.join("db.sqlite")).unwrap(), "snapshot");
    assert!(manifest.contents.tpm && manifest.contents.database);
    for name in expected {
        assert_eq!(fs::metadata(place.join(name)).unwrap().permissions().mode() & 0o077, 0, "{name}");
    }
}

#[test]
fn without_the_tpm_its_key_blobs_stay_behind_too() {
    let (_parent, place) = place();
    let manifest = restore(Cursor::new(saved(false)), &place).unwrap();
    assert!(!manifest.contents.tpm);
    assert_eq!(files(&place), ["blobs/ab", "db.sqlite", "factors.key", "ports.json", "snapshot.of.db"]);
}

#[test]
fn a_backup_that_was_cut_off_makes_no_folder() {
    let whole = saved(true);
    for length in (0..whole.len()).step_by(512) {
        let (parent, place) = place();
        // The end marker alone may be missing: everything that counts was there.
        let cut = &whole[..length];
        if restore(Cursor::new(cut), &place).is_ok() {
            assert!(length >= whole.len() - 1024, "cut at {length} of {}", whole.len());
            continue;
        }
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "cut at {length}");
    }
}

#[test]
fn a_changed_byte_of_a_file_is_found() {
    let mut bytes = saved(true);
    let content = bytes.windows(8).position(|window| window == b"snapshot").unwrap();
    bytes[content] = b'S';
    let (_parent, place) = place();
    assert!(matches!(restore(Cursor::new(bytes), &place), Err(BackupError::Changed(_))));
    assert!(!place.exists());
}

fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        if *kind == tar::EntryType::Symlink {
            header.set_link_name("/etc").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn entries_that_lead_out_or_are_no_files_are_refused() {
    use tar::EntryType::{Directory, Regular, Symlink};
    for (name, kind) in [
        ("../outside", Regular),
        ("/absolute", Regular),
        ("a/../../outside", Regular),
        ("link", Symlink),
        ("folder", Directory),
    ] {
        let (parent, place) = place();
        let refused = restore(Cursor::new(archive(&[(name, kind, b"")])), &place);
        assert!(matches!(refused, Err(BackupError::Entry(_))), "{name}: {refused:?}");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "{name}");
    }
    let (_parent, place) = place();
    let twice = archive(&[("a", Regular, b"1"), ("a", Regular, b"2")]);
    assert!(restore(Cursor::new(twice), &place).is_err());
}

#[test]
fn what_is_there_is_never_overwritten() {
    let (_parent, place) = place();
    write(&place.join("kept"), "mine");
    assert!(matches!(restore(Cursor::new(saved(true)), &place), Err(BackupError::Exists(_))));
    assert_eq!(files(&place), ["kept"]);
}

#[test]
fn another_form_is_named() {
    let (_parent, place) = place();
    let newer = archive(&[("manifest.json", tar::EntryType::Regular, br#"{"form":"sealwright/backup/v9"}"#)]);
    assert!(
        matches!(restore(Cursor::new(newer), &place), Err(BackupError::Form(form)) if form.ends_with("v9"))
    );
}
