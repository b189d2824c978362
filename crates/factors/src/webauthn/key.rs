//! Public keys as authenticators write them: `COSE_Key` (RFC 9052, 7; RFC 9053) of ES256, EdDSA and RS256, in canonical form.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::Refused;
use super::cbor::Reader;

/// COSE algorithms that are asked for, the preferred one first.
pub const ALGORITHMS: [i32; 3] = [ES256 as i32, EDDSA as i32, RS256 as i32];
const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

/// Labels of a `COSE_Key`.
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
/// Of key type OKP and EC2: curve, x, y; of RSA: n, e.
const FIRST: i64 = -1;
const SECOND: i64 = -2;
const THIRD: i64 = -3;

const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
const P256: i64 = 1;
const CURVE_ED25519: i64 = 6;

/// Largest RSA modulus, in bytes.
const MODULUS: usize = 1024;
/// Largest RSA exponent, in bytes.
const EXPONENT: usize = 8;

/// A key that signatures can be checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// An uncompressed point.
    Es256([u8; 65]),
    Ed25519([u8; 32]),
    Rs256 {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a `COSE_Key` and nothing after it.
    ///
    /// # Errors
    /// [`Refused::Malformed`], [`Refused::Key`].
    pub fn parse(cose: &[u8]) -> Result<Self, Refused> {
        let mut reader = Reader::new(cose);
        let pairs = reader.map()?;
        let kind = match (label(&mut reader, KEY_TYPE)?, label(&mut reader, ALGORITHM)?, pairs) {
            (EC2, ES256, 5) => {
                expect(label(&mut reader, FIRST)?, P256)?;
                let mut point = [4; 65];
                point[1..33].copy_from_slice(fixed::<32>(&mut reader, SECOND)?);
                point[33..].copy_from_slice(fixed::<32>(&mut reader, THIRD)?);
                Kind::Es256(point)
            }
            (OKP, EDDSA, 4) => {
                expect(label(&mut reader, FIRST)?, CURVE_ED25519)?;
                Kind::Ed25519(*fixed::<32>(&mut reader, SECOND)?)
            }
            (RSA, RS256, 4) => {
                let (n, e) = (string(&mut reader, FIRST)?, string(&mut reader, SECOND)?);
                // Numbers without leading zeros.
                let is_number = |bytes: &[u8], longest| {
                    bytes.len() <= longest && bytes.first().is_some_and(|first| *first != 0)
                };
                if !is_number(n, MODULUS) || !is_number(e, EXPONENT) {
                    return Err(Refused::Key);
                }
                Kind::Rs256 { n: n.to_vec(), e: e.to_vec() }
            }
            _ => return Err(Refused::Key),
        };
        reader.end()?;
        let key = Self(kind);
        key.check()?;
        Ok(key)
    }

    /// Reads [`super::Registered::public_key`] back.
    ///
    /// # Errors
    /// [`Refused::Malformed`], [`Refused::Key`].
    pub fn from_hex(text: &str) -> Result<Self, Refused> {
        Self::parse(&crate::seal::unhex(text).ok_or(Refused::Malformed)?)
    }

    /// A point of the curve: a key that is none must not be stored.
    fn check(&self) -> Result<(), Refused> {
        let parsed = match &self.0 {
            Kind::Es256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map(|_| ()),
            Kind::Ed25519(key) => ParsedPublicKey::new(&ED25519, key).map(|_| ()),
            // The size is checked with every signature.
            Kind::Rs256 { .. } => Ok(()),
        };
        parsed.map_err(|_| Refused::Key)
    }

    /// Checks a signature.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refused> {
        let verified = match &self.0 {
            Kind::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            Kind::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Kind::Rs256 { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.map_err(|_| Refused::Signature)
    }
}

/// The integer under a label that has to come next.
fn label(reader: &mut Reader<'_>, wanted: i64) -> Result<i64, Refused> {
    expect(reader.integer()?, wanted)?;
    reader.integer()
}

fn string<'a>(reader: &mut Reader<'a>, wanted: i64) -> Result<&'a [u8], Refused> {
    expect(reader.integer()?, wanted)?;
    reader.bytes()
}

fn fixed<'a, const N: usize>(reader: &mut Reader<'a>, wanted: i64) -> Result<&'a [u8; N], Refused> {
    string(reader, wanted)?.try_into().map_err(|_| Refused::Key)
}

fn expect(found: i64, wanted: i64) -> Result<(), Refused> {
    if found == wanted { Ok(()) } else { Err(Refused::Key) }
}
