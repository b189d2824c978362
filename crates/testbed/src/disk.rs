//! A small disk of memory for a data folder, which tests fill and empty.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs. Dropped, it is unmounted.
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts so many MiB there.
    ///
    /// # Panics
    /// Where this process may not mount.
    pub(crate) fn mount(folder: &Path, mebibytes: u32) -> Self {
        fs::create_dir(folder).expect("the folder is ours");
        let options = format!("size={mebibytes}m,mode=711");
        let mut command = Command::new("mount");
        let status = command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).status();
        assert!(status.is_ok_and(|status| status.success()), "only root can mount {}", folder.display());
        Self { folder: folder.to_owned() }
    }

    /// Takes all room but so many KiB.
    pub(crate) fn fill(&self, leave_kibibytes: usize) {
        const PIECE: usize = 64 << 10;
        let path = self.ballast();
        let mut file = File::create(&path).expect("a file has room in a folder of memory");
        loop {
            match file.write_all(&[0; PIECE]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
        let length = file.metadata().expect("it is open").len();
        file.set_len(length.saturating_sub((leave_kibibytes << 10) as u64)).expect("a file can shrink");
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open keeps it until the mount namespace ends.
        Command::new("umount").arg("--lazy").arg(&self.folder).status().ok();
    }
}
