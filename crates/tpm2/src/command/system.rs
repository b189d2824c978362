//! Starting, testing, asking, forgetting failed tries (Part 3, 9, 10, 16, 25, 30).

use alloc::vec::Vec;

use crate::frame::Request;
use crate::handle::{Entity, Handle};
use crate::wire::{Reader, WireError, Writer};

const CLEAR: u16 = 0x0000;

/// TPM2_Startup(CLEAR).
pub struct Startup;

impl Request for Startup {
    type Response = ();
    const CODE: u32 = 0x144;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(CLEAR);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_Shutdown(CLEAR).
pub struct Shutdown;

impl Request for Shutdown {
    type Response = ();
    const CODE: u32 = 0x145;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(CLEAR);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_DictionaryAttackLockReset: no authorization has failed yet.
pub struct DictionaryAttackLockReset;

impl Request for DictionaryAttackLockReset {
    type Response = ();
    const CODE: u32 = 0x139;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(Handle::LOCKOUT)].into()
    }

    fn write(&self, _: &mut Writer) {}

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_SelfTest(full): afterwards the first use of an algorithm does not ask to be retried.
pub struct SelfTest;

impl Request for SelfTest {
    type Response = ();
    const CODE: u32 = 0x143;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(1);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_GetRandom: up to this many bytes.
pub struct GetRandom(pub u16);

impl Request for GetRandom {
    type Response = Vec<u8>;
    const CODE: u32 = 0x17b;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        Ok(parameters.sized("random bytes", usize::from(self.0))?.to_vec())
    }
}

const CAPABILITY_HANDLES: u32 = 1;
const CAPABILITY_PROPERTIES: u32 = 6;
const MAX_CAPABILITIES: u32 = 254;

/// TPM2_GetCapability(handles): those that exist from `first` on; also says whether there are more.
pub struct GetHandles {
    /// The first handle of the range.
    pub first: Handle,
}

impl Request for GetHandles {
    type Response = (Vec<Handle>, bool);
    const CODE: u32 = 0x17a;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(CAPABILITY_HANDLES).u32(self.first.0).u32(MAX_CAPABILITIES);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Self::Response, WireError> {
        let (more, count) = capability(parameters, CAPABILITY_HANDLES)?;
        let mut handles = Vec::new();
        for _ in 0..count {
            handles.push(Handle(parameters.u32()?));
        }
        Ok((handles, more))
    }
}

/// TPM2_GetCapability(TPM properties): tag and value of those from `first` on.
pub struct GetProperties {
    /// TPM_PT of the first.
    pub first: u32,
    /// How many at most.
    pub count: u32,
}

impl GetProperties {
    /// TPM_PT_MANUFACTURER: four letters.
    pub const MANUFACTURER: u32 = 0x105;
    /// TPM_PT_FIRMWARE_VERSION_1.
    pub const FIRMWARE_VERSION_1: u32 = 0x10b;
    /// TPM_PT_PERMANENT: flags, TPMA_PERMANENT.
    pub const PERMANENT: u32 = 0x200;
    /// TPMA_PERMANENT.inLockout (Part 2, 8.6).
    pub const IN_LOCKOUT: u32 = 1 << 9;
    /// TPM_PT_LOCKOUT_COUNTER: failed authorizations.
    pub const LOCKOUT_COUNTER: u32 = 0x20e;
    /// TPM_PT_MAX_AUTH_FAIL: how many of them lock.
    pub const MAX_AUTH_FAIL: u32 = 0x20f;
    /// TPM_PT_LOCKOUT_INTERVAL: seconds after which one is forgotten.
    pub const LOCKOUT_INTERVAL: u32 = 0x210;
    /// TPM_PT_LOCKOUT_RECOVERY: seconds after which the lockout authorization may be tried again.
    pub const LOCKOUT_RECOVERY: u32 = 0x211;
    /// TPM_PT_NV_BUFFER_MAX.
    pub const NV_BUFFER_MAX: u32 = 0x12c;
}

impl Request for GetProperties {
    type Response = Vec<(u32, u32)>;
    const CODE: u32 = 0x17a;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(CAPABILITY_PROPERTIES).u32(self.first).u32(self.count);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Self::Response, WireError> {
        let (_, count) = capability(parameters, CAPABILITY_PROPERTIES)?;
        let mut properties = Vec::new();
        for _ in 0..count {
            properties.push((parameters.u32()?, parameters.u32()?));
        }
        Ok(properties)
    }
}

fn capability(parameters: &mut Reader<'_>, expected: u32) -> Result<(bool, u32), WireError> {
    let (more, capability, count) = (parameters.u8()?, parameters.u32()?, parameters.u32()?);
    if capability != expected {
        return Err(WireError::Value { what: "capability", value: capability });
    }
    if count > MAX_CAPABILITIES {
        return Err(WireError::Value { what: "capability count", value: count });
    }
    Ok((more != 0, count))
}
