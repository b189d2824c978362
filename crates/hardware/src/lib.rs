//! TPM devices as bytes in, bytes out, and the one thread that owns a device.
