//! Sessions and policies (Part 3, 11.1, 23).

use alloc::vec::Vec;

use crate::algorithms::{self, HashAlgorithm};
use crate::credential::Salt;
use crate::frame::Request;
use crate::handle::{Entity, Handle};
use crate::pcr::PcrSelection;
use crate::session::{NONCE_SIZE, SessionKind};
use crate::wire::{Reader, WireError, Writer};

/// TPM2_StartAuthSession: unbound, SHA-256, AES-128-CFB.
pub struct StartAuthSession<'a> {
    /// The key that the salt is encrypted to; [`Handle::NULL`] without salt.
    pub salted_by: Handle,
    /// The salt.
    pub salt: &'a Salt,
    /// What the session is for.
    pub kind: SessionKind,
    /// A new nonce.
    pub nonce: [u8; NONCE_SIZE],
}

/// A started session.
pub struct Started {
    /// Where the TPM keeps it.
    pub handle: Handle,
    /// The TPM's first nonce.
    pub nonce_tpm: Vec<u8>,
}

impl Request for StartAuthSession<'_> {
    type Response = Started;
    const CODE: u32 = 0x176;
    const ANSWERS_HANDLE: bool = true;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.salted_by), Entity::permanent(Handle::NULL)].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized("nonce", &self.nonce).sized("salt", &self.salt.encrypted).u8(self.kind.id());
        writer.u16(algorithms::AES).u16(128).u16(algorithms::CFB).u16(HashAlgorithm::Sha256.id());
    }

    fn read(&self, handle: Handle, parameters: &mut Reader<'_>) -> Result<Started, WireError> {
        Ok(Started { handle, nonce_tpm: parameters.sized("nonce", 64)?.to_vec() })
    }
}

/// TPM2_PolicySecret without expiry: the session proves knowledge of an entity's authorization value.
pub struct PolicySecret {
    /// The entity; authorized.
    pub entity: Entity,
    /// The policy session.
    pub session: Handle,
}

impl Request for PolicySecret {
    type Response = ();
    const CODE: u32 = 0x151;

    fn entities(&self) -> Vec<Entity> {
        [self.entity.clone(), Entity::permanent(self.session)].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized("nonce", &[]).sized("command digest", &[]).sized("policy reference", &[]).u32(0);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<(), WireError> {
        parameters.sized("timeout", 64)?;
        parameters.take(2 + 4)?;
        parameters.sized("ticket", 64)?;
        Ok(())
    }
}

/// TPM2_PolicyPCR: the session is good only while the PCRs have these values (or, with an empty digest, their present ones).
pub struct PolicyPcr<'a> {
    /// The policy session.
    pub session: Handle,
    /// Composite digest, or empty.
    pub digest: &'a [u8],
    /// Which PCRs.
    pub selection: &'a PcrSelection,
}

impl Request for PolicyPcr<'_> {
    type Response = ();
    const CODE: u32 = 0x17f;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.session)].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized("PCR digest", self.digest);
        self.selection.write(writer);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_PolicyGetDigest.
pub struct PolicyGetDigest(pub Handle);

impl Request for PolicyGetDigest {
    type Response = Vec<u8>;
    const CODE: u32 = 0x189;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(self.0)].into()
    }

    fn write(&self, _: &mut Writer) {}

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        Ok(parameters.sized("policy digest", 64)?.to_vec())
    }
}
