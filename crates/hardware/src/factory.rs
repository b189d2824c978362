//! Makes a software TPM once: seeds, endorsement keys, and a certificate chain of its own for them.
//!
//! Everything stays below the given folder; `swtpm_setup` would otherwise keep its CA in a system folder. The machine
//! is made in a folder of another name and renamed when it is whole, so that a half-made one is never used. The CA's
//! private keys are deleted: nothing is ever certified below that root again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use der::Decode;
use x509_cert::Certificate;

use crate::device::DeviceError;

const MACHINE: &str = "machine";
const MACHINE_IN_THE_MAKING: &str = "machine.new";
const STATE: &str = "state";
const CA: &str = "ca";
const ROOT: &str = "swtpm-localca-rootca-cert.pem";
const ISSUER: &str = "issuercert.pem";
const PRIVATE_KEYS: [&str; 2] = ["signkey.pem", "swtpm-localca-rootca-privkey.pem"];
const MAX_OUTPUT: usize = 2000;

/// The CA certificates behind the endorsement certificate of a software TPM, as DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchors {
    /// Self-signed root: the anchor, of level `simulated`.
    pub root: Vec<u8>,
    /// Issuer of the endorsement certificates.
    pub issuer: Vec<u8>,
}

/// A software TPM's files.
pub(crate) struct Machine {
    pub state: PathBuf,
    pub anchors: Anchors,
}

/// The machine in `folder`, made now if there is none. The caller holds the folder's lock.
pub(crate) fn machine(folder: &Path) -> Result<Machine, DeviceError> {
    let machine = folder.join(MACHINE);
    if !machine.exists() {
        make(folder, &machine)?;
    }
    let anchors = Anchors {
        root: certificate(&machine.join(CA).join(ROOT))?,
        issuer: certificate(&machine.join(CA).join(ISSUER))?,
    };
    Ok(Machine { state: machine.join(STATE), anchors })
}

fn make(folder: &Path, machine: &Path) -> Result<(), DeviceError> {
    // swtpm_setup starts swtpm by itself, and swtpm_localca by its path.
    program("swtpm", "swtpm")?;
    let setup = program("swtpm_setup", "swtpm-tools")?;
    let localca = program("swtpm_localca", "swtpm-tools")?;
    let new = folder.join(MACHINE_IN_THE_MAKING);
    if new.exists() {
        fs::remove_dir_all(&new).map_err(DeviceError::open(&new))?;
    }
    let (state, ca) = (new.join(STATE), new.join(CA));
    for path in [&state, &ca] {
        fs::create_dir_all(path).map_err(DeviceError::open(path))?;
    }
    let config = write_configuration(&new, &ca, &localca)?;

    tracing::info!(folder = %folder.display(), "making a software TPM");
    let output = Command::new(setup)
        .args(["--tpm2", "--create-ek-cert", "--pcr-banks", "sha256", "--config"])
        .arg(&config)
        .arg("--tpmstate")
        .arg(&state)
        // Its scratch files, the endorsement certificates among them, stay in the folder too.
        .env("TMPDIR", &new)
        .stdin(Stdio::null())
        .output()
        .map_err(DeviceError::io("start swtpm_setup"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said =
            String::from_utf8_lossy(said.get(said.len().saturating_sub(MAX_OUTPUT)..).unwrap_or_default());
        return Err(DeviceError::Software {
            program: "swtpm_setup",
            status: output.status,
            output: said.trim().to_owned(),
        });
    }
    for key in PRIVATE_KEYS.map(|name| ca.join(name)) {
        fs::remove_file(&key).map_err(DeviceError::open(&key))?;
    }
    fs::rename(&new, machine).map_err(DeviceError::open(machine))
}

fn write_configuration(new: &Path, ca: &Path, localca: &Path) -> Result<PathBuf, DeviceError> {
    let (setup, authority, options) =
        (new.join("setup.conf"), new.join("localca.conf"), new.join("localca.options"));
    let ca = ca.display();
    let files = [
        (
            &setup,
            format!(
                "create_certs_tool = {}\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n",
                localca.display(),
                authority.display(),
                options.display()
            ),
        ),
        (
            &authority,
            format!(
                "statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/{ISSUER}\ncertserial = {ca}/certserial\n"
            ),
        ),
        (
            &options,
            "--platform-manufacturer Sealwright\n--platform-version 1\n--platform-model Simulated\n"
                .to_owned(),
        ),
    ];
    for (path, content) in files {
        fs::write(path, content).map_err(DeviceError::open(path))?;
    }
    Ok(setup)
}

fn certificate(path: &Path) -> Result<Vec<u8>, DeviceError> {
    let pem = fs::read(path).map_err(DeviceError::open(path))?;
    let (label, der) = der::pem::decode_vec(&pem).map_err(|_| DeviceError::Anchor(path.to_owned()))?;
    if label != "CERTIFICATE" {
        return Err(DeviceError::Anchor(path.to_owned()));
    }
    match Certificate::from_der(&der) {
        Ok(_) => Ok(der),
        Err(_) => Err(DeviceError::Anchor(path.to_owned())),
    }
}

/// Where a program is, by `PATH`.
pub(crate) fn program(program: &'static str, package: &'static str) -> Result<PathBuf, DeviceError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or(DeviceError::NotInstalled { program, package })
}
