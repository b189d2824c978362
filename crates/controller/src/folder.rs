//! The folder of one enclave, and why nothing in it can lead the controller astray.
//!
//! ```text
//! ID/              the controller's, 0755
//! ID/facade.yaml   the controller's, readable by the enclave's user: the launch file
//! ID/facade.log    the controller's: what the facade says on standard error
//! ID/app.log       the enclave's user's: the app's output
//! ID/root/         the controller's, empty: where the app's root is assembled in the enclave's mount namespace
//! ID/run/tls       in a folder of the enclave's user: the facade's socket
//! ```
//! The controller may be root and the enclave's user hostile, so the enclave can make names only in `run`, where the
//! controller opens nothing. All of it is made afresh at each start, and taken back when the enclave has ended: the next
//! enclave may get the same user id.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use names::EnclaveId;
use workload::launch::Launch;

use crate::driver::DriverError;

/// The folder of one enclave.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DriverError {
    let path = path.to_path_buf();
    move |source| DriverError::File { what, path, source }
}

impl Folder {
    pub(crate) fn of(enclaves: &Path, id: &EnclaveId) -> Self {
        Self { path: enclaves.join(id.to_string()) }
    }

    pub(crate) fn mount_point(&self) -> PathBuf {
        self.path.join("root")
    }

    pub(crate) fn launch_file(&self) -> PathBuf {
        self.path.join("facade.yaml")
    }

    pub(crate) fn app_log(&self) -> PathBuf {
        self.path.join("app.log")
    }

    /// The facade's socket. The path of a socket is at most 107 bytes long, so this one is short: unix(7).
    pub(crate) fn socket(&self) -> PathBuf {
        self.run().join("tls")
    }

    fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// Makes the folder for one start, and gives what is the enclave's to its user. Returns the facade's log.
    pub(crate) fn lay_out(&self, launch: &Launch, uid: Option<u32>) -> Result<File, DriverError> {
        self.remove()?;
        for (path, mode) in [(&self.path, 0o755), (&self.mount_point(), 0o755), (&self.run(), 0o755)] {
            let made = DirBuilder::new().mode(mode).create(path);
            // The mode is what is meant, whatever the umask is.
            let made = made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
            made.map_err(file_error("make folder", path))?;
        }
        let path = self.launch_file();
        let bytes = serde_json::to_vec_pretty(launch)?;
        let mut file = create(&path, 0o640)?;
        let written = file.write_all(&bytes).and_then(|()| fchown(&file, None, uid));
        written.map_err(file_error("write", &path))?;
        let path = self.app_log();
        let file = create(&path, 0o600)?;
        fchown(&file, uid, uid).map_err(file_error("give away", &path))?;
        lchown(self.run(), uid, uid).map_err(file_error("give away", &self.run()))?;
        create(&self.path.join("facade.log"), 0o600)
    }

    /// Takes everything back from the enclave's user. Only after its last process has ended.
    pub(crate) fn take_back(&self) -> io::Result<()> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        for path in [self.run(), self.app_log(), self.launch_file()] {
            match lchown(&path, Some(uid), Some(gid)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The last bytes of the app's output; nothing where there is no output yet.
    pub(crate) fn output(&self, max_bytes: u32) -> Result<Vec<u8>, DriverError> {
        let path = self.app_log();
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(u64::from(max_bytes))))?;
            let mut bytes = Vec::new();
            file.take(u64::from(max_bytes)).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            result => result.map_err(file_error("read", &path)),
        }
    }

    /// Removes the folder; one that is not there is no error.
    pub(crate) fn remove(&self) -> Result<(), DriverError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(file_error("remove", &self.path)),
        }
    }
}

fn create(path: &Path, mode: u32) -> Result<File, DriverError> {
    let file = OpenOptions::new().append(true).create_new(true).mode(mode).open(path);
    let file = file.and_then(|file| file.set_permissions(fs::Permissions::from_mode(mode)).map(|()| file));
    file.map_err(file_error("make", path))
}

/// Takes every folder back that a former run left with an enclave's user. Before anything is started.
pub(crate) fn take_all_back(enclaves: &Path) -> Result<(), DriverError> {
    let entries = fs::read_dir(enclaves).map_err(file_error("read folder", enclaves))?;
    for entry in entries {
        let entry = entry.map_err(file_error("read folder", enclaves))?;
        let folder = Folder { path: entry.path() };
        folder.take_back().map_err(file_error("take back", &entry.path()))?;
    }
    Ok(())
}
