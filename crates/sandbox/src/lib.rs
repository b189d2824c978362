//! What isolation this machine allows, and how a process gets it.
//!
//! Two levels, both made of Linux namespaces. The outer one holds a facade and its app: own users, processes, network,
//! mounts, IPC and host name. The inner one holds the app alone: it is another user where root can give one, it can't see
//! the facade's processes or any file besides its measured copy, has no capabilities and can gain none, is filtered by
//! seccomp and bounded by Landlock, control groups and limits. What a machine does not allow is left out and reported:
//! [`probe`] tries each step for real.
//!
//! It is also the one place for unsafe code: the system calls for this, and memory for keys ([`Secret`]).
//!
//! The controller calls [`probe`], [`Groups`] and [`Enclosure`]; the facade, inside, calls [`prepare_enclave`],
//! [`prepare_root`] and [`app_command`]; both binaries begin with [`take_over`]; `doctor` prints [`Isolation::describe`].

mod command;
mod feature;
mod groups;
mod inside;
mod kernel;
mod landlock;
mod probe;
mod process;
mod root;
mod seccomp;
mod secret;
mod stage;
mod uids;

pub use command::{Enclosure, Identity, OWN_PROGRAM, app_command};
pub use feature::{Feature, Isolation, Support};
pub use groups::{Controller, Group, Groups, GroupsError};
pub use inside::{InsideError, prepare_enclave};
pub use probe::{probe, rehearsal};
pub use process::{Process, Status, is_below, reachable_by, status};
pub use root::{RootError, prepare_root};
pub use secret::{Custody, MAX_SECRET, Secret, SecretError, keep_secrets};
pub use stage::{NOT_EXECUTED, NOT_ISOLATED, take_over};
pub use uids::{DEFAULT_BASE, UidPool, app_uid};
