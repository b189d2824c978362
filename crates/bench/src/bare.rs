//! The bare work of one evidence: the same signatures checked and the same bytes hashed, by the same crates, with keys
//! and messages at hand. Nothing is parsed, compared or decided.

use std::hint::black_box;

use anyhow::{Context, Result, bail, ensure};
use base64ct::{Base64UrlUnpadded, Encoding};
use evidence::Evidence;
use logs::bank::Bank;
use logs::boot::{Binding, BootLog};
use logs::enclave::EnclaveLog;
use logs::ima::ImaLog;
use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use pki::Certificate;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tpm2::public::Key;
use tpm2::{PublicArea, Signature};

/// A record of the enclave log up to its body: four fields with their lengths, tag and kind.
const RECORD_FRAME: usize = 83;
const LOG_TAG_LABEL: usize = b"sealwright/log-tag/v1".len() + 16;
const LOG_LABEL: usize = b"sealwright/log/v1".len();

/// Byte strings one after the other in one buffer.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len());
    }

    fn hash_each<D: Digest>(&self) {
        let mut start = 0;
        for end in &self.ends {
            black_box(D::digest(&self.bytes[start..*end]));
            start = *end;
        }
    }
}

enum Check {
    P256(Box<VerifyingKey>, p256::ecdsa::Signature),
    Rsassa(Box<rsa::pkcs1v15::VerifyingKey<Sha256>>, rsa::pkcs1v15::Signature),
    Rsapss(Box<rsa::pss::VerifyingKey<Sha256>>, rsa::pss::Signature),
}

impl Check {
    fn holds(&self, digest: &[u8]) -> bool {
        match self {
            Self::P256(key, signature) => key.verify_prehash(digest, signature).is_ok(),
            Self::Rsassa(key, signature) => key.verify_prehash(digest, signature).is_ok(),
            Self::Rsapss(key, signature) => key.verify_prehash(digest, signature).is_ok(),
        }
    }
}

/// The work, ready to be done.
#[derive(Default)]
pub(crate) struct Bare {
    signed: Vec<(Vec<u8>, Check)>,
    sha1: Messages,
    sha256: Messages,
    extended: Vec<[u8; 32]>,
}

impl Bare {
    /// What it takes to check this evidence, which leads to `root`.
    pub(crate) fn of(evidence: &Evidence, root: &Certificate) -> Result<Self> {
        let mut bare = Self::default();
        bare.quote(evidence)?;
        bare.chain(evidence.ak_chain.iter().map(|der| der.0.clone()).collect(), root)?;
        if let Some(token) = &evidence.verdict {
            bare.verdict(token, root)?;
        }
        bare.small(evidence);
        bare.enclave_log(evidence)?;
        bare.boot_log(evidence)?;
        bare.ima_list(evidence)?;
        ensure!(bare.signatures().all(|holds| holds), "a signature does not hold");
        Ok(bare)
    }

