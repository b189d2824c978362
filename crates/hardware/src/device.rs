//! The seam to a TPM: command bytes in, response bytes out.

use std::io;
use std::path::PathBuf;

use tpm2::frame::{HEADER, MAX_RESPONSE};

/// A TPM that answers one command at a time.
pub trait Device: Send {
    /// Sends a command and waits for its response.
    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, DeviceError>;

    /// Whether it has ended for good, so that no command can ever work again. Asked between commands.
    fn has_ended(&mut self) -> bool {
        false
    }
}

/// Why a device does not answer.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The device answered before, and is not there any more.
    #[error("the TPM is gone")]
    Gone,
    /// A read or write went wrong.
    #[error("TPM {what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it did not work.
        #[source]
        source: io::Error,
    },
    /// The device can't be opened.
    #[error("open {path}")]
    Open {
        /// The device or folder.
        path: PathBuf,
        /// Why it did not work.
        #[source]
        source: io::Error,
    },
    /// The response is longer or shorter than any response may be.
    #[error("the TPM answered with {0} bytes")]
    ResponseSize(usize),
    /// A program is not installed.
    #[error("{program} is not installed (Debian: apt install {package})")]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// Another process uses the same software TPM.
    #[error("the software TPM in {0} is in use")]
    InUse(PathBuf),
    /// The software TPM could not be made or started.
    #[error("{program} ended with {status}: {output}")]
    Software {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// The folder holds something else than what a software TPM leaves.
    #[error("{0} is not what the software TPM's factory wrote")]
    Anchor(PathBuf),
    /// The next recorded command is another one, or there is none.
    #[error("command {0} is not the recorded one")]
    NotRecorded(usize),
}

impl DeviceError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                Self::Gone
            }
            _ => Self::Io { what, source },
        }
    }

    pub(crate) fn open(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Open { path, source }
    }
}

/// The length that a response header states, if any response has it.
pub(crate) fn stated_length(header: &[u8; HEADER]) -> Result<usize, DeviceError> {
    let [_, _, a, b, c, d, ..] = *header;
    let stated = u32::from_be_bytes([a, b, c, d]) as usize;
    if (HEADER..=MAX_RESPONSE).contains(&stated) {
        Ok(stated)
    } else {
        Err(DeviceError::ResponseSize(stated))
    }
}

impl Device for Box<dyn Device> {
    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
        self.as_mut().transact(command)
    }

    fn has_ended(&mut self) -> bool {
        self.as_mut().has_ended()
    }
}
