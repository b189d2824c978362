//! The rules of a manifest, and its digest: fixed vectors, and no field that could change without it.
#![allow(clippy::unwrap_used)]

use names::{Digest, hex};
use workload::{Endpoint, Entry, FilePath, MAX_ENTRIES, Manifest, ManifestError, ManifestParts, Resources};

fn path(text: &str) -> FilePath {
    text.parse().unwrap()
}

fn directory(at: &str) -> Entry {
    Entry::Directory { path: path(at) }
}

fn file(at: &str, executable: bool) -> Entry {
    Entry::File { path: path(at), executable, size: 5, sha256: Digest::of(b"hello") }
}

fn symlink(at: &str, target: &str) -> Entry {
    Entry::Symlink { path: path(at), target: target.into() }
}

fn parts() -> ManifestParts {
    ManifestParts {
        command: path("/usr/bin/hello"),
        args: vec!["--port".into(), "8080".into()],
        env: [("GREETING".into(), "hi".into())].into(),
        endpoint: Endpoint::Port(8080),
        entries: vec![
            symlink("/bin", "usr/bin"),
            directory("/tmp"),
            directory("/usr"),
            directory("/usr/bin"),
            file("/usr/bin/hello", true),
            file("/usr/bin/notes", false),
        ],
        writable: vec![path("/tmp")],
        resources: Resources { memory: Some(256 << 20), processes: Some(64) },
    }
}

fn refused(change: impl FnOnce(&mut ManifestParts)) -> ManifestError {
    let mut parts = parts();
    change(&mut parts);
    Manifest::try_from(parts).unwrap_err()
}

#[test]
fn canonical_bytes_are_the_documented_ones() {
    let smallest = ManifestParts {
        command: path("/a"),
        args: vec![],
        env: [].into(),
        endpoint: Endpoint::Port(80),
        entries: vec![file("/a", true)],
        writable: vec![],
        resources: Resources::default(),
    };
    let manifest = Manifest::try_from(smallest).unwrap();
    let expected = [
        hex(b"sealwright/version/v1"),
        "000000022f61".into(),
        "00000000".into(),
        "00000000".into(),
        "010050".into(),
        "00000001000000022f6102010000000000000005".into(),
        hex(Digest::of(b"hello").as_bytes()),
        "00000000".into(),
        "0000".into(),
    ];
    assert_eq!(hex(&manifest.canonical_bytes()), expected.concat());
    assert_eq!(manifest.digest(), Digest::of(&manifest.canonical_bytes()));
}

#[test]
fn the_digest_of_the_sample_is_fixed() {
    let digest = Manifest::try_from(parts()).unwrap().digest();
    assert_eq!(digest.to_string(), "a0d18f3e89b92a08827ee3705da51886301fff64ec94c600f2b2b8edcd6852a8");
}

#[test]
fn every_field_changes_the_digest() {
    let changes: [fn(&mut ManifestParts); 20] = [
        |_| {},
        |p| p.command = path("/bin/hello"),
        |p| p.args = vec!["--port8080".into()],
        |p| p.args.reverse(),
        |p| p.env = [("GREETING".into(), "ho".into())].into(),
        |p| p.env = [("GREETINGS".into(), "hi".into())].into(),
        |p| p.env.clear(),
        |p| p.endpoint = Endpoint::Port(8081),
        |p| p.endpoint = Endpoint::Socket(path("/tmp/s")),
        |p| p.endpoint = Endpoint::Socket(path("/tmp/t")),
        |p| p.entries[0] = symlink("/bin", "/usr/bin"),
        |p| p.entries[0] = symlink("/bim", "usr/bin"),
        |p| p.entries[5] = file("/usr/bin/notes", true),
        |p| p.entries[5] = directory("/usr/bin/notes"),
        |p| {
            p.entries[5] = Entry::File {
                path: path("/usr/bin/notes"),
                executable: false,
                size: 6,
                sha256: Digest::of(b"hello"),
            }
        },
        |p| {
            p.entries[5] = Entry::File {
                path: path("/usr/bin/notes"),
                executable: false,
                size: 5,
                sha256: Digest::of(b"hellO"),
            }
        },
        |p| p.writable.clear(),
        |p| p.resources.memory = Some(255 << 20),
        |p| p.resources.memory = None,
        |p| p.resources.processes = Some(65),
    ];
    let mut digests: Vec<Digest> = Vec::new();
    for (index, change) in changes.into_iter().enumerate() {
        let mut parts = parts();
        change(&mut parts);
        let digest = Manifest::try_from(parts).unwrap().digest();
        assert!(!digests.contains(&digest), "change {index}");
        digests.push(digest);
    }
}

