//! The only SQL: users, sessions, apps, enclaves.
//!
//! SQLite in one file of the data folder. The statements are the common part of SQLite and PostgreSQL, so that PostgreSQL can be added beside it.
//! It does not read the clock, make ids or hash anything: callers bring all of that. Called by the gateway (everything) and the controller
//! (enclaves). One [`Store`] is shared by all parts of a process; several processes may open the same file.

mod accounts;
mod apps;
mod database;
mod enclaves;
mod error;
mod ids;
mod sessions;

pub use accounts::User;
pub use apps::{App, AppSummary, NewApp, Published};
pub use database::Store;
pub use enclaves::{Desired, Enclave, NewEnclave, Process, Quota};
pub use error::StoreError;
pub use ids::{SessionId, UserId};
pub use sessions::{NewSession, Rotation, Session};
