//! A folder of one test's own: data, client's configuration, programs where another user has to reach them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::binaries::binary;
use crate::clock::Clock;
use crate::commands::{Said, User, run};
use crate::disk::Disk;
use crate::up::{Ended, Up};

/// `nobody` of Debian, and its group.
const NOBODY: u32 = 65_534;
/// user_namespaces(7): the bound of a namespace holds for all below it.
const NO_NAMESPACES: &str = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
/// The one program that is not ours.
const SHELL: &str = "bash";
const PROGRAMS: [&str; 3] = ["sealwright", "sealwright-facade", "hello"];

/// Where one test's programs live.
pub struct World {
    // Unmounted before its folder is removed.
    disk: Option<Disk>,
    folder: TempDir,
    clock: Option<Clock>,
    nobody: bool,
    confined: bool,
    log_filter: String,
    starts: AtomicU32,
}

impl World {
    /// An empty world; everything runs as the test's own user.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sealwright-system-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        // Enclaves' own users have to pass.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("the folder is ours");
        let world = Self {
            disk: None,
            folder,
            clock: None,
            nobody: false,
            confined: false,
            log_filter: "warn".to_owned(),
            starts: AtomicU32::new(0),
        };
        let open = sandbox::reachable_by(sandbox::DEFAULT_BASE, &binary("sealwright-facade")).is_ok();
        if rustix::process::geteuid().is_root() && !open {
            // A checkout in a folder of root's: enclaves' users can't pass it.
            world.bring_programs();
        }
        world
    }

    fn bring_programs(&self) {
        let programs = self.path("bin");
        fs::create_dir_all(&programs).expect("the folder is ours");
        fs::set_permissions(&programs, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        for name in PROGRAMS {
            fs::copy(binary(name), programs.join(name)).expect("programs can be copied");
        }
    }

    /// A world in which everything runs as `nobody`, with copies of the programs. Only root can make one.
    #[must_use]
    pub fn of_nobody() -> Self {
        let mut world = Self::new();
        world.nobody = true;
        world.bring_programs();
        chown(world.folder.path(), Some(NOBODY), Some(NOBODY))
            .expect("only root can make a world of nobody's");
        world
    }

    /// A world of nobody's in which no program can make a namespace of users, as on a machine that forbids them.
    #[must_use]
    pub fn without_namespaces() -> Self {
        let mut world = Self::of_nobody();
        world.confined = true;
        world
    }

    /// A world whose programs log with this filter.
    #[must_use]
    pub fn logging(filter: &str) -> Self {
        let mut world = Self::new();
        filter.clone_into(&mut world.log_filter);
        world
    }

    /// A world whose data folder is a disk of so many MiB. Only root can make one, in a mount namespace of its own: see
    /// [`alone`](crate::alone).
    #[must_use]
    pub fn on_a_small_disk(mebibytes: u32) -> Self {
        let mut world = Self::new();
        world.disk = Some(Disk::mount(&world.data(), mebibytes));
        world
    }

    /// Takes all room of the small disk but so many KiB.
    ///
    /// # Panics
    /// In a world without one.
    pub fn fill_disk(&self, leave_kibibytes: usize) {
        self.disk.as_ref().expect("a world on a small disk").fill(leave_kibibytes);
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// In a world without a small disk.
    pub fn free_disk(&self) {
        self.disk.as_ref().expect("a world on a small disk").free();
    }

    /// A world whose programs, enclaves aside, have a clock that jumps.
    ///
    /// # Panics
    /// Where libfaketime is missing.
    #[must_use]
    pub fn with_clock() -> Self {
        let mut world = Self::new();
        world.clock = Some(Clock::new(world.path("clock")));
        world
    }

    /// The clock is so many seconds ahead from now on; programs notice within a second.
    ///
    /// # Panics
    /// In a world without a clock of its own.
    pub fn jump_clock(&self, ahead: i64) {
        self.clock.as_ref().expect("a world with a clock").jump(ahead);
    }

    /// A world whose `up` has a service manager, which listens here.
    ///
    /// # Panics
    /// Where the socket can't be made.
    #[must_use]
    pub fn with_manager() -> (Self, UnixDatagram) {
        let world = Self::new();
        let manager = UnixDatagram::bind(world.manager()).expect("the folder is ours");
        (world, manager)
    }

    fn manager(&self) -> PathBuf {
        self.path("manager")
    }

    /// A path in the world's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The context that `up` wrote, or the copy of it.
    #[must_use]
    pub fn context(&self) -> PathBuf {
        let copy = self.path("client/context.json");
        if copy.exists() { copy } else { self.data().join("client/context.json") }
    }

    /// Copies the context, so that users' own files are on another disk than the data folder.
    ///
    /// # Panics
    /// Before `up` has written it.
    pub fn copy_context(&self) {
        let folder = self.path("client");
        fs::create_dir(&folder).expect("the folder is ours");
        fs::copy(self.context(), folder.join("context.json")).expect("`up` has written it");
    }

    /// A user at the command line.
    #[must_use]
    pub fn user(&self, name: &str) -> User<'_> {
        User::new(self, name)
    }

    /// A program of ours.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        let brought = self.path("bin").join(name);
        match brought.exists() {
            true => brought,
            false if name == SHELL => PathBuf::from(name),
            false => binary(name),
        }
    }

    /// A command that ends with the thread that starts it, and sees nothing of this machine's user.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if self.nobody {
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        }
        command.arg("--");
        if self.confined {
            command.args(["unshare", "--user", "--map-root-user", "--", "sh", "-c", NO_NAMESPACES, "sh"]);
        }
        command.arg(self.program(program)).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("XDG_CONFIG_HOME", self.path("home/config"));
        command.env("SEALWRIGHT_LOG", &self.log_filter).env("NO_COLOR", "1");
        command.envs(self.clock.iter().flat_map(Clock::environment));
        command
    }

    /// Runs a script in bash, with our programs on the PATH, in the world's folder.
    #[must_use]
    pub fn bash(&self, script: &str) -> Said {
        let mut command = self.command(SHELL);
        let programs = self.program("sealwright").parent().map(Path::to_path_buf).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)));
        command.env("PATH", path.expect("paths without colons")).args(["-c", script]);
        run(&mut command, b"")
    }

    /// `sealwright up` on the data folder, and its arguments so far.
    pub(crate) fn up_command(&self) -> Command {
        let mut command = self.command("sealwright");
        command.arg("up").arg("--data").arg(self.data());
        if self.manager().exists() {
            command.env("NOTIFY_SOCKET", self.manager());
        }
        command
    }

    /// Starts `up` and waits until it is ready.
    #[must_use]
    pub fn up(&self) -> Up {
        self.begin(None).ready()
    }

    /// Starts `up` with a configuration, and does not wait.
    #[must_use]
    pub fn begin(&self, config: Option<&str>) -> Up {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let config = config.map(|text| {
            let path = self.path(&format!("up-{number}.yaml"));
            fs::write(&path, text).expect("the folder is ours");
            path
        });
        Up::begin(self, number, config.as_deref())
    }

    /// Runs `up` that is expected to end by itself.
    #[must_use]
    pub fn refused_up(&self) -> Said {
        run(&mut self.up_command(), b"")
    }

    /// Runs `up` with a configuration that makes it end by itself, ready before or not.
    #[must_use]
    pub fn ending_up(&self, config: &str) -> Ended {
        self.begin(Some(config)).ended_by_itself()
    }

    /// An `app.yaml` of the hello service: name, version and greeting are what differs.
    #[must_use]
    pub fn hello(&self, name: &str, version: &str, greeting: &str) -> String {
        let path = self.path(&format!("{name}-{version}.yaml"));
        let program = self.program("hello");
        let text = format!(
            "name: {name}\nversion: \"{version}\"\ncommand: /usr/bin/hello\nargs: [\"--port\", \"8080\"]\nenv: {{GREETING: {greeting}}}\nport: 8080\nfiles:\n  - {{from: {}, to: /usr/bin/hello, libraries: true}}\n",
            program.display()
        );
        fs::write(&path, text).expect("the folder is ours");
        path.to_string_lossy().into_owned()
    }

    /// What `up` and its parts have logged so far, of all starts.
    #[must_use]
    pub fn logs(&self) -> String {
        let count = self.starts.load(Ordering::Relaxed);
        (0..count).map(|number| fs::read_to_string(self.log_file(number)).unwrap_or_default()).collect()
    }

    pub(crate) fn log_file(&self, number: u32) -> PathBuf {
        self.path(&format!("up-{number}.log"))
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Folders of measured copies are not writable, which stops a plain user from removing what is in them.
        for copy in fs::read_dir(self.data().join("apps")).into_iter().flatten().flatten() {
            if let Err(error) = packing::remove_copy(&copy.path()) {
                eprintln!("{} stays: {error}", copy.path().display());
            }
        }
    }
}

/// Names of what is in a folder.
#[must_use]
pub fn ids_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
