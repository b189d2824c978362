//! Server operations: provisions and reconciles enclaves through a driver.
//!
//! The gateway writes what users want into the store; this brings it about: measured copy, announcement at the agent,
//! processes, route. It decides nothing about users, holds no key, and sees nothing of what goes through an enclave.
//!
//! Invariants: a row says `running` only while a process answers; every process has a row that names it; an enclave is
//! announced at the agent before it exists and retracted before it ends. After a crash, [`start`] makes that true again.
//!
//! Called by the gateway and the edge over gRPC on a Unix socket; started by the composing tool.

mod config;
mod driver;
mod elsewhere;
mod enclave;
mod folder;
mod licences;
mod operations;
mod process;
mod reason;
mod rounds;
mod routes;
mod service;
mod settings;
mod spawner;
mod stages;
mod starts;

pub use config::{Config, DEFAULT_UID_BASE, Failpoint};
pub use driver::{CODES as CAUSES, Driver, DriverError, Exit, Instance, Plan};
pub use process::ProcessDriver;
pub use reason::Reason;
pub use service::start;
pub use settings::{Licenses, Limits, Settings};
