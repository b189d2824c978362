//! The quoting key: made in the TPM, for our purpose only, certified for one node.

use alloc::string::String;
use alloc::vec::Vec;

use names::{Level, SpiffeId};
use pki::Oid;
use pki::path::PathError;
use tpm2::{Handle, Name, PublicArea};

use crate::{Bytes, Evidence, Rejected, Roots};

/// Facts about the key that signed a quote, all of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedKey {
    /// TPM name.
    pub name: [u8; 34],
    /// The node in its certificate.
    pub node: SpiffeId,
    /// Level of the anchor that its certificate leads to.
    pub level: Level,
    /// Name of that anchor.
    pub anchor: String,
}

/// The public area, checked to be a restricted signing key of the endorsement hierarchy with the name of the statement.
pub(crate) fn public_area(
    evidence: &Evidence,
    qualified_signer: &[u8],
    stated_name: &[u8; 34],
) -> Result<PublicArea, Rejected> {
    let public = PublicArea::parse(&evidence.ak_public.0).map_err(|_| Rejected::KeyMalformed)?;
    public.check_restricted_signing_key().map_err(|_| Rejected::KeyAttributes)?;
    let name = public.name();
    if name.as_bytes() != stated_name {
        return Err(Rejected::KeyName);
    }
    // The qualified name is signed, so that a key of another hierarchy, whose reset counts are obfuscated, can't pass.
    let endorsement = Name::of_handle(Handle::ENDORSEMENT);
    if qualified_signer != public.qualified_name_below(&endorsement).as_bytes() {
        return Err(Rejected::KeyHierarchy);
    }
    Ok(public)
}

/// The key's certificate: leads to an anchor, is for statements about enclaves, is for this very key and node.
pub(crate) fn certified(
    chain: &[Bytes],
    public: &PublicArea,
    node: &SpiffeId,
    roots: &Roots,
    now: u64,
) -> Result<AttestedKey, Rejected> {
    let chain: Vec<&[u8]> = chain.iter().map(|bytes| bytes.0.as_slice()).collect();
    let (verified, anchor) = roots.chain(&chain, now, Oid::AK_ENCLAVE).map_err(|error| match error {
        PathError::Purpose => Rejected::KeyPurpose,
        _ => Rejected::KeyChain,
    })?;
    let leaf = verified.leaf();
    let key = public.spki_der().map_err(|_| Rejected::KeyMalformed)?;
    if leaf.spki() != key {
        return Err(Rejected::KeyCertificate);
    }
    if leaf.uris() != [node.as_str()] {
        return Err(Rejected::KeyNode);
    }
    let name = public.name().as_bytes().try_into().map_err(|_| Rejected::KeyMalformed)?;
    Ok(AttestedKey { name, node: node.clone(), level: anchor.level, anchor: anchor.name.clone() })
}
