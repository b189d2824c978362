//! The software TPM as a process: its files, its lock, its end.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use der::Decode;
use hardware::{AkPurpose, CharDevice, DeviceError, SoftwareTpm, Tpm};
use tpm2::PcrSelection;
use x509_cert::Certificate;

use crate::support::{folder, software_tpm};

#[test]
fn a_machine_is_made_once_with_a_chain_of_its_own() {
    // A space in the path: the factory's programs read it from configuration files.
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("a folder");
    let device = SoftwareTpm::start(&folder).unwrap();
    let anchors = device.anchors().clone();
    let ek = Tpm::start(device).unwrap().endorsement_key().unwrap();
    let [leaf, issuer, root] =
        [ek.certificate(), &anchors.issuer, &anchors.root].map(|der| Certificate::from_der(der).unwrap());
    let name = |certificate: &Certificate| certificate.tbs_certificate().subject().clone();
    assert_eq!(leaf.tbs_certificate().issuer(), &name(&issuer));
    assert_eq!(issuer.tbs_certificate().issuer(), &name(&root));
    assert_eq!(root.tbs_certificate().issuer(), &name(&root));

    let again = SoftwareTpm::start(&folder).unwrap();
    assert_eq!(again.anchors(), &anchors);
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn nobody_keeps_the_keys_of_the_software_ca() {
    let folder = folder();
    let mut files = Vec::new();
    walk(folder.path(), &mut files);
    for file in files {
        let content = std::fs::read(&file).unwrap();
        let is_private_key = content.windows(11).any(|window| window == b"PRIVATE KEY");
        assert!(!is_private_key, "{}", file.display());
    }
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

#[test]
fn a_half_made_machine_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("machine.new/state")).unwrap();
    std::fs::write(folder.path().join("machine.new/state/tpm2-00.permall"), b"half").unwrap();
    let mut tpm = Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
    tpm.endorsement_key().unwrap();
    assert!(!folder.path().join("machine.new").exists());
}

#[test]
fn one_folder_has_one_user() {
    let folder = folder();
    let first = SoftwareTpm::start(folder.path()).unwrap();
    assert!(matches!(SoftwareTpm::start(folder.path()), Err(DeviceError::InUse(_))));
    drop(first);
    SoftwareTpm::start(folder.path()).unwrap();
}

#[test]
fn a_state_that_swtpm_does_not_take_is_an_error_that_says_why() {
    let folder = folder();
    std::fs::write(folder.path().join("machine/state/tpm2-00.permall"), b"not a state").unwrap();
    match SoftwareTpm::start(folder.path()) {
        Err(DeviceError::Software { program: "swtpm", output, .. }) => assert!(!output.is_empty()),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("started"),
    }
}

#[test]
fn a_device_that_is_not_there_is_named() {
    match CharDevice::open(Path::new("/dev/no-such-tpm")) {
        Err(DeviceError::Open { path, .. }) => assert_eq!(path, Path::new("/dev/no-such-tpm")),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("opened"),
    }
}

/// The part of `killing_its_owner_leaves_no_orphan` that runs in a process of its own and is killed.
#[test]
fn owner_process() {
    let Some(folder) = std::env::var_os("SEALWRIGHT_TEST_TPM_FOLDER") else { return };
    let device = SoftwareTpm::start(Path::new(&folder)).unwrap();
    println!("swtpm={}", device.pid());
    // Until the test kills us; if the test itself dies, standard input ends.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

#[test]
fn killing_its_owner_leaves_no_orphan_and_the_next_start_works() {
    let (folder, tpm) = software_tpm();
    drop(tpm);
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "software::owner_process", "--nocapture"])
        .env("SEALWRIGHT_TEST_TPM_FOLDER", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(owner.stdout.take().unwrap());
    let pid: u32 = std::io::BufRead::lines(output)
        .find_map(|line| line.unwrap().split_once("swtpm=")?.1.trim().parse().ok())
        .unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    // Waits for the old one to let go of the state.
    let mut tpm = Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
    tpm.random(1).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(status.is_empty() || status.contains("State:\tZ"), "swtpm {pid} is still there: {status}");
}

#[test]
fn no_software_tpm_outlives_an_owner_that_is_killed_before_its_command_is_read() {
    let (folder, tpm) = software_tpm();
    drop(tpm);
    for _ in 0..5 {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "software::owner_process"])
            .env("SEALWRIGHT_TEST_TPM_FOLDER", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // The first command is sent as soon as the child exists, and read when swtpm has begun.
        let pid = soon(|| {
            children_of(owner.id()).into_iter().find(|pid| name_of(*pid).as_deref() == Some("swtpm"))
        });
        owner.kill().unwrap();
        owner.wait().unwrap();
        soon(|| (name_of(pid).as_deref() != Some("swtpm")).then_some(()));
    }
    SoftwareTpm::start(folder.path()).unwrap();
}

#[test]
fn a_software_tpm_that_is_killed_many_times_does_not_lock_itself() {
    let folder = folder();
    for _ in 0..40 {
        let device = SoftwareTpm::start(folder.path()).unwrap();
        let pid = rustix::process::Pid::from_raw(device.pid() as i32).unwrap();
        let mut tpm = Tpm::start(device).unwrap();
        let key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
        tpm.quote(&key, b"", &PcrSelection::sha256(&[0]).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.flat_map(|pids| pids.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>()).collect()
}

/// The name of a process that has not ended.
fn name_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, state) = stat.split_once(" (")?.1.rsplit_once(") ")?;
    (!state.starts_with('Z')).then(|| name.to_owned())
}

/// Looks until it is there; not for ever.
fn soon<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "not in time");
        std::thread::yield_now();
    }
}
