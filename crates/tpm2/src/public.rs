//! Public areas of objects: TPMT_PUBLIC (TPM 2.0 Part 2, 12.2.4).
//!
//! The bytes are kept as they came, because the name is a digest over them.

use alloc::vec::Vec;

use crate::algorithms::{self, Curve, HashAlgorithm, NameAlgorithm};
use crate::attributes::ObjectAttributes;
use crate::handle::Name;
use crate::wire::{Reader, WireError, Writer};

const MAX_POLICY: usize = 64;
const MAX_MODULUS: usize = 512;
pub(crate) const DEFAULT_EXPONENT: u32 = 65_537;

/// The symmetric cipher of a storage key; always AES in CFB mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symmetric {
    /// Not a storage key.
    Null,
    /// AES-128-CFB.
    Aes128,
    /// AES-256-CFB.
    Aes256,
}

/// How a key signs or decrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Chosen by the command.
    Null,
    /// RSASSA-PKCS1-v1_5.
    Rsassa(HashAlgorithm),
    /// RSASSA-PSS.
    Rsapss(HashAlgorithm),
    /// ECDSA.
    Ecdsa(HashAlgorithm),
    /// RSAES-OAEP.
    Oaep(HashAlgorithm),
}

/// The algorithm-specific part of a public area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// RSA.
    Rsa {
        /// Cipher of a storage key.
        symmetric: Symmetric,
        /// Scheme.
        scheme: Scheme,
        /// Bits of the modulus: 2048, 3072 or 4096.
        bits: u16,
        /// Exponent as stated; 0 stands for 65537.
        exponent: u32,
        /// Modulus, big-endian.
        modulus: Vec<u8>,
    },
    /// Elliptic curve. In a template, `x` and `y` are only there to tell keys apart.
    Ecc {
        /// Cipher of a storage key.
        symmetric: Symmetric,
        /// Scheme.
        scheme: Scheme,
        /// Curve.
        curve: Curve,
        /// Big-endian integer.
        x: Vec<u8>,
        /// Big-endian integer.
        y: Vec<u8>,
    },
    /// Sealed data.
    Sealed {
        /// Digest that binds the data.
        unique: Vec<u8>,
    },
}

/// The fields of a public area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicFields {
    /// Hash of the name.
    pub name_algorithm: NameAlgorithm,
    /// Attributes.
    pub attributes: ObjectAttributes,
    /// Policy digest, or empty.
    pub auth_policy: Vec<u8>,
    /// Key.
    pub key: Key,
}

/// A public area with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicArea {
    raw: Vec<u8>,
    fields: PublicFields,
}

impl PublicArea {
    /// A public area of these fields, as a template or for tests.
    pub fn new(fields: &PublicFields) -> Result<Self, WireError> {
        let mut writer = Writer::new();
        write_fields(fields, &mut writer);
        let raw = writer.finish()?;
        // Reading it back refuses what no other side would accept.
        Self::parse(&raw)
    }

