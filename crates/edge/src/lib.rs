//! One public port: passes TLS to the right enclave by SNI, cannot read a byte.
