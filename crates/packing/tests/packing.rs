//! From a real folder with a real executable to a measured copy, and everything that must be refused on the way.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use names::Digest;
use packing::{AppSpec, BlobError, Blobs, CopyError, Materialised, PackError, Packed, SpecError};
use workload::{Entry, ManifestError};

const APP: &str = "
name: hello
version: '1.0.0'
command: /bin/true
port: 8080
files:
  - {from: /bin/true, to: /bin/true, libraries: true}
  - {from: ./site, to: /srv, exclude: ['*.bak', sub/secret]}
writable: [/tmp]
resources: {memory: 256MiB, processes: 64}
";

/// A folder that is removed even where measured copies are in it, whose directories only root can empty.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        packing::remove_copy(self.path()).unwrap();
    }
}

fn site() -> Folder {
    let dir = Folder::new();
    let site = dir.path().join("site");
    fs::create_dir_all(site.join("sub")).unwrap();
    fs::write(site.join("index.html"), "hello").unwrap();
    fs::write(site.join("index.html.bak"), "old").unwrap();
    fs::write(site.join("sub/secret"), "no").unwrap();
    fs::write(site.join("sub/copy.html"), "hello").unwrap();
    symlink("sub/copy.html", site.join("link")).unwrap();
    dir
}

fn packed(dir: &Path) -> Packed {
    packing::pack(&AppSpec::from_yaml(APP).unwrap(), dir, |_| ()).unwrap()
}

fn stored(packed: &Packed, dir: &Path) -> Blobs {
    let blobs = Blobs::open_dir(dir.join("blobs")).unwrap();
    for (digest, source) in &packed.sources {
        blobs.put(digest, fs::File::open(source).unwrap()).unwrap();
    }
    blobs
}

#[test]
fn errors_of_a_specification_name_the_line() {
    let line_of = |text: &str| match AppSpec::from_yaml(text).unwrap_err() {
        SpecError::Yaml { line, message, .. } => {
            assert!(!message.is_empty());
            line
        }
        other => panic!("{other}"),
    };
    assert_eq!(line_of(&APP.replace("port: 8080", "prot: 8080")), 5);
    assert_eq!(line_of(&APP.replace("port: 8080", "port: 70000")), 5);
    assert_eq!(line_of(&APP.replace("command: /bin/true", "command: bin/../true")), 4);
    assert_eq!(line_of(&APP.replace("name: hello", "name: Hello")), 2);
    assert_eq!(line_of(&APP.replace("256MiB", "256 megabytes")), 10);
    assert_eq!(line_of(&APP.replace("libraries: true", "libs: true")), 7);
    assert_eq!(AppSpec::from_yaml(&APP.replace("port: 8080", "")).unwrap_err(), SpecError::Endpoint);
}

#[test]
fn a_folder_becomes_sorted_entries_without_what_is_excluded() {
    let dir = site();
    let packed = packed(dir.path());
    let paths: Vec<&str> = packed.manifest.entries().iter().map(|entry| entry.path().as_str()).collect();
    for present in ["/bin", "/bin/true", "/srv/index.html", "/srv/link", "/srv/sub/copy.html", "/tmp"] {
        assert!(paths.contains(&present), "{present} in {paths:?}");
    }
    for absent in ["/srv/index.html.bak", "/srv/sub/secret"] {
        assert!(!paths.contains(&absent), "{absent}");
    }
    let contents =
        packed.manifest.entries().iter().filter(|entry| matches!(entry, Entry::File { .. })).count();
    assert_eq!(packed.sources.len(), contents - 1, "two equal files are one blob");
}

#[test]
fn packing_twice_gives_the_same_digest() {
    let (one, two) = (site(), site());
    assert_eq!(packed(one.path()).manifest.digest(), packed(two.path()).manifest.digest());
}

