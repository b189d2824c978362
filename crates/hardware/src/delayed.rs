//! A software TPM made as slow as hardware, for the bench.

use std::thread;
use std::time::Duration;

use tpm2::command::Quote;
use tpm2::frame::Request;

use crate::device::{Device, DeviceError};

/// Adds a fixed time to each quote.
pub struct Delayed<D> {
    device: D,
    quote: Duration,
}

impl<D: Device> Delayed<D> {
    /// Adds `quote` to each quote of `device`.
    pub fn new(device: D, quote: Duration) -> Self {
        Self { device, quote }
    }
}

impl<D: Device> Device for Delayed<D> {
    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
        if command.get(6..10) == Some(Quote::CODE.to_be_bytes().as_slice()) {
            thread::sleep(self.quote);
        }
        self.device.transact(command)
    }

    fn has_ended(&mut self) -> bool {
        self.device.has_ended()
    }
}
