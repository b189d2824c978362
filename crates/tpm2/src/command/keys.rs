//! Objects: made, loaded, moved, used (Part 3, 12, 13, 28).

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::frame::Request;
use crate::handle::{Entity, Handle, Name};
use crate::public::PublicArea;
use crate::wire::{MAX_SIZED, Reader, WireError, Writer};

const MAX_BLOB: usize = 2048;
const MAX_PUBLIC: usize = 1024;

/// TPM2_CreatePrimary: a key that a hierarchy's seed and the template determine.
pub struct CreatePrimary<'a> {
    /// The hierarchy; authorized.
    pub hierarchy: Handle,
    /// The template.
    pub template: &'a PublicArea,
}

/// A loaded primary key.
pub struct Primary {
    /// Where it is loaded.
    pub handle: Handle,
    /// What it is.
    pub public: PublicArea,
}

impl Request for CreatePrimary<'_> {
    type Response = Primary;
    const CODE: u32 = 0x131;
    const ANSWERS_HANDLE: bool = true;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.hierarchy)].into()
    }

    fn write(&self, writer: &mut Writer) {
        write_creation(&[], &[], self.template, writer);
    }

    fn read(&self, handle: Handle, parameters: &mut Reader<'_>) -> Result<Primary, WireError> {
        let public = read_public(parameters)?;
        skip_creation(parameters)?;
        let name = Name::parse(parameters.sized("name", MAX_PUBLIC)?)?;
        expect_name(&public, &name)?;
        Ok(Primary { handle, public })
    }
}

/// TPM2_Create: a key under a parent, given back as blobs.
pub struct Create<'a> {
    /// The parent; authorized.
    pub parent: Entity,
    /// The template.
    pub template: &'a PublicArea,
    /// Authorization value of the new object.
    pub auth_value: &'a [u8],
    /// Data to seal; empty for a key.
    pub data: &'a [u8],
}

/// A new object as blobs: only its TPM, below the same parent, can load it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Content of the TPM2B_PRIVATE, encrypted by the parent.
    pub private: Vec<u8>,
    /// What it is.
    pub public: PublicArea,
}

impl Created {
    /// The blobs one after the other, as TPM2B_PRIVATE and TPM2B_PUBLIC, to be kept in a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer.sized("private area", &self.private).sized("public area", self.public.as_bytes());
        writer.finish()
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let private = reader.sized("private area", MAX_BLOB)?.to_vec();
        let public = read_public(&mut reader)?;
        reader.finish()?;
        Ok(Self { private, public })
    }
}

impl Request for Create<'_> {
    type Response = Created;
    const CODE: u32 = 0x153;

    fn entities(&self) -> Vec<Entity> {
        [self.parent.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        write_creation(self.auth_value, self.data, self.template, writer);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Created, WireError> {
        let private = parameters.sized("private area", MAX_BLOB)?.to_vec();
        let public = read_public(parameters)?;
        skip_creation(parameters)?;
        Ok(Created { private, public })
    }
}

/// TPM2_Load: blobs below the parent they were made under.
pub struct Load<'a> {
    /// The parent; authorized.
    pub parent: Entity,
    /// The blobs.
    pub object: &'a Created,
}

impl Request for Load<'_> {
    type Response = Handle;
    const CODE: u32 = 0x157;
    const ANSWERS_HANDLE: bool = true;

    fn entities(&self) -> Vec<Entity> {
        [self.parent.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer
            .sized("private area", &self.object.private)
            .sized("public area", self.object.public.as_bytes());
    }

    fn read(&self, handle: Handle, parameters: &mut Reader<'_>) -> Result<Handle, WireError> {
        let name = Name::parse(parameters.sized("name", MAX_PUBLIC)?)?;
        expect_name(&self.object.public, &name)?;
        Ok(handle)
    }
}

/// TPM2_ReadPublic.
pub struct ReadPublic(pub Handle);

impl Request for ReadPublic {
    type Response = PublicArea;
    const CODE: u32 = 0x173;

    fn entities(&self) -> Vec<Entity> {
        // No authorization covers the name here.
        [Entity::permanent(self.0)].into()
    }

    fn write(&self, _: &mut Writer) {}

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<PublicArea, WireError> {
        let public = read_public(parameters)?;
        let name = Name::parse(parameters.sized("name", MAX_PUBLIC)?)?;
        parameters.sized("qualified name", MAX_PUBLIC)?;
        expect_name(&public, &name)?;
        Ok(public)
    }
}

