//! What isolation this machine allows, and how a process gets it.
//!
//! Two levels, both made of Linux namespaces by `setpriv(1)` and `unshare(1)` of util-linux, so that there is no unsafe
//! code here at all. The outer one holds a facade and its app: own users, processes, network, mounts, IPC and host
//! name. The inner one holds the app alone: it can't see the facade's processes or any file besides its measured copy,
//! has no capabilities, and can gain none (no-new-privs; a process inside a changed root can't make user namespaces).
//! What a machine does not allow is left out and reported: [`probe`] tries each step for real.
//!
//! The controller calls [`probe`] and [`enclave_command`]; the facade, inside, calls [`prepare_enclave`],
//! [`prepare_root`] and [`app_command`]; `doctor` prints [`Isolation::describe`].

mod command;
mod inside;
mod probe;
mod process;
mod root;
mod uids;

pub use command::{Identity, app_command, enclave_command};
pub use inside::{InsideError, prepare_enclave};
pub use probe::{Feature, Isolation, Support, probe};
pub use process::{Process, reachable_by};
pub use root::{RootError, prepare_root};
pub use uids::{DEFAULT_BASE, UidPool};
