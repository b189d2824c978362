//! The app's root, assembled from mounts inside the enclave's mount namespace: nothing of it exists on the machine.
//!
//! ```text
//! MOUNT_POINT            the measured copy, bound read-only, no set-user-id, no devices
//! MOUNT_POINT/WRITABLE   a fresh tmpfs each; nothing in it can be executed, so all code that runs is measured
//! MOUNT_POINT/dev        a read-only tmpfs with five harmless devices, the usual links, and a tmpfs on shm
//! MOUNT_POINT/proc       empty here; the app's stage mounts the app's own
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};
use workload::launch::{APP_USER, AppLaunch, Isolation};

/// Size of each tmpfs when the app has no memory limit.
const DEFAULT_TMPFS_SIZE: u64 = 256 << 20;
/// Files and directories in each tmpfs: each takes kernel memory beside its contents.
const MOST_FILES: u32 = 65_536;
/// Code that an app writes must not be executed: it was not measured.
const WRITABLE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Which step of the assembly did not work.
#[derive(Debug, thiserror::Error)]
#[error("{step} {}", .path.display())]
pub struct RootError {
    /// What was tried.
    pub step: &'static str,
    /// Where.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

/// Assembles the root at `app.mount_point`. To be called once, by the first process of the enclave.
///
/// # Errors
/// [`RootError`]; what is mounted by then goes away with the enclave. Without a mount namespace it is refused: as root it
/// would work, and leave its mounts on the machine.
pub fn prepare_root(isolation: &Isolation, app: &AppLaunch) -> Result<(), RootError> {
    let root = Path::new(&app.mount_point);
    if !isolation.enclave.mount {
        let source = io::ErrorKind::PermissionDenied.into();
        return Err(RootError {
            step: "assemble, outside of a mount namespace,",
            path: root.to_owned(),
            source,
        });
    }
    let owner = if isolation.app_uid { APP_USER } else { 0 };
    mount_bind(app.root.as_str(), root).map_err(at("bind the measured copy to", root))?;
    make_read_only(root)?;
    let size = app.resources.memory.unwrap_or(DEFAULT_TMPFS_SIZE);
    for directory in &app.writable {
        let path = root.join(directory.relative());
        let mode = if directory.as_str().ends_with("/tmp") { "1777" } else { "0755" };
        let options = format!("mode={mode},uid={owner},gid={owner},size={size},nr_inodes={MOST_FILES}");
        tmpfs(&path, WRITABLE, &options)?;
    }
    prepare_devices(&root.join("dev"), size)
}

fn prepare_devices(dev: &Path, size: u64) -> Result<(), RootError> {
    tmpfs(dev, MountFlags::NOSUID | MountFlags::NOEXEC, "mode=0755,size=64k")?;
    for name in DEVICES {
        let (source, path) = (Path::new("/dev").join(name), dev.join(name));
        File::create(&path).map_err(at("create", &path))?;
        mount_bind(&source, &path).map_err(at("bind a device to", &path))?;
    }
    for (name, target) in LINKS {
        let path = dev.join(name);
        symlink(target, &path).map_err(at("link", &path))?;
    }
    let shared = dev.join("shm");
    fs::create_dir(&shared).map_err(at("create", &shared))?;
    tmpfs(&shared, WRITABLE, &format!("mode=1777,size={size},nr_inodes={MOST_FILES}"))?;
    make_read_only(dev)
}

fn tmpfs(path: &Path, flags: MountFlags, options: &str) -> Result<(), RootError> {
    let options = std::ffi::CString::new(options).map_err(|error| RootError {
        step: "mount a tmpfs on",
        path: path.to_owned(),
        source: error.into(),
    })?;
    mount("tmpfs", path, "tmpfs", flags, Some(options.as_c_str())).map_err(at("mount a tmpfs on", path))
}

/// Takes writing, set-user-id and devices away from one mount. What the mount below has locked must stay as it is, or
/// the kernel refuses the change: mount_namespaces(7).
fn make_read_only(path: &Path) -> Result<(), RootError> {
    let there = statvfs(path).map_err(at("look at", path))?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    if there.contains(StatVfsMountFlags::NOEXEC) {
        flags |= MountFlags::NOEXEC;
    }
    mount_remount(path, flags, "").map_err(at("make read-only", path))
}

fn at<E: Into<io::Error>>(step: &'static str, path: &Path) -> impl FnOnce(E) -> RootError {
    let path = path.to_owned();
    move |error| RootError { step, path, source: error.into() }
}