/// TPM2_FlushContext.
pub struct FlushContext(pub Handle);

impl Request for FlushContext {
    type Response = ();
    const CODE: u32 = 0x165;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        // The handle is a parameter here, not in the handle area (Part 3, 28.4).
        writer.u32(self.0.0);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_EvictControl: makes a transient object persistent, or removes a persistent one.
pub struct EvictControl {
    /// The hierarchy; authorized.
    pub hierarchy: Handle,
    /// The object.
    pub object: Entity,
    /// The persistent handle.
    pub persistent: Handle,
}

impl Request for EvictControl {
    type Response = ();
    const CODE: u32 = 0x120;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.hierarchy), self.object.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(self.persistent.0);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_ContextSave.
pub struct ContextSave(pub Handle);

/// A saved context: a TPMS_CONTEXT, encrypted by the TPM and good until it restarts.
pub struct SavedContext(Vec<u8>);

impl Request for ContextSave {
    type Response = SavedContext;
    const CODE: u32 = 0x162;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.0)].into()
    }

    fn write(&self, _: &mut Writer) {}

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<SavedContext, WireError> {
        let whole = parameters.rest().to_vec();
        parameters.take(8 + 4 + 4)?;
        parameters.sized("context blob", MAX_SIZED)?;
        Ok(SavedContext(whole))
    }
}

/// TPM2_ContextLoad.
pub struct ContextLoad<'a>(pub &'a SavedContext);

impl Request for ContextLoad<'_> {
    type Response = Handle;
    const CODE: u32 = 0x161;
    const ANSWERS_HANDLE: bool = true;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.0.0);
    }

    fn read(&self, handle: Handle, _: &mut Reader<'_>) -> Result<Handle, WireError> {
        Ok(handle)
    }
}

/// TPM2_ActivateCredential: opens what [`crate::credential::make_credential`] wrapped.
pub struct ActivateCredential<'a> {
    /// The attestation key; authorized first.
    pub attestation_key: Entity,
    /// The endorsement key; authorized second, by its policy.
    pub endorsement_key: Entity,
    /// The challenge.
    pub credential: &'a crate::credential::Credential,
}

impl Request for ActivateCredential<'_> {
    type Response = Zeroizing<Vec<u8>>;
    const CODE: u32 = 0x147;

    fn entities(&self) -> Vec<Entity> {
        [self.attestation_key.clone(), self.endorsement_key.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer
            .sized("credential", &self.credential.id_object)
            .sized("secret", &self.credential.encrypted_secret);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Self::Response, WireError> {
        Ok(Zeroizing::new(parameters.sized("secret", 64)?.to_vec()))
    }
}

/// TPM2_Unseal.
pub struct Unseal(pub Entity);

impl Request for Unseal {
    type Response = Zeroizing<Vec<u8>>;
    const CODE: u32 = 0x15e;

    fn entities(&self) -> Vec<Entity> {
        [self.0.clone()].into()
    }

    fn write(&self, _: &mut Writer) {}

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Self::Response, WireError> {
        Ok(Zeroizing::new(parameters.sized("sealed data", 256)?.to_vec()))
    }
}

/// TPM2B_SENSITIVE_CREATE, TPM2B_PUBLIC, no outside information, no creation PCRs.
fn write_creation(auth_value: &[u8], data: &[u8], template: &PublicArea, writer: &mut Writer) {
    writer.u16((4 + auth_value.len() + data.len()) as u16);
    writer.sized("authorization value", auth_value).sized("sealed data", data);
    writer.sized("public area", template.as_bytes()).sized("outside information", &[]).u32(0);
}

fn read_public(parameters: &mut Reader<'_>) -> Result<PublicArea, WireError> {
    PublicArea::parse(parameters.sized("public area", MAX_PUBLIC)?)
}

/// TPM2B_CREATION_DATA, TPM2B_DIGEST, TPMT_TK_CREATION.
fn skip_creation(parameters: &mut Reader<'_>) -> Result<(), WireError> {
    parameters.sized("creation data", MAX_BLOB)?;
    parameters.sized("creation hash", 64)?;
    parameters.take(2 + 4)?;
    parameters.sized("creation ticket", 64)?;
    Ok(())
}

fn expect_name(public: &PublicArea, name: &Name) -> Result<(), WireError> {
    if public.name() == *name {
        Ok(())
    } else {
        Err(WireError::Value { what: "name of the object", value: 0 })
    }
}
