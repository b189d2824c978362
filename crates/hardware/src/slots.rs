//! The few slots for objects and sessions that a TPM has.
//!
//! A TPM without a resource manager holds three objects. The least recently used one is saved outside when the TPM says
//! that it is full, and loaded again when it is used. Keys are flushed when their [`LoadedKey`] is dropped.

use std::sync::{Arc, Mutex, PoisonError};

use tpm2::command::{ContextLoad, ContextSave, FlushContext, GetHandles, SavedContext};
use tpm2::frame::{self, Request};
use tpm2::{Entity, Handle, Name, PublicArea};

use crate::error::TpmError;
use crate::tpm::Tpm;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId(u64);

pub(crate) type Released = Arc<Mutex<Vec<KeyId>>>;

pub(crate) enum Place {
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

impl Tpm {
    /// Saves the least recently used key outside, unless it is to be kept. Says whether there was one.
    pub(crate) fn evict(&mut self, keep: &[Handle]) -> Result<bool, TpmError> {
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

    pub(crate) fn flush_released(&mut self) {
        let released = std::mem::take(&mut *self.released.lock().unwrap_or_else(PoisonError::into_inner));
        for id in released {
            if let Some(Place::Loaded { handle, .. }) = self.keys.remove(&id) {
                self.flush(handle);
            }
        }
    }

    pub(crate) fn flush(&mut self, handle: Handle) {
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

    /// Flushes what nobody in this process knows: a predecessor died and the device is not one that cleans up. Says
    /// whether there was anything.
    pub(crate) fn flush_strangers(&mut self, first: Handle, keep: &[Handle]) -> Result<bool, TpmError> {
        let (handles, _) = self.execute_now(&GetHandles { first }, &mut [])?;
        let strangers: Vec<Handle> = handles
            .into_iter()
            .filter(|handle| {
                handle.0 >> 24 == first.0 >> 24 && !keep.contains(handle) && !self.is_ours(*handle)
            })
            .collect();
        for handle in &strangers {
            tracing::warn!(?handle, "flush what a predecessor left");
            self.execute_now(&FlushContext(*handle), &mut [])?;
        }
        Ok(!strangers.is_empty())
    }

    fn is_ours(&self, other: Handle) -> bool {
        self.sessions.contains(&other)
            || self
                .keys
                .values()
                .any(|place| matches!(place, Place::Loaded { handle, .. } if *handle == other))
    }
}