#[test]
fn json_comes_back_as_the_same_manifest_and_unknown_fields_are_refused() {
    let manifest = Manifest::try_from(parts()).unwrap();
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    for (from, to) in [
        (r#""command":"#, r#""x":1,"command":"#),
        (r#""executable":"#, r#""x":1,"executable":"#),
        (r#""memory":"#, r#""x":1,"memory":"#),
        (r#""path":"/usr""#, r#""path":"/etc""#),
        (r#""path":"/usr/bin/notes""#, r#""path":"/usr/bin/../notes""#),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        assert!(serde_json::from_str::<Manifest>(&changed).is_err(), "{to}");
    }
}

#[test]
fn a_command_may_be_reached_by_symlinks() {
    let good = ["/bin/hello", "/usr/bin/hello", "/chain", "/up"];
    for command in good {
        let mut parts = parts();
        parts.entries.insert(1, symlink("/chain", "/bin/../bin/./hello"));
        parts.entries.insert(3, symlink("/up", "../../bin/hello"));
        parts.command = path(command);
        assert!(Manifest::try_from(parts).is_ok(), "{command}");
    }
}

#[test]
fn a_command_that_leads_nowhere_is_refused() {
    for command in ["/usr/bin/notes", "/usr/bin", "/usr/bin/none", "/loop", "/usr/bin/hello/x", "/dangling"] {
        let error = refused(|parts| {
            parts.entries.insert(1, symlink("/dangling", "nothing"));
            parts.entries.insert(2, symlink("/loop", "loop"));
            parts.command = path(command);
        });
        assert_eq!(error, ManifestError::Command(path(command)));
    }
}

#[test]
fn lists_that_are_not_sorted_or_hold_a_path_twice_are_refused() {
    assert_eq!(refused(|p| p.entries.swap(1, 2)), ManifestError::NotSorted(path("/tmp")));
    assert_eq!(refused(|p| p.entries.insert(1, directory("/tmp"))), ManifestError::NotSorted(path("/tmp")));
    assert_eq!(refused(|p| p.writable.push(path("/tmp"))), ManifestError::NotSorted(path("/tmp")));
}

#[test]
fn a_parent_must_be_a_directory_of_the_list() {
    assert_eq!(refused(|p| drop(p.entries.remove(2))), ManifestError::NoParent(path("/usr/bin")));
    assert_eq!(
        refused(|p| p.entries.insert(1, file("/bin/x", true))),
        ManifestError::NoParent(path("/bin/x"))
    );
    let below_file = |p: &mut ManifestParts| p.entries.push(file("/usr/bin/notes/x", false));
    assert_eq!(refused(below_file), ManifestError::NoParent(path("/usr/bin/notes/x")));
}

#[test]
fn the_kernels_directories_are_refused() {
    assert_eq!(refused(|p| p.entries.insert(1, directory("/dev"))), ManifestError::Reserved(path("/dev")));
    assert_eq!(
        refused(|p| p.entries.insert(1, symlink("/proc", "/x"))),
        ManifestError::Reserved(path("/proc"))
    );
}

#[test]
fn only_empty_directories_that_are_not_nested_can_be_writable() {
    let error = |at: &str| refused(|p| p.writable = vec![path(at)]);
    for at in ["/usr/bin", "/none", "/bin", "/usr/bin/hello"] {
        assert_eq!(error(at), ManifestError::Writable(path(at)));
    }
    let nested = refused(|p| {
        p.entries.insert(2, directory("/tmp/a"));
        p.writable = vec![path("/tmp"), path("/tmp/a")];
    });
    assert_eq!(nested, ManifestError::Writable(path("/tmp")));
}

#[test]
fn endpoints_and_limits_must_let_something_work() {
    assert_eq!(refused(|p| p.endpoint = Endpoint::Port(0)), ManifestError::Endpoint);
    assert_eq!(refused(|p| p.endpoint = Endpoint::Socket(path("/usr/s"))), ManifestError::Endpoint);
    assert_eq!(refused(|p| p.endpoint = Endpoint::Socket(path("/tmp"))), ManifestError::Endpoint);
    assert_eq!(refused(|p| p.resources.memory = Some(0)), ManifestError::Resources);
    assert_eq!(refused(|p| p.resources.processes = Some(0)), ManifestError::Resources);
}

#[test]
fn variables_that_steer_the_loader_are_refused() {
    for name in
        ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH"]
    {
        let error = refused(|p| p.env = [(name.into(), "/tmp/x".into())].into());
        assert_eq!(error, ManifestError::LoaderVariable(name.into()));
    }
}

#[test]
fn bounds_hold() {
    let many = |p: &mut ManifestParts| {
        p.entries.extend((0..MAX_ENTRIES).map(|n| file(&format!("/usr/bin/notes{n:05}"), false)));
    };
    assert_eq!(refused(many), ManifestError::TooManyEntries);
    let large = |p: &mut ManifestParts| {
        p.entries[5] = Entry::File {
            path: path("/usr/bin/notes"),
            executable: false,
            size: 4 << 30,
            sha256: Digest::of(b""),
        };
    };
    assert_eq!(refused(large), ManifestError::TooLarge);
    assert_eq!(refused(|p| p.args = vec![String::new(); 1025]), ManifestError::Argument(1024));
    assert_eq!(refused(|p| p.args[1] = "a".repeat(32 * 1024 + 1)), ManifestError::Argument(1));
    assert_eq!(refused(|p| p.args[0] = "a\0".into()), ManifestError::Argument(0));
    for name in ["", "1A", "A=B", "A B"] {
        let error = refused(|p| p.env = [(name.into(), String::new())].into());
        assert_eq!(error, ManifestError::Environment(name.into()));
    }
    let target = |text: &str| refused(|p| p.entries[0] = symlink("/bin", text));
    for text in ["", "a\nb", &"a".repeat(4097)] {
        assert_eq!(target(text), ManifestError::Target(path("/bin")));
    }
}

#[test]
fn exit_codes_of_a_facade_come_back() {
    use workload::launch::FacadeExit;
    for code in 0..=255 {
        if let Some(exit) = FacadeExit::from_code(code) {
            assert_eq!(i32::from(exit.code()), code);
        }
    }
    assert_eq!(FacadeExit::from_code(10), Some(FacadeExit::AppEnded));
    assert_eq!(FacadeExit::from_code(1), None);
}
