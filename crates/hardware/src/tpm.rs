//! Commands over a device: retries, and the few slots for objects that a TPM has.
//!
//! A TPM without a resource manager holds three objects. [`Tpm`] saves the least recently used one outside when the
//! TPM says that it is full, and loads it again when it is used. Keys are flushed when their [`LoadedKey`] is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tpm2::command::{ContextLoad, ContextSave, FlushContext, SavedContext, StartAuthSession, Startup};
use tpm2::credential::{CredentialError, Randomness, Salt};
use tpm2::frame::{self, CommandError, Request, ResponseError};
use tpm2::rc::ResponseCode;
use tpm2::session::{Authorization, NONCE_SIZE, Session, SessionKind};
use tpm2::{Entity, Handle, KeyError, Name, PublicArea, SignatureError, WireError};
use zeroize::Zeroizing;

use crate::device::{Device, DeviceError};

/// Why an operation on a TPM did not work.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The device does not answer.
    #[error("TPM device")]
    Device(#[from] DeviceError),
    /// A command can't be written.
    #[error("TPM command")]
    Command(#[from] CommandError),
    /// A template or blob is malformed.
    #[error("TPM structure")]
    Structure(#[from] WireError),
    /// The TPM refused, or its response is not one.
    #[error("TPM command {command:#x}")]
    Response {
        /// TPM_CC.
        command: u32,
        /// Why.
        #[source]
        source: ResponseError,
    },
    /// A secret could not be wrapped.
    #[error("wrap a secret for the TPM")]
    Wrap(#[from] CredentialError),
    /// The TPM gave a key that is none.
    #[error("key of the TPM")]
    Key(#[from] KeyError),
    /// The TPM gave a signature that is none.
    #[error("signature of the TPM")]
    Signature(#[from] SignatureError),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// There is no endorsement certificate.
    #[error("the TPM has no endorsement certificate")]
    NoEndorsementCertificate,
    /// The endorsement certificate is not one.
    #[error("the endorsement certificate is malformed")]
    EndorsementCertificate,
    /// No endorsement key of this TPM has the certificate's key.
    #[error("the endorsement key is not that of its certificate")]
    EndorsementKeyMismatch,
    /// The endorsement key's policy is not one that we can satisfy.
    #[error("unknown endorsement key policy")]
    EndorsementKeyPolicy,
    /// The PCR is not in the SHA-256 bank.
    #[error("the SHA-256 bank has no PCR {0}")]
    NoSuchPcr(u8),
    /// The key was flushed, or belongs to another TPM.
    #[error("the key is not loaded")]
    NotLoaded,
}

/// How often a command that the TPM asks to repeat is repeated.
const MAX_RETRIES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// Objects saved outside to make room for one command.
const MAX_EVICTIONS: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct KeyId(u64);

type Released = Arc<Mutex<Vec<KeyId>>>;

enum Place {
    Persistent(Handle),
    Loaded { handle: Handle, used: u64 },
    Saved(SavedContext),
}

/// A key in the TPM, until it is dropped.
pub struct LoadedKey {
    id: KeyId,
    public: PublicArea,
    name: Name,
    released: Released,
}

impl LoadedKey {
    /// What it is.
    pub fn public(&self) -> &PublicArea {
        &self.public
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }
}

impl Drop for LoadedKey {
    fn drop(&mut self) {
        self.released.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
    }
}

/// A started TPM.
pub struct Tpm {
    device: Box<dyn Device>,
    keys: BTreeMap<KeyId, Place>,
    counter: u64,
    released: Released,
}

impl Tpm {
    /// Takes the device and starts the TPM, if it is not started already.
    pub fn start(device: impl Device + 'static) -> Result<Self, TpmError> {
        let mut tpm = Self {
            device: Box::new(device),
            keys: BTreeMap::new(),
            counter: 0,
            released: Released::default(),
        };
        match tpm.execute(&Startup, &mut []) {
            Ok(()) => Ok(tpm),
            Err(error) if error.code() == Some(ResponseCode::INITIALIZE) => Ok(tpm),
            Err(error) => Err(error),
        }
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

    fn execute_now<R: Request>(
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
    fn send(&mut self, command: &[u8], keep: &[Handle]) -> Result<Vec<u8>, TpmError> {
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
                    if !self.evict(keep)? {
                        return Ok(response);
                    }
                }
                Some(_) | None => return Ok(response),
            }
        }
    }

    /// Saves the least recently used key outside, unless it is to be kept. Says whether there was one.
    fn evict(&mut self, keep: &[Handle]) -> Result<bool, TpmError> {
        let oldest = self
            .keys
            .iter()
            .filter_map(|(id, place)| match place {
                Place::Loaded { handle, used } if !keep.contains(handle) => Some((*used, *id, *handle)),
                Place::Loaded { .. } | Place::Persistent(_) | Place::Saved(_) => None,
            })
            .min();
        let Some((_, id, handle)) = oldest else { return Ok(false) };
        let saved = self.execute_now(&ContextSave(handle), &mut [])?;
        self.execute_now(&FlushContext(handle), &mut [])?;
        self.keys.insert(id, Place::Saved(saved));
        Ok(true)
    }

    fn flush_released(&mut self) {
        let released = std::mem::take(&mut *self.released.lock().unwrap_or_else(PoisonError::into_inner));
        for id in released {
            if let Some(Place::Loaded { handle, .. }) = self.keys.remove(&id) {
                self.flush(handle);
            }
        }
    }

    fn flush(&mut self, handle: Handle) {
        if let Err(error) = self.execute_now(&FlushContext(handle), &mut []) {
            // The slot stays taken; the device reports the same trouble to the next command.
            tracing::warn!(?handle, %error, "flush");
        }
    }

    /// Keeps a transient object until the returned key is dropped.
    pub fn adopt(&mut self, handle: Handle, public: PublicArea) -> LoadedKey {
        let used = self.tick();
        self.keep(Place::Loaded { handle, used }, public)
    }

    pub(crate) fn adopt_persistent(&mut self, handle: Handle, public: PublicArea) -> LoadedKey {
        self.keep(Place::Persistent(handle), public)
    }

    fn keep(&mut self, place: Place, public: PublicArea) -> LoadedKey {
        let id = KeyId(self.tick());
        self.keys.insert(id, place);
        LoadedKey { id, name: public.name(), public, released: Arc::clone(&self.released) }
    }

    fn tick(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The keys as the TPM has them now, all loaded at the same time.
    pub fn entities<const N: usize>(&mut self, keys: [&LoadedKey; N]) -> Result<[Entity; N], TpmError> {
        self.flush_released();
        let mut pinned: Vec<Handle> = keys.iter().filter_map(|key| self.loaded(key)).collect();
        for key in keys {
            if let Some(Place::Saved(_)) = self.keys.get(&key.id) {
                pinned.push(self.reload(key, &pinned)?);
            }
        }
        let mut entities = keys.map(|key| Entity { handle: Handle::NULL, name: key.name.clone() });
        for (entity, key) in entities.iter_mut().zip(keys) {
            entity.handle = self.loaded(key).ok_or(TpmError::NotLoaded)?;
        }
        Ok(entities)
    }

    fn loaded(&mut self, key: &LoadedKey) -> Option<Handle> {
        let now = self.tick();
        if !Arc::ptr_eq(&key.released, &self.released) {
            return None;
        }
        match self.keys.get_mut(&key.id)? {
            Place::Persistent(handle) => Some(*handle),
            Place::Loaded { handle, used } => {
                *used = now;
                Some(*handle)
            }
            Place::Saved(_) => None,
        }
    }

    fn reload(&mut self, key: &LoadedKey, pinned: &[Handle]) -> Result<Handle, TpmError> {
        let Some(Place::Saved(context)) = self.keys.remove(&key.id) else { return Err(TpmError::NotLoaded) };
        let result = frame::encode(&ContextLoad(&context), &[])
            .map_err(TpmError::from)
            .and_then(|command| self.send(&command, pinned))
            .and_then(|response| {
                frame::decode(&ContextLoad(&context), &mut [], &response)
                    .map_err(|source| TpmError::Response { command: ContextLoad::CODE, source })
            });
        let place = match &result {
            Ok(handle) => Place::Loaded { handle: *handle, used: self.tick() },
            Err(_) => Place::Saved(context),
        };
        self.keys.insert(key.id, place);
        result
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
        let result = body(self, &mut session);
        self.flush(started.handle);
        result
    }
}

impl TpmError {
    /// What the TPM answered, if it refused.
    pub fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::Response { source: ResponseError::Refused(code), .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the device itself is lost, so that no later command can work either.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Device(_))
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
