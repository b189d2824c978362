//! The boot that a software TPM has not seen: extends a sample boot log and an IMA list into it. Simulated, and said so.

use hardware::{Tpm, TpmError};
use logs::bank::Bank;
use logs::boot::BootLog;
use logs::ima::{Entry, ImaLog};
use names::Digest;

/// Why there is no simulated boot.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The TPM.
    #[error("the TPM")]
    Tpm(#[from] TpmError),
    /// The sample boot log.
    #[error("the sample boot log")]
    BootLog(#[from] logs::boot::BootLogError),
    /// The sample IMA list.
    #[error("the sample IMA list")]
    Ima(#[from] logs::ima::ImaError),
    /// A path that IMA could not measure.
    #[error("a path for the IMA list")]
    Entry(#[from] logs::ima::EntryFault),
}

/// The sample list with an entry for each of these files, as a kernel would have added it.
///
/// # Errors
/// [`SimulationError`].
pub fn ima_list(sample: &[u8], files: &[(String, Digest)]) -> Result<Vec<u8>, SimulationError> {
    ImaLog::parse_ascii(sample)?;
    let mut list = sample.to_vec();
    for (path, digest) in files {
        // The kernel replaces blanks, which separate fields (Linux, ima_template_lib.c).
        let path = path.replace(' ', "_");
        list.extend_from_slice(&Entry::measured(path.as_bytes(), digest)?.to_ascii());
    }
    Ok(list)
}

/// Extends both logs, as firmware and kernel would have done at boot. Right after the TPM was reset, once.
///
/// # Errors
/// [`SimulationError`].
pub fn boot(tpm: &mut Tpm, boot_log: &[u8], ima_list: &[u8]) -> Result<(), SimulationError> {
    let log = BootLog::parse(boot_log)?;
    for event in log.events().iter().filter(|event| event.is_extended()) {
        let digest = event.digest(Bank::Sha256).and_then(|digest| <&[u8; 32]>::try_from(digest).ok());
        let pcr = u8::try_from(event.pcr()).ok();
        if let (Some(pcr), Some(digest)) = (pcr, digest) {
            tpm.extend(pcr, digest)?;
        }
    }
    for entry in ImaLog::parse_ascii(ima_list)?.entries() {
        let extension = entry.extension(Bank::Sha256);
        if let Ok(digest) = <&[u8; 32]>::try_from(extension.as_bytes()) {
            tpm.extend(evidence::IMA_PCR, digest)?;
        }
    }
    Ok(())
}