#[test]
fn libraries_bring_the_loader_at_its_own_path_and_libc() {
    let dir = site();
    let packed = packed(dir.path());
    let paths: Vec<&str> = packed.manifest.entries().iter().map(|entry| entry.path().as_str()).collect();
    assert!(paths.iter().any(|path| path.contains("/ld-linux") || path.contains("/ld-musl")), "{paths:?}");
    assert!(paths.iter().any(|path| path.ends_with("/libc.so.6")), "{paths:?}");
}

#[test]
fn two_sources_for_one_path_are_refused() {
    let dir = site();
    let text = APP.replace("writable:", "  - {from: ./site/sub/secret, to: /srv/index.html}\nwritable:");
    let spec = AppSpec::from_yaml(&text).unwrap();
    assert!(matches!(packing::pack(&spec, dir.path(), |_| ()), Err(PackError::Conflict(_))));
}

#[test]
fn a_pipe_is_refused() {
    let dir = site();
    assert!(Command::new("mkfifo").arg(dir.path().join("site/pipe")).status().unwrap().success());
    let spec = AppSpec::from_yaml(APP).unwrap();
    assert!(matches!(packing::pack(&spec, dir.path(), |_| ()), Err(PackError::Special(_))));
}

#[test]
fn a_missing_source_is_named() {
    let dir = site();
    fs::remove_dir_all(dir.path().join("site")).unwrap();
    let error = packing::pack(&AppSpec::from_yaml(APP).unwrap(), dir.path(), |_| ()).unwrap_err();
    assert!(error.to_string().ends_with("site"), "{error}");
    let optional = APP.replace("to: /srv,", "to: /srv, optional: true,");
    let packed = packing::pack(&AppSpec::from_yaml(&optional).unwrap(), dir.path(), |_| ()).unwrap();
    assert!(packed.manifest.entries().iter().all(|entry| !entry.path().as_str().starts_with("/srv")));
}

#[test]
fn the_rules_of_a_manifest_hold_for_a_packed_app() {
    let dir = site();
    let spec = AppSpec::from_yaml(&APP.replace("command: /bin/true", "command: /srv/index.html")).unwrap();
    let error = packing::pack(&spec, dir.path(), |_| ()).unwrap_err();
    assert!(matches!(error, PackError::Manifest(ManifestError::Command(_))), "{error}");
}

#[test]
fn a_blob_is_stored_only_under_its_own_digest() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open_dir(dir.path().join("blobs")).unwrap();
    let (right, wrong) = (Digest::of(b"hello"), Digest::of(b"other"));
    assert!(matches!(blobs.put(&wrong, &b"hello"[..]), Err(BlobError::Mismatch { .. })));
    assert_eq!(blobs.missing(&[right, wrong]), [right, wrong]);
    blobs.put(&right, &b"hello"[..]).unwrap();
    assert_eq!(blobs.missing(&[right, wrong]), [wrong]);
    assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 1, "nothing half written stays");
}

#[test]
fn only_blobs_that_nobody_asked_for_are_unused_and_a_crash_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open_dir(dir.path()).unwrap();
    let (old, asked) = (Digest::of(b"old"), Digest::of(b"asked"));
    for content in [b"old".as_slice(), b"asked"] {
        blobs.put(&Digest::of(content), content).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        let file = fs::File::open(dir.path().join(Digest::of(content).to_string())).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let since = SystemTime::now() - Duration::from_secs(500);
    assert_eq!(blobs.wanted(&[asked, Digest::of(b"never")]), [Digest::of(b"never")]);
    assert_eq!(blobs.unused_since(since).unwrap(), [old]);
    // What is set aside is not there; after a crash it is there again.
    assert!(blobs.set_aside(&old).unwrap().is_unused_since(since).unwrap());
    assert_eq!(blobs.wanted(&[old]), [old]);
    blobs.put_all_back().unwrap();
    assert_eq!(blobs.unused_since(since).unwrap(), [old]);
    // Asked for in the last moment.
    assert_eq!(blobs.wanted(&[old]), []);
    let aside = blobs.set_aside(&old).unwrap();
    assert!(!aside.is_unused_since(since).unwrap());
    aside.put_back().unwrap();
    assert_eq!(blobs.missing(&[old, asked]), []);
    blobs.set_aside(&old).unwrap().remove().unwrap();
    assert_eq!(blobs.missing(&[old, asked]), [old]);
    assert!(blobs.set_aside(&old).is_err());
}

