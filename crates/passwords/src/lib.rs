//! Passwords: which are acceptable, how they are hashed and checked.
//!
//! [`Rules`] is asked when a password is set, [`Hasher`] hashes and checks in a bounded pool. It knows no accounts and no HTTP. Called by the gateway.
//!
//! Decisions, by NIST SP 800-63B-4 (3.1.1.2):
//!
//! * at least 15 characters, for every account: an account that gives up its second factor is left with no password that is too short alone;
//! * at most 1024 bytes, none of them cut off, any characters, no rule about which;
//! * normalized to NFC before it is counted, looked up and hashed, so that two keyboards that compose differently make the same password;
//! * not one that is known: the list in this crate, the operator's file, the account's and the service's name.
//!
//! At login only the upper bound counts: a short password can't be right, or is one that was set elsewhere.

mod bcrypt;
mod breached;
mod hasher;
mod rules;
mod text;

pub use breached::{Breached, Unreadable};
pub use hasher::{Checked, HashError, Hasher, Hashing, Stored};
pub use rules::{Rules, Unacceptable};
