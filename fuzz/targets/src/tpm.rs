//! TPM structures: whatever is accepted can be asked for everything.

use tpm2::{Attest, PublicArea, Signature, verify_signature};

pub(crate) fn attest(bytes: &[u8]) {
    let Ok(attest) = Attest::parse(bytes) else { return };
    assert_eq!(attest.as_bytes(), bytes, "the signed bytes are the bytes as read");
    let _ = (attest.qualified_signer(), attest.extra_data(), attest.clock());
}

pub(crate) fn public(bytes: &[u8]) {
    let Ok(public) = PublicArea::parse(bytes) else { return };
    let _ = (public.name(), public.scheme(), public.key(), public.attributes());
    let _ = public.is_template_of(&public);
    let signature = Signature::Ecdsa { r: vec![1; 32], s: vec![1; 32] };
    assert!(verify_signature(&public, b"never signed", &signature).is_err());
    let signature = Signature::Rsassa(vec![1; 256]);
    assert!(verify_signature(&public, b"never signed", &signature).is_err());
}

pub(crate) fn signature(bytes: &[u8]) {
    let Ok(signature) = Signature::parse(bytes) else { return };
    assert_eq!(signature.to_bytes().as_deref(), Ok(bytes), "a signature has one form");
    let _ = signature.to_p256_der();
}
