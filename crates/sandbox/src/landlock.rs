//! Landlock: what an app may open, told to the kernel a second time and without mounts.
//!
//! Where a mount were missed, the app still reads and executes below its root alone, writes only in its writable
//! directories, `/dev` and its own `/proc`, signals nobody outside and reaches no abstract socket outside. Where it has no network of its
//! own, it listens on its own port alone and connects to nobody.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use workload::Endpoint;
use workload::launch::{AppLaunch, Isolation};

/// The kernel's interface that has all that is asked for: signals and abstract sockets are in scope since Linux 6.12.
pub const WANTED_ABI: u32 = 6;
const ABI_ASKED_FOR: ABI = ABI::V6;

/// Why an app is not restricted.
#[derive(Debug, thiserror::Error)]
pub enum LandlockError {
    /// A rule or the ruleset.
    #[error("restrict the app with Landlock")]
    Ruleset(#[from] landlock::RulesetError),
    /// A path that a rule is about.
    #[error("open a path for Landlock")]
    Path(#[from] landlock::PathFdError),
    /// The kernel has less than was probed.
    #[error("Landlock is not enforced")]
    NotEnforced,
}

/// Interface version of this kernel's Landlock; zero where there is none.
#[allow(unsafe_code)]
#[must_use]
pub fn version() -> u32 {
    const VERSION: u32 = 1; // LANDLOCK_CREATE_RULESET_VERSION, linux/landlock.h
    // SAFETY: with this flag the call takes no memory and gives a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// What an interface version lacks of what is asked for, in words.
#[must_use]
pub fn lacking(version: u32) -> Option<&'static str> {
    match version {
        0 => Some("the kernel has no Landlock, or it is switched off (lsm=landlock,... at boot)"),
        1 => Some("ABI 1: no rename rule, truncate, TCP, devices, signals and abstract sockets"),
        2 => Some("ABI 2: no truncate, TCP, devices, signals and abstract sockets"),
        3 => Some("ABI 3: no TCP, devices, signals and abstract sockets"),
        4 => Some("ABI 4: no devices, signals and abstract sockets"),
        5 => Some("ABI 5: no signals and abstract sockets"),
        WANTED_ABI.. => None,
    }
}

/// Restricts this process and all that it starts. To be called inside the app's root, with no new privileges.
pub(crate) fn restrict(isolation: &Isolation, app: &AppLaunch) -> Result<(), LandlockError> {
    match ruleset(isolation, app)?.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err(LandlockError::NotEnforced),
    }
}

fn ruleset(isolation: &Isolation, app: &AppLaunch) -> Result<RulesetCreated, LandlockError> {
    let all = AccessFs::from_all(ABI_ASKED_FOR);
    let execute_and_read = AccessFs::from_read(ABI_ASKED_FOR);
    // What an app writes is not measured, so it is not executed.
    let read_and_write = all & !BitFlags::from(AccessFs::Execute);
    let best = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let mut handled = best.handle_access(all)?.scope(Scope::Signal)?.scope(Scope::AbstractUnixSocket)?;
    if !isolation.enclave.network {
        handled = handled.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    let (root, inside): (&Path, fn(&Path, &str) -> std::path::PathBuf) = if isolation.own_root {
        (Path::new("/"), |_, relative| Path::new("/").join(relative))
    } else {
        (Path::new(&app.root), |root, relative| root.join(relative))
    };
    let mut rules = handled.create()?.add_rule(PathBeneath::new(PathFd::new(root)?, execute_and_read))?;
    let writable = app.writable.iter().map(|path| path.relative());
    for relative in writable.chain(["dev", "proc"]) {
        // A version need not have them where it has no root of its own.
        if let Ok(path) = PathFd::new(inside(root, relative)) {
            rules = rules.add_rule(PathBeneath::new(path, read_and_write))?;
        }
    }
    if let (false, Endpoint::Port(port)) = (isolation.enclave.network, &app.endpoint) {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_version_lacks_is_said() {
        assert!((0..WANTED_ABI).all(|version| lacking(version).is_some()));
        assert_eq!((lacking(WANTED_ABI), lacking(WANTED_ABI + 1)), (None, None));
    }
}
