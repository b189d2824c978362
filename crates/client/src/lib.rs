//! The client library: verifies before it trusts, and owns its connection.
//!
//! It knows one server through a [`Context`] (where it is, which anchors count and for how much), one person through a
//! [`Profile`] (key, session, what was seen first), speaks to the [`Gateway`] over a connection of its own, and reaches an
//! enclave only through [`attested::Connection`], which has a way to send a request only once it is proved.
//!
//! Not here: what is printed and which exit code it is (crate `sealwright`), judging evidence (crates `evidence` and
//! `appraisal`). The command, the demo and the testbed call it.

pub mod attested;
pub mod connect;
mod context;
pub mod contexts;
mod enclaves;
mod error;
mod files;
mod gateway;
mod http;
mod licenses;
mod memory;
mod names;
mod profile;
mod publish;
mod recorded;
mod references;
mod report;
pub mod time;
mod transport;

pub use context::{Anchor, Context, ContextError, Endpoint, Simulated};
pub use enclaves::Lifetimes;
pub use error::{AnswerError, CODES, Error, Fault, InputError};
pub use files::FileError;
pub use gateway::{DeviceRefusal, Gateway, LicenseAct, Licenses, SignIn, WaitingDevice};
pub use http::{Answer, ExchangeError};
pub use licenses::{read_license_file, verify_license_file};
pub use memory::{Memory, OlderVersion, Origin, OtherPublisher, Pin, PublisherPin, Signed};
pub use names::{EnclaveName, NameError, UserName};
pub use profile::{KeyError, Profile, Session};
pub use publish::{Packed, PublishError, Published, Step};
pub use recorded::Bundle;
pub use references::{Expected, ReferenceError, Trust, Vouched, Wanted, vouch};
pub use report::{CheckResult, Report, ReportCheck, ReportGap};
pub use transport::ca_by_fingerprint;
