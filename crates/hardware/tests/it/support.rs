//! A software TPM in a folder of its own.

use std::sync::OnceLock;

use hardware::{SoftwareTpm, Tpm};
use tempfile::TempDir;
use tpm2::credential::Randomness;
use zeroize::Zeroizing;

/// Making a machine takes a second: one is made, and each test gets a copy in its own folder.
pub fn folder() -> TempDir {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        drop(SoftwareTpm::start(folder.path()).unwrap());
        folder
    });
    let folder = tempfile::tempdir().unwrap();
    for part in ["machine/state", "machine/ca"] {
        std::fs::create_dir_all(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(made.path().join(part)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    folder
}

pub fn software_tpm() -> (TempDir, Tpm) {
    let folder = folder();
    let tpm = Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
    (folder, tpm)
}

pub fn randomness(byte: u8) -> Randomness {
    Randomness { seed: Zeroizing::new([byte; 48]), padding: Zeroizing::new([byte ^ 0xff; 48]) }
}
