//! Reading non-volatile indices.

use tpm2::command::{MAX_NV_CHUNK, NvAttributes, NvRead, NvReadPublic};
use tpm2::{Entity, Handle};

use crate::error::TpmError;
use crate::tpm::{EMPTY, Tpm};

/// The largest index that we read; certificates are about 1 to 2 KiB.
const MAX_INDEX: u16 = 8192;

impl Tpm {
    /// The bytes in an index that the empty authorization value opens; none if the index does not exist.
    pub fn read_nv(&mut self, index: Handle) -> Result<Option<Vec<u8>>, TpmError> {
        let (public, name) = match self.execute(&NvReadPublic(index), &mut []) {
            Ok(found) => found,
            Err(error) if error.code().is_some_and(|code| code.is_absent()) => return Ok(None),
            Err(error) => return Err(error),
        };
        let index = Entity { handle: index, name };
        let authorized_by = if public.attributes.contains(NvAttributes::AUTH_READ) {
            index.clone()
        } else {
            Entity::permanent(Handle::OWNER)
        };
        let size = public.size;
        if size > MAX_INDEX {
            return Err(TpmError::IndexTooLarge(size));
        }
        let mut data = Vec::with_capacity(usize::from(size));
        let mut offset = 0;
        while offset < size {
            let chunk = MAX_NV_CHUNK.min(size - offset);
            let request =
                NvRead { authorized_by: authorized_by.clone(), index: index.clone(), size: chunk, offset };
            data.extend_from_slice(&self.execute(&request, &mut [EMPTY])?);
            offset += chunk;
        }
        Ok(Some(data))
    }
}
