//! The commands that we use (TPM 2.0 Part 3), each as a value.

mod keys;
mod nv;
mod quote;
mod sessions;
mod system;

pub use keys::{
    ActivateCredential, ContextLoad, ContextSave, Create, CreatePrimary, Created, EvictControl, FlushContext,
    Load, Primary, ReadPublic, SavedContext, Unseal,
};
pub use nv::{MAX_NV_CHUNK, NvAttributes, NvDefineSpace, NvPublic, NvRead, NvReadPublic, NvWrite};
pub use quote::{PcrExtend, PcrRead, PcrValues, Quote, Quoted, Sign};
pub use sessions::{PolicyGetDigest, PolicyPcr, PolicySecret, StartAuthSession, Started};
pub use system::{
    DictionaryAttackLockReset, GetHandles, GetProperties, GetRandom, SelfTest, Shutdown, Startup,
};
