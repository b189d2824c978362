//! Server operations: provisions and reconciles enclaves through a driver.
