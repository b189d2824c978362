//! In each enclave: the TLS key, evidence, owner and token checks, the way to the app.
