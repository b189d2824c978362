//! TLS for attested channels: keys made here, TLS 1.3 only, exporter values.
