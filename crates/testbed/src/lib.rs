//! Starts the real programs as a user would, and looks at them from outside: processes, sockets, files, exit codes.
//!
//! Not here: any knowledge of what the programs do inside; tests say what they expect. Everything waits by bounded
//! polling, takes free ports, and ends what it started, by pid. A failure panics, because a test is what calls this.
//!
//! Callers: system tests.

mod alone;
mod binaries;
mod clock;
mod commands;
mod disk;
mod doors;
pub mod floods;
mod hostile;
mod listeners;
mod poll;
mod processes;
mod up;
mod world;

pub use alone::alone;
pub use binaries::{binary, repository};
pub use commands::{PASSWORD, Said, User};
pub use doors::Door;
pub use listeners::{Listener, listeners};
pub use poll::until;
pub use processes::{Found, ended, may_dump_core, processes_of, secret_pages, tree};
pub use up::{Ended, Up};
pub use world::{World, ids_in};
