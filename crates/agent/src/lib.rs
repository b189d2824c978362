//! One per node: owns the TPM, keeps the enclave log, makes evidence.
