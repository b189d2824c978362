//! A software TPM in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hardware::{DeviceError, SoftwareTpm, Tpm};
use tempfile::TempDir;
use tpm2::credential::Randomness;
use zeroize::Zeroizing;

/// Making a machine takes a second: one is made for all runs, and each test gets a copy in its own folder.
pub fn folder() -> TempDir {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("software-tpm");
        // Another run may be making it right now.
        while let Err(error) = SoftwareTpm::start(&folder) {
            assert!(matches!(error, DeviceError::InUse(_)), "{error:?}");
            std::thread::yield_now();
        }
        folder
    });
    let made = MADE.as_path();
    let folder = tempfile::tempdir().unwrap();
    for part in ["machine/state", "machine/ca"] {
        std::fs::create_dir_all(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(made.join(part)).unwrap() {
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