    fn signatures(&self) -> impl Iterator<Item = bool> + '_ {
        self.signed.iter().map(|(message, check)| check.holds(&Sha256::digest(message)))
    }

    /// Signature checks.
    pub(crate) fn verify(&self) {
        self.signatures().for_each(|holds| {
            black_box(holds);
        });
    }

    /// Hashing.
    pub(crate) fn hash(&self) {
        self.sha1.hash_each::<Sha1>();
        self.sha256.hash_each::<Sha256>();
        let mut value = [0; 32];
        for digest in &self.extended {
            value = Sha256::new().chain_update(value).chain_update(digest).finalize().into();
        }
        black_box(value);
    }

    /// How many signatures.
    pub(crate) fn count(&self) -> usize {
        self.signed.len()
    }

    fn quote(&mut self, evidence: &Evidence) -> Result<()> {
        let public = PublicArea::parse(&evidence.ak_public.0).context("read the key")?;
        let signature = Signature::parse(&evidence.signature.0).context("read the signature")?;
        let check = match (public.key(), signature) {
            (Key::Ecc { x, y, .. }, Signature::Ecdsa { r, s }) => {
                let key = VerifyingKey::from_sec1_bytes(&[&[4], x.as_slice(), y.as_slice()].concat())?;
                Check::P256(Box::new(key), p256::ecdsa::Signature::from_slice(&[r, s].concat())?)
            }
            (Key::Rsa { modulus, .. }, Signature::Rsassa(value)) => {
                let key = rsa::pkcs1v15::VerifyingKey::new(rsa_key(modulus)?);
                Check::Rsassa(Box::new(key), rsa::pkcs1v15::Signature::try_from(value.as_slice())?)
            }
            (Key::Rsa { modulus, .. }, Signature::Rsapss(value)) => {
                let key = rsa::pss::VerifyingKey::new_with_auto_salt_len(rsa_key(modulus)?);
                Check::Rsapss(Box::new(key), rsa::pss::Signature::try_from(value.as_slice())?)
            }
            _ => bail!("the quote's key is of another kind"),
        };
        self.signed.push((evidence.quote.0.clone(), check));
        Ok(())
    }

    /// One signature a certificate below the root.
    fn chain(&mut self, mut chain: Vec<Vec<u8>>, root: &Certificate) -> Result<()> {
        chain.retain(|der| der != root.der());
        chain.push(root.der().to_vec());
        for pair in chain.windows(2) {
            let [subject, issuer] = pair else { continue };
            let (message, signature) = signed_part(subject).context("read a certificate")?;
            let signature = p256::ecdsa::Signature::from_der(signature)?;
            self.signed.push((message.to_vec(), Check::P256(Box::new(key_of(issuer)?), signature)));
        }
        Ok(())
    }

    fn verdict(&mut self, token: &str, root: &Certificate) -> Result<()> {
        let parsed = pki::jws::Unverified::parse(token).context("read the verdict")?;
        let chain = parsed.chain().context("the verdict has a chain")?.to_vec();
        let key = key_of(chain.first().context("the chain has a leaf")?)?;
        let (message, signature) = token.rsplit_once('.').context("the verdict has a signature")?;
        let signature =
            Base64UrlUnpadded::decode_vec(signature).map_err(|_| anyhow::anyhow!("not base64"))?;
        let signature = p256::ecdsa::Signature::from_slice(&signature)?;
        self.signed.push((message.as_bytes().to_vec(), Check::P256(Box::new(key), signature)));
        self.chain(chain, root)
    }

    /// Statement, tree, key name, composite, certificate.
    fn small(&mut self, evidence: &Evidence) {
        self.sha256.push(&evidence.statement.0);
        (0..evidence.proof.path.len() + 1).for_each(|_| self.sha256.push(&[0; 72]));
        self.sha256.push(&evidence.ak_public.0);
        self.sha256.push(&[0; 38]);
        self.sha256.push(&vec![0; 32 * evidence.pcrs.0.len()]);
        if let Some(certificate) = &evidence.certificate {
            self.sha256.push(&certificate.0);
            self.sha256.push(&[0; 91]);
        }
    }

    fn enclave_log(&mut self, evidence: &Evidence) -> Result<()> {
        let log =
            EnclaveLog::parse(&evidence.enclave_log.0, evidence::ENCLAVE_LOG_PCR).context("read the log")?;
        for record in log.records() {
            if record.event().is_some() {
                let bytes = record.encode();
                self.sha256.push(bytes.get(RECORD_FRAME..).context("a record has a body")?);
                self.sha256.push(&[0; LOG_TAG_LABEL]);
            }
            self.sha256.push(&[0; LOG_LABEL + 16 + 32]);
            self.extended.push(*record.digest().as_bytes());
        }
        Ok(())
    }

    fn boot_log(&mut self, evidence: &Evidence) -> Result<()> {
        let Some(bytes) = &evidence.boot_log else { return Ok(()) };
        let log = BootLog::parse(&bytes.0).context("read the boot log")?;
        for event in log.events().iter().filter(|event| event.is_extended()) {
            let digest = event.digest(Bank::Sha256).context("the log has the bank")?;
            self.extended.push(digest.try_into().context("the bank is SHA-256")?);
        }
        for (event, binding) in log.check_event_data(Bank::Sha256).context("check the boot log")?.events() {
            if binding != Binding::Unbound {
                self.sha256.push(event.data());
            }
        }
        Ok(())
    }

    /// Both hashes of an entry are required: SHA-1 is what the list says, SHA-256 what the register was extended with.
    fn ima_list(&mut self, evidence: &Evidence) -> Result<()> {
        let Some(bytes) = &evidence.ima_log else { return Ok(()) };
        for entry in ImaLog::parse_ascii(&bytes.0).context("read the IMA list")?.entries() {
            let named = [entry.digest().algorithm().as_bytes(), b":\0", entry.digest().as_bytes()].concat();
            let path = [entry.path(), b"\0"].concat();
            let mut data = Vec::new();
            for field in [named, path] {
                data.extend_from_slice(&u32::try_from(field.len())?.to_le_bytes());
                data.extend_from_slice(&field);
            }
            let extension = entry.extension(Bank::Sha256);
            ensure!(
                Sha256::digest(&data).as_slice() == extension.as_bytes(),
                "the template data is put together wrong"
            );
            self.sha1.push(&data);
            self.sha256.push(&data);
            self.extended.push(extension.as_bytes().try_into().context("the bank is SHA-256")?);
        }
        Ok(())
    }
}

fn rsa_key(modulus: &[u8]) -> Result<rsa::PublicKey> {
    let modulus = rsa::BoxedUint::from_be_slice(modulus, 2048)?;
    Ok(rsa::PublicKey::new(modulus, rsa::BoxedUint::from(65_537u32))?)
}

/// The P-256 key of a certificate: the uncompressed point is the end of its SPKI.
fn key_of(der: &[u8]) -> Result<VerifyingKey> {
    let certificate = Certificate::from_der(der).context("read a certificate")?;
    let point = certificate.spki().last_chunk::<65>().context("the key is a point")?;
    Ok(VerifyingKey::from_sec1_bytes(point)?)
}

/// Signed bytes and signature of a certificate (RFC 5280, 4.1).
fn signed_part(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, length) = header(der)?;
    let content = der.get(header..header + length)?;
    let (header, length) = self::header(content)?;
    let (signed, rest) = content.split_at_checked(header + length)?;
    let (header, length) = self::header(rest)?;
    let bits = rest.get(header + length..)?;
    let (header, length) = self::header(bits)?;
    // The first byte of a bit string counts unused bits.
    Some((signed, bits.get(header + 1..header + length)?))
}

/// Lengths of a DER header and of what follows it.
fn header(der: &[u8]) -> Option<(usize, usize)> {
    match *der.get(1)? {
        0x81 => Some((3, usize::from(*der.get(2)?))),
        0x82 => Some((4, usize::from(u16::from_be_bytes([*der.get(2)?, *der.get(3)?])))),
        short => (short < 0x80).then_some((2, usize::from(short))),
    }
}
