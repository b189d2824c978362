//! Recorded commands and responses, for tests.

use std::sync::{Arc, Mutex, PoisonError};

use crate::device::{Device, DeviceError};

/// A command and the response to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Bytes sent.
    pub command: Vec<u8>,
    /// Bytes received.
    pub response: Vec<u8>,
}

/// Answers exactly the recorded commands in their order.
pub struct Replay {
    exchanges: Vec<Exchange>,
    next: usize,
}

impl Replay {
    /// Will answer these.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        Self { exchanges, next: 0 }
    }
}

impl Device for Replay {
    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
        let exchange = self
            .exchanges
            .get(self.next)
            .filter(|exchange| exchange.command == command)
            .ok_or(DeviceError::NotRecorded(self.next))?;
        self.next += 1;
        Ok(exchange.response.clone())
    }
}

/// Passes everything on to a device and keeps a copy.
pub struct Recorder<D> {
    device: D,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl<D: Device> Recorder<D> {
    /// Records what `device` does into `exchanges`.
    pub fn new(device: D, exchanges: Arc<Mutex<Vec<Exchange>>>) -> Self {
        Self { device, exchanges }
    }
}

impl<D: Device> Device for Recorder<D> {
    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
        let response = self.device.transact(command)?;
        let exchange = Exchange { command: command.to_vec(), response: response.clone() };
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        Ok(response)
    }

    fn has_ended(&mut self) -> bool {
        self.device.has_ended()
    }
}
