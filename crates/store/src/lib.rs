//! The only SQL: users, sessions, limits, audit log, token keys, apps, enclaves, licences.
//!
//! SQLite in one file of the data folder, or PostgreSQL by URL. The statements are the common part of both, and so are the tests.
//! It does not read the clock, make ids or hash anything: callers bring all of that. Called by the gateway (everything) and the controller
//! (enclaves). One [`Store`] is shared by all parts of a process; several processes may open the same database.

mod accounts;
mod apps;
mod audit;
mod blobs;
mod database;
mod database_url;
mod devices;
mod enclaves;
mod error;
mod factors;
mod health;
mod idempotency;
mod identities;
mod ids;
mod licensing;
mod limits;
mod migrations;
mod sessions;
mod snapshot;
mod statements;
mod token_keys;

pub use ::audit::{Entry, Event, Head};
pub use accounts::{NewPassword, Role, User};
pub use apps::{App, AppSummary, NewApp, Published};
pub use database::{Schema, Store};
pub use database_url::{DatabaseUrl, DatabaseUrlError, PasswordFileError};
pub use devices::{Begun, Decision, Device, NewDevice, Poll};
pub use enclaves::{
    By, Claim, Controller, Desired, Enclave, EnclaveEvent, KEPT_EVENTS, Mark, NewEnclave, Note, OnItsWay,
    Process, Quota, StartRates,
};
pub use error::StoreError;
pub use factors::{AddedPasskey, Attempt, Factors, Passkey, PasskeyUse};
pub use health::Count;
pub use idempotency::{KEPT_SECONDS, KEYS_PER_USER, KeptAnswer, KeyedRequest, LEASE_SECONDS, Turn};
pub use identities::LinkedIdentity;
pub use ids::{ControllerId, SessionId, UserId};
pub use licensing::{Heartbeat, Lease, LicenseEvent, LicenseKey, LicenseStop, Licensing, ListedLicense};
pub use limits::{Admission, Lockout, Rate};
pub use sessions::{Live, NewSession, Proof, Rotation, Session};
pub use token_keys::TokenKey;
