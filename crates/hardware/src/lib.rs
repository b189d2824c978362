//! TPM devices as bytes in, bytes out, and the one thread that owns a device.
//!
//! It is: the character device, the software TPM as a child process, replay for tests; [`Tpm`], which sends commands,
//! retries, and keeps the few slots of a TPM in order; [`owner`], through which many tasks share one TPM.
//! It is not: a judge of what a TPM says (`tpm2`, `evidence`, `appraisal`), nor a policy about who may ask for what.
//! The agent, the signer and the tests call it.

mod char_device;
mod delayed;
mod device;
mod error;
mod factory;
mod identity;
mod lockout;
mod nv;
pub mod owner;
mod pcrs;
mod replay;
mod signing;
mod slots;
mod software;
mod tpm;

pub use char_device::CharDevice;
pub use delayed::Delayed;
pub use device::{Device, DeviceError};
pub use error::TpmError;
pub use factory::Anchors;
pub use identity::{AkPurpose, EkKind, EndorsementKey};
pub use lockout::Lockout;
pub use owner::{Lane, OwnerError, OwnerThread, TpmHandle};
pub use replay::{Exchange, Recorder, Replay};
pub use slots::LoadedKey;
pub use software::SoftwareTpm;
pub use tpm::Tpm;
