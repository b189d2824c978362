//! A TPM behind the kernel: `/dev/tpmrm0` (shared, handles virtualised) or `/dev/tpm0`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use tpm2::frame::{HEADER, MAX_RESPONSE};

use crate::device::{Device, DeviceError};

/// An open TPM character device.
pub struct CharDevice {
    file: File,
}

impl CharDevice {
    /// Opens the device. The kernel refuses a second open of `/dev/tpm0`.
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(DeviceError::open(path))?;
        Ok(Self { file })
    }
}

impl Device for CharDevice {
    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
        // One write is one command and one read is one response; the kernel does not put pieces together.
        let written = self.file.write(command).map_err(DeviceError::io("write"))?;
        if written != command.len() {
            return Err(DeviceError::Gone);
        }
        let mut response = vec![0; MAX_RESPONSE];
        let length = self.file.read(&mut response).map_err(DeviceError::io("read"))?;
        if length < HEADER {
            return Err(DeviceError::ResponseSize(length));
        }
        response.truncate(length);
        Ok(response)
    }
}
