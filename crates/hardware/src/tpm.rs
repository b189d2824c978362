//! Commands over a device: sent, repeated when the TPM asks for it, read.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use tpm2::command::{StartAuthSession, Startup};
use tpm2::credential::{Randomness, Salt};
use tpm2::frame::{self, Request};
use tpm2::session::{Authorization, NONCE_SIZE, Session, SessionKind};
use tpm2::{Handle, ResponseCode};
use zeroize::Zeroizing;

use crate::device::Device;
use crate::error::TpmError;
use crate::slots::{KeyId, LoadedKey, Place, Released};

/// How often a command that the TPM asks to repeat is repeated.
const MAX_RETRIES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// How often room is made for one command.
const MAX_EVICTIONS: u32 = 4;

/// A started TPM.
pub struct Tpm {
    device: Box<dyn Device>,
    pub(crate) keys: BTreeMap<KeyId, Place>,
    pub(crate) sessions: Vec<Handle>,
    pub(crate) counter: u64,
    pub(crate) released: Released,
}

impl Tpm {
    /// Takes the device and starts the TPM, if it is not started already.
    pub fn start(device: impl Device + 'static) -> Result<Self, TpmError> {
        let mut tpm = Self {
            device: Box::new(device),
            keys: BTreeMap::new(),
            sessions: Vec::new(),
            counter: 0,
            released: Released::default(),
        };
        match tpm.execute(&Startup, &mut []) {
            Ok(()) => Ok(tpm),
            Err(error) if error.code() == Some(ResponseCode::INITIALIZE) => Ok(tpm),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.device.has_ended()
    }

    /// Sends a command with its authorizations and reads the response.
    pub fn execute<R: Request>(
        &mut self,
        request: &R,
        authorizations: &mut [Authorization<'_>],
    ) -> Result<R::Response, TpmError> {
        self.flush_released();
        self.execute_now(request, authorizations)
    }

    pub(crate) fn execute_now<R: Request>(
        &mut self,
        request: &R,
        authorizations: &mut [Authorization<'_>],
    ) -> Result<R::Response, TpmError> {
        let keep: Vec<Handle> = request.entities().into_iter().map(|entity| entity.handle).collect();
        let command = frame::encode(request, authorizations)?;
        let response = self.send(&command, &keep)?;
        frame::decode(request, authorizations, &response)
            .map_err(|source| TpmError::Response { command: R::CODE, source })
    }

    /// Sends the same bytes until the TPM has an answer to them, a bounded number of times.
    pub(crate) fn send(&mut self, command: &[u8], keep: &[Handle]) -> Result<Vec<u8>, TpmError> {
        let (mut retries, mut evictions, mut pause) = (0, 0, FIRST_PAUSE);
        loop {
            let response = self.device.transact(command)?;
            match response_code(&response) {
                Some(code) if code.is_retry() && retries < MAX_RETRIES => {
                    retries += 1;
                    thread::sleep(pause);
                    pause = MAX_PAUSE.min(pause * 2);
                }
                Some(ResponseCode::OBJECT_MEMORY) if evictions < MAX_EVICTIONS => {
                    evictions += 1;
                    if !self.evict(keep)? && !self.flush_strangers(Handle::FIRST_TRANSIENT, keep)? {
                        return Ok(response);
                    }
                }
                Some(ResponseCode::SESSION_MEMORY) if evictions < MAX_EVICTIONS => {
                    evictions += 1;
                    if !self.flush_strangers(Handle::FIRST_LOADED_SESSION, keep)? {
                        return Ok(response);
                    }
                }
                Some(_) | None => return Ok(response),
            }
        }
    }

    /// Runs `body` in a session of this kind and flushes the session afterwards. A salt key makes the session one in
    /// which parameters can be encrypted.
    pub fn in_session<T>(
        &mut self,
        kind: SessionKind,
        salted_by: Option<&LoadedKey>,
        body: impl FnOnce(&mut Self, &mut Session) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let (salt, handle) = match salted_by {
            None => (Salt::none(), Handle::NULL),
            Some(key) => {
                let [entity] = self.entities([key])?;
                (Salt::for_key(key.public(), &randomness()?)?, entity.handle)
            }
        };
        let nonce = nonce()?;
        let started =
            self.execute(&StartAuthSession { salted_by: handle, salt: &salt, kind, nonce }, &mut [])?;
        let mut session = Session::new(started.handle, kind, &salt, &nonce, started.nonce_tpm);
        self.sessions.push(started.handle);
        let result = body(self, &mut session);
        self.sessions.retain(|handle| *handle != started.handle);
        self.flush(started.handle);
        result
    }
}

/// Nothing to prove: the authorization value is empty.
pub(crate) const EMPTY: Authorization<'static> = Authorization::Password(&[]);

pub(crate) fn nonce() -> Result<[u8; NONCE_SIZE], TpmError> {
    let mut bytes = [0; NONCE_SIZE];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn randomness() -> Result<Randomness, TpmError> {
    let mut randomness = Randomness { seed: Zeroizing::new([0; 48]), padding: Zeroizing::new([0; 48]) };
    getrandom::fill(randomness.seed.as_mut_slice())?;
    getrandom::fill(randomness.padding.as_mut_slice())?;
    Ok(randomness)
}

fn response_code(response: &[u8]) -> Option<ResponseCode> {
    let code: [u8; 4] = response.get(6..10)?.try_into().ok()?;
    Some(ResponseCode(u32::from_be_bytes(code)))
}
