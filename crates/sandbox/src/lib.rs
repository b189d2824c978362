//! What isolation this machine allows, and how a process gets it.
