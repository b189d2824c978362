//! A clock that only one world's programs see, and that jumps while they run: libfaketime(1), preloaded.
//!
//! Enclaves do not see it: a facade starts with an environment of its own. Monotonic time runs on as it is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian keeps the library, below the folder of each kind of machine.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A clock.
pub(crate) struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock that goes right, with what it says in this file.
    ///
    /// # Panics
    /// Where libfaketime is not installed.
    pub(crate) fn new(file: PathBuf) -> Self {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = folders.map(|folder| folder.path().join(LIBRARY)).find(|path| path.exists());
        let library = library.expect("libfaketime is missing: scripts/install.sh test installs it");
        let clock = Self { library, file };
        clock.jump(0);
        clock
    }

    /// It is so many seconds ahead from now on.
    pub(crate) fn jump(&self, ahead: i64) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{ahead:+}s\n")).expect("the folder is ours");
        fs::rename(&fresh, &self.file).expect("the folder is ours");
    }

    /// What a program has to be started with.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 5] {
        let text = |path: &Path| path.as_os_str().to_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file)),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            // What files say of themselves stays true.
            ("NO_FAKE_STAT", "1".into()),
        ]
    }
}