    /// Reads a whole TPMT_PUBLIC.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let fields = read_fields(&mut reader)?;
        reader.finish()?;
        Ok(Self { raw: bytes.to_vec(), fields })
    }

    /// The TPMT_PUBLIC as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Hash of the name.
    pub fn name_algorithm(&self) -> NameAlgorithm {
        self.fields.name_algorithm
    }

    /// Attributes.
    pub fn attributes(&self) -> ObjectAttributes {
        self.fields.attributes
    }

    /// Policy digest, or empty.
    pub fn auth_policy(&self) -> &[u8] {
        &self.fields.auth_policy
    }

    /// Key.
    pub fn key(&self) -> &Key {
        &self.fields.key
    }

    /// The scheme of an asymmetric key.
    pub fn scheme(&self) -> Scheme {
        match &self.fields.key {
            Key::Rsa { scheme, .. } | Key::Ecc { scheme, .. } => *scheme,
            Key::Sealed { .. } => Scheme::Null,
        }
    }

    /// The name (Part 1, 16): algorithm and digest of the bytes.
    pub fn name(&self) -> Name {
        let algorithm = self.fields.name_algorithm;
        Name::from_digest(algorithm.hash(), &algorithm.digest(&[&self.raw]))
    }

    /// The qualified name of this object below a parent of that qualified name; for a primary key the parent is the
    /// hierarchy itself (Part 1, 16.3).
    pub fn qualified_name_below(&self, parent: &Name) -> Name {
        let algorithm = self.fields.name_algorithm;
        let digest = algorithm.digest(&[parent.as_bytes(), self.name().as_bytes()]);
        Name::from_digest(algorithm.hash(), &digest)
    }

    /// Whether the other area has the same fields apart from the public key itself: a key made from this template.
    pub fn is_template_of(&self, other: &Self) -> bool {
        fn without_unique(fields: &PublicFields) -> PublicFields {
            let mut fields = fields.clone();
            match &mut fields.key {
                Key::Rsa { modulus, .. } => modulus.clear(),
                Key::Ecc { x, y, .. } => {
                    x.clear();
                    y.clear();
                }
                Key::Sealed { unique } => unique.clear(),
            }
            fields
        }
        without_unique(&self.fields) == without_unique(&other.fields)
    }
}

/// The exponent that a stated exponent stands for (Part 2, 12.2.3.5).
pub(crate) fn rsa_exponent(stated: u32) -> u32 {
    if stated == 0 { DEFAULT_EXPONENT } else { stated }
}

fn read_fields(reader: &mut Reader<'_>) -> Result<PublicFields, WireError> {
    let kind = reader.u16()?;
    let name_algorithm = NameAlgorithm::read(reader)?;
    let attributes = ObjectAttributes::read(reader)?;
    let auth_policy = reader.sized("auth policy", MAX_POLICY)?.to_vec();
    if !auth_policy.is_empty() && auth_policy.len() != name_algorithm.size() {
        return Err(WireError::Value { what: "auth policy length", value: auth_policy.len() as u32 });
    }
    let key = match kind {
        algorithms::RSA => read_rsa(reader)?,
        algorithms::ECC => read_ecc(reader)?,
        algorithms::KEYED_HASH => read_sealed(reader)?,
        other => return Err(WireError::Value { what: "object type", value: u32::from(other) }),
    };
    Ok(PublicFields { name_algorithm, attributes, auth_policy, key })
}

fn read_rsa(reader: &mut Reader<'_>) -> Result<Key, WireError> {
    let symmetric = read_symmetric(reader)?;
    let scheme = read_scheme(reader)?;
    if matches!(scheme, Scheme::Ecdsa(_)) {
        return Err(WireError::Value { what: "RSA scheme", value: u32::from(algorithms::ECDSA) });
    }
    let bits = reader.u16()?;
    if !matches!(bits, 2048 | 3072 | 4096) {
        return Err(WireError::Value { what: "RSA key bits", value: u32::from(bits) });
    }
    let exponent = reader.u32()?;
    let modulus = reader.sized("RSA modulus", MAX_MODULUS)?.to_vec();
    // Empty or zero in a template; else exactly as long as the key.
    if !modulus.is_empty() && modulus.len() != usize::from(bits / 8) {
        return Err(WireError::Value { what: "RSA modulus length", value: modulus.len() as u32 });
    }
    Ok(Key::Rsa { symmetric, scheme, bits, exponent, modulus })
}

fn read_ecc(reader: &mut Reader<'_>) -> Result<Key, WireError> {
    let symmetric = read_symmetric(reader)?;
    let scheme = read_scheme(reader)?;
    if !matches!(scheme, Scheme::Null | Scheme::Ecdsa(_)) {
        return Err(WireError::Value { what: "ECC scheme", value: 0 });
    }
    let curve = Curve::read(reader)?;
    let derivation = reader.u16()?;
    if derivation != algorithms::NULL {
        return Err(WireError::Value { what: "ECC key derivation", value: u32::from(derivation) });
    }
    let x = reader.sized("ECC coordinate", curve.size())?.to_vec();
    let y = reader.sized("ECC coordinate", curve.size())?.to_vec();
    Ok(Key::Ecc { symmetric, scheme, curve, x, y })
}

