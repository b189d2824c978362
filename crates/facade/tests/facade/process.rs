//! The binary as the controller starts it: readiness, and every way to end with its exit code.
