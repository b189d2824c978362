//! The CA: root key in the TPM, short-lived issuing key, certificates against proofs.