fn read_sealed(reader: &mut Reader<'_>) -> Result<Key, WireError> {
    let scheme = reader.u16()?;
    if scheme != algorithms::NULL {
        return Err(WireError::Value { what: "keyed hash scheme", value: u32::from(scheme) });
    }
    Ok(Key::Sealed { unique: reader.sized("keyed hash unique", MAX_POLICY)?.to_vec() })
}

fn read_symmetric(reader: &mut Reader<'_>) -> Result<Symmetric, WireError> {
    match reader.u16()? {
        algorithms::NULL => Ok(Symmetric::Null),
        algorithms::AES => {
            let (bits, mode) = (reader.u16()?, reader.u16()?);
            match (bits, mode) {
                (128, algorithms::CFB) => Ok(Symmetric::Aes128),
                (256, algorithms::CFB) => Ok(Symmetric::Aes256),
                _ => Err(WireError::Value {
                    what: "AES bits and mode",
                    value: u32::from(bits) << 16 | u32::from(mode),
                }),
            }
        }
        other => Err(WireError::Value { what: "symmetric algorithm", value: u32::from(other) }),
    }
}

fn read_scheme(reader: &mut Reader<'_>) -> Result<Scheme, WireError> {
    Ok(match reader.u16()? {
        algorithms::NULL => Scheme::Null,
        algorithms::RSASSA => Scheme::Rsassa(HashAlgorithm::read(reader)?),
        algorithms::RSAPSS => Scheme::Rsapss(HashAlgorithm::read(reader)?),
        algorithms::ECDSA => Scheme::Ecdsa(HashAlgorithm::read(reader)?),
        algorithms::OAEP => Scheme::Oaep(HashAlgorithm::read(reader)?),
        other => return Err(WireError::Value { what: "scheme", value: u32::from(other) }),
    })
}

fn write_fields(fields: &PublicFields, writer: &mut Writer) {
    let kind = match &fields.key {
        Key::Rsa { .. } => algorithms::RSA,
        Key::Ecc { .. } => algorithms::ECC,
        Key::Sealed { .. } => algorithms::KEYED_HASH,
    };
    writer.u16(kind).u16(fields.name_algorithm.hash().id()).u32(fields.attributes.bits());
    writer.sized("auth policy", &fields.auth_policy);
    match &fields.key {
        Key::Rsa { symmetric, scheme, bits, exponent, modulus } => {
            write_symmetric(*symmetric, writer);
            write_scheme(*scheme, writer);
            writer.u16(*bits).u32(*exponent).sized("RSA modulus", modulus);
        }
        Key::Ecc { symmetric, scheme, curve, x, y } => {
            write_symmetric(*symmetric, writer);
            write_scheme(*scheme, writer);
            writer
                .u16(curve.id())
                .u16(algorithms::NULL)
                .sized("ECC coordinate", x)
                .sized("ECC coordinate", y);
        }
        Key::Sealed { unique } => {
            writer.u16(algorithms::NULL).sized("keyed hash unique", unique);
        }
    }
}

fn write_symmetric(symmetric: Symmetric, writer: &mut Writer) {
    match symmetric {
        Symmetric::Null => writer.u16(algorithms::NULL),
        Symmetric::Aes128 => writer.u16(algorithms::AES).u16(128).u16(algorithms::CFB),
        Symmetric::Aes256 => writer.u16(algorithms::AES).u16(256).u16(algorithms::CFB),
    };
}

fn write_scheme(scheme: Scheme, writer: &mut Writer) {
    match scheme {
        Scheme::Null => writer.u16(algorithms::NULL),
        Scheme::Rsassa(hash) => writer.u16(algorithms::RSASSA).u16(hash.id()),
        Scheme::Rsapss(hash) => writer.u16(algorithms::RSAPSS).u16(hash.id()),
        Scheme::Ecdsa(hash) => writer.u16(algorithms::ECDSA).u16(hash.id()),
        Scheme::Oaep(hash) => writer.u16(algorithms::OAEP).u16(hash.id()),
    };
}
