//! Non-volatile indices (Part 3, 31).

use alloc::vec::Vec;
use core::ops::BitOr;

use crate::algorithms::NameAlgorithm;
use crate::frame::Request;
use crate::handle::{Entity, Handle, Name};
use crate::wire::{Reader, WireError, Writer};

/// Bytes that we read or write at once; every PC client TPM takes as many.
pub const MAX_NV_CHUNK: u16 = 512;

/// TPMA_NV (Part 2, 13.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NvAttributes(pub u32);

impl NvAttributes {
    /// The owner may write.
    pub const OWNER_WRITE: Self = Self(1 << 1);
    /// The index's authorization value allows to write.
    pub const AUTH_WRITE: Self = Self(1 << 2);
    /// The owner may read.
    pub const OWNER_READ: Self = Self(1 << 17);
    /// The index's authorization value allows to read.
    pub const AUTH_READ: Self = Self(1 << 18);
    /// Wrong values do not count towards a lock-out.
    pub const NO_DA: Self = Self(1 << 25);
    /// Has been written.
    pub const WRITTEN: Self = Self(1 << 29);

    /// Whether all of `wanted` are set.
    pub fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

impl BitOr for NvAttributes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// TPMS_NV_PUBLIC of an ordinary index (Part 2, 13.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NvPublic {
    /// The index.
    pub index: Handle,
    /// Hash of its name.
    pub name_algorithm: NameAlgorithm,
    /// Attributes.
    pub attributes: NvAttributes,
    /// Policy digest, or empty.
    pub auth_policy: Vec<u8>,
    /// Bytes of data.
    pub size: u16,
}

impl NvPublic {
    fn write(&self, writer: &mut Writer) {
        writer.u16((14 + self.auth_policy.len()) as u16);
        writer.u32(self.index.0).u16(self.name_algorithm.hash().id()).u32(self.attributes.0);
        writer.sized("auth policy", &self.auth_policy).u16(self.size);
    }

    fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let public = Self {
            index: Handle(reader.u32()?),
            name_algorithm: NameAlgorithm::read(&mut reader)?,
            attributes: NvAttributes(reader.u32()?),
            auth_policy: reader.sized("auth policy", 64)?.to_vec(),
            size: reader.u16()?,
        };
        reader.finish()?;
        Ok(public)
    }
}

/// TPM2_NV_ReadPublic.
pub struct NvReadPublic(pub Handle);

impl Request for NvReadPublic {
    type Response = (NvPublic, Name);
    const CODE: u32 = 0x169;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.0)].into()
    }

    fn write(&self, _: &mut Writer) {}

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Self::Response, WireError> {
        let public = NvPublic::parse(parameters.sized("NV public area", 256)?)?;
        let name = Name::parse(parameters.sized("name", 128)?)?;
        Ok((public, name))
    }
}

/// TPM2_NV_Read of at most [`MAX_NV_CHUNK`] bytes.
pub struct NvRead {
    /// Who authorizes: the owner or the index itself.
    pub authorized_by: Entity,
    /// The index.
    pub index: Entity,
    /// How many bytes.
    pub size: u16,
    /// From where.
    pub offset: u16,
}

impl Request for NvRead {
    type Response = Vec<u8>;
    const CODE: u32 = 0x14e;

    fn entities(&self) -> Vec<Entity> {
        [self.authorized_by.clone(), self.index.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(self.size).u16(self.offset);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        let data = parameters.sized("NV data", usize::from(self.size))?;
        if data.len() != usize::from(self.size) {
            return Err(WireError::Value { what: "NV data length", value: data.len() as u32 });
        }
        Ok(data.to_vec())
    }
}

/// TPM2_NV_DefineSpace.
pub struct NvDefineSpace<'a> {
    /// The hierarchy; authorized.
    pub hierarchy: Handle,
    /// Authorization value of the index.
    pub auth_value: &'a [u8],
    /// The index.
    pub public: &'a NvPublic,
}

impl Request for NvDefineSpace<'_> {
    type Response = ();
    const CODE: u32 = 0x12a;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.hierarchy)].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized("authorization value", self.auth_value);
        self.public.write(writer);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_NV_Write of at most [`MAX_NV_CHUNK`] bytes.
pub struct NvWrite<'a> {
    /// Who authorizes: the owner or the index itself.
    pub authorized_by: Entity,
    /// The index.
    pub index: Entity,
    /// The bytes.
    pub data: &'a [u8],
    /// Where to.
    pub offset: u16,
}

impl Request for NvWrite<'_> {
    type Response = ();
    const CODE: u32 = 0x137;

    fn entities(&self) -> Vec<Entity> {
        [self.authorized_by.clone(), self.index.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized("NV data", self.data).u16(self.offset);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}