#[test]
fn a_copy_is_read_only_equal_to_its_manifest_and_runs() {
    let dir = site();
    let packed = packed(dir.path());
    let blobs = stored(&packed, dir.path());
    let target = dir.path().join("copy");
    assert_eq!(packing::materialise(&packed.manifest, &blobs, &target).unwrap(), Materialised::Made);
    assert_eq!(packing::materialise(&packed.manifest, &blobs, &target).unwrap(), Materialised::Found);
    packing::verify_copy(&packed.manifest, &target).unwrap();
    let root = packing::rootfs(&target);
    let mode = |path: &str| fs::symlink_metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("srv"), mode("srv/index.html"), mode("bin/true")), (0o555, 0o444, 0o555));
    assert!(Command::new(root.join("bin/true")).status().unwrap().success());
    packing::remove_copy(&target).unwrap();
    assert!(!target.exists());
}

#[test]
fn a_wrong_blob_gives_no_copy_and_leaves_nothing() {
    let dir = site();
    let packed = packed(dir.path());
    let blobs = stored(&packed, dir.path());
    fs::write(dir.path().join("blobs").join(Digest::of(b"hello").to_string()), "hellO").unwrap();
    let copies = dir.path().join("copies");
    fs::create_dir(&copies).unwrap();
    let error = packing::materialise(&packed.manifest, &blobs, &copies.join("copy")).unwrap_err();
    assert!(matches!(error, CopyError::Content { .. }), "{error}");
    assert_eq!(fs::read_dir(&copies).unwrap().count(), 0);
}

#[test]
fn a_missing_blob_gives_no_copy() {
    let dir = site();
    let packed = packed(dir.path());
    let blobs = Blobs::open_dir(dir.path().join("empty")).unwrap();
    let error = packing::materialise(&packed.manifest, &blobs, &dir.path().join("copy")).unwrap_err();
    assert!(matches!(error, CopyError::Blob(BlobError::Missing(_))), "{error}");
}

#[test]
fn every_change_of_a_copy_is_found() {
    let changes: [fn(&Path); 5] = [
        |root| {
            let file = root.join("srv/index.html");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&file, "hellO").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        },
        |root| fs::set_permissions(root.join("srv/index.html"), fs::Permissions::from_mode(0o555)).unwrap(),
        |root| fs::write(root.join("srv/more"), "").unwrap(),
        |root| fs::remove_file(root.join("srv/link")).unwrap(),
        |root| {
            fs::remove_file(root.join("srv/link")).unwrap();
            symlink("index.html", root.join("srv/link")).unwrap();
        },
    ];
    let dir = site();
    let packed = packed(dir.path());
    let blobs = stored(&packed, dir.path());
    for (index, change) in changes.into_iter().enumerate() {
        let target = dir.path().join(index.to_string());
        packing::materialise(&packed.manifest, &blobs, &target).unwrap();
        let srv = packing::rootfs(&target).join("srv");
        fs::set_permissions(&srv, fs::Permissions::from_mode(0o755)).unwrap();
        change(&packing::rootfs(&target));
        fs::set_permissions(&srv, fs::Permissions::from_mode(0o555)).unwrap();
        assert!(packing::verify_copy(&packed.manifest, &target).is_err(), "change {index}");
    }
}

#[test]
fn unfinished_copies_of_a_crash_are_removed() {
    let dir = Folder::new();
    let left = dir.path().join("abc.partial-1-0/rootfs");
    fs::create_dir_all(&left).unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o555)).unwrap();
    fs::create_dir(dir.path().join("whole")).unwrap();
    packing::remove_leftovers(dir.path()).unwrap();
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["whole"]);
}
