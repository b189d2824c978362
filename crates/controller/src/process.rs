//! The process driver: enclaves as local processes, isolated as far as this machine allows.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use names::{Digest, EnclaveId};
use packing::{Blobs, CopyError, Materialised, materialise, remove_copy, rootfs, verify_copy};
use sandbox::{
    Enclosure, Feature, Group, Groups, Identity, Isolation, OWN_PROGRAM, Process, UidPool, reachable_by,
};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use workload::Manifest;
use workload::launch::{ACTIVE_LINE, AppLaunch, CAUSE_LINE, FacadeExit, Launch, READY_LINE};

use crate::config::Config;
use crate::driver::{Driver, DriverError, Exit, Instance, Missing, Pending, Plan};
use crate::folder::{Folder, take_all_back};
use crate::spawner::Spawner;

/// After being asked to end, an enclave is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Longest line that a facade may say on its standard output.
const MAX_LINE: u64 = 256;
/// How long a facade that has ended may still be heard.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Enclaves as local processes.
pub struct ProcessDriver {
    config: Config,
    isolation: Isolation,
    missing: Vec<Missing>,
    groups: Groups,
    spawner: Spawner,
    uids: Arc<Mutex<UidPool>>,
    /// Versions whose copy was hashed since this process began.
    measured: Arc<Mutex<BTreeSet<Digest>>>,
    /// The facade's digest and the state of the file that it was read from. The agent hashes what really runs.
    facade: Mutex<Option<(Stamp, Digest)>>,
}

/// What changes when a file is replaced or written to: device, inode, size, time of change in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, u64, i64, i64);

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self(metadata.dev(), metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()))
    }
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DriverError {
    let path = path.to_path_buf();
    move |source| DriverError::File { what, path, source }
}

impl ProcessDriver {
    /// A driver with what this machine allows; what it does not allow is logged.
    ///
    /// # Errors
    /// Where the folders of a former run can't be taken back, or no thread can be started.
    pub fn new(config: Config, isolation: Isolation) -> Result<Self, DriverError> {
        let mut groups = Groups::find();
        for error in groups.claim() {
            tracing::warn!(error = %server::telemetry::chain(&error), "control groups are not used");
        }
        let missing = missing(&isolation);
        for Missing { step, reason } in &missing {
            tracing::warn!(step, reason, "isolation step is not available here");
        }
        take_all_back(&config.enclaves)?;
        let spawner = Spawner::start().map_err(DriverError::Spawn)?;
        let uids = Arc::new(Mutex::new(UidPool::new(config.uid_base)));
        Ok(Self {
            config,
            isolation,
            missing,
            groups,
            spawner,
            uids,
            measured: Arc::default(),
            facade: Mutex::default(),
        })
    }

    fn folder(&self, id: &EnclaveId) -> Folder {
        Folder::of(&self.config.enclaves, id)
    }

    fn copy(&self, version: &Digest) -> PathBuf {
        self.config.apps.join(version.to_string())
    }

    /// A user of its own, where we can give one; else ours. Not ours because something is in the way: root has no
    /// capabilities in its namespaces, but the kernel lets it write `/proc/sys/kernel/core_pattern` all the same.
    fn identity(&self, folder: &Folder) -> Result<Lease, DriverError> {
        let lease = |uid| Lease {
            uid,
            group: Some(Group::default()),
            folder: folder.clone(),
            pool: Arc::clone(&self.uids),
        };
        if !self.isolation.has(Feature::OwnUid) {
            return Ok(lease(None));
        }
        let taken = self.uids.lock().unwrap_or_else(PoisonError::into_inner).take();
        let uid = taken.ok_or(DriverError::NoUid)?;
        let own = lease(Some(uid));
        let needed =
            [&self.config.facade, &self.config.apps, &self.config.enclaves, &self.config.agent_socket];
        for path in needed {
            // Sockets are reached when their folder is.
            let path = if path.is_dir() || path.is_file() { path } else { path.parent().unwrap_or(path) };
            reachable_by(uid, path).map_err(|path| DriverError::Closed { path })?;
        }
        Ok(own)
    }

    fn launch(&self, plan: &Plan, folder: &Folder, group: &Group) -> Launch {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let manifest = &plan.manifest;
        Launch {
            enclave_id: plan.id,
            incarnation: plan.incarnation,
            dns_name: plan.host.clone(),
            owner: plan.owner,
            listen: text(&folder.socket()),
            agent_socket: text(&self.config.agent_socket),
            jwks_file: text(&self.config.jwks_file),
            issuer: self.config.issuer.clone(),
            audience: self.config.trust_domain.enclave(&plan.id),
            app: AppLaunch {
                root: text(&rootfs(&self.copy(&plan.version))),
                mount_point: text(&folder.mount_point()),
                command: manifest.command().clone(),
                args: manifest.args().to_vec(),
                env: manifest.env().clone(),
                endpoint: manifest.endpoint().clone(),
                writable: manifest.writable().to_vec(),
                resources: *manifest.resources(),
                groups: group.of_app().iter().map(|path| text(path)).collect(),
            },
            isolation: self.isolation.plan(),
            app_log: text(&folder.app_log()),
        }
    }

    async fn spawn(&self, plan: &Plan) -> Result<Box<dyn Instance>, DriverError> {
        let folder = self.folder(&plan.id);
        let mut lease = self.identity(&folder)?;
        let group = self.groups.make(&plan.id.to_string(), plan.manifest.resources(), lease.uid)?;
        let log = folder.lay_out(&self.launch(plan, &folder, &group), lease.uid)?;
        let identity = lease.uid.map_or(Identity::Controllers, Identity::Own);
        let launch = folder.launch_file();
        let args = [OsStr::new("--config"), launch.as_os_str()];
        let enclosure = Enclosure {
            launcher: &self.config.facade,
            isolation: self.isolation.plan(),
            identity,
            groups: group.of_facade(),
        };
        lease.group = Some(group);
        let mut command = enclosure.command(Path::new(OWN_PROGRAM), &args).map_err(DriverError::Spawn)?;
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).current_dir("/");
        if let Some(filter) = std::env::var_os(server::telemetry::FILTER_VARIABLE) {
            command.env(server::telemetry::FILTER_VARIABLE, filter);
        }
        let child = self.spawner.spawn(command).await.map_err(DriverError::Spawn)?;
        Ok(Box::new(Running::follow(child, lease).map_err(DriverError::Spawn)?))
    }
}

/// The typed list, in the order of the steps.
fn missing(isolation: &Isolation) -> Vec<Missing> {
    let one =
        |(feature, reason): (Feature, &str)| Missing { step: feature.code(), reason: reason.to_owned() };
    isolation.missing().map(one).collect()
}

impl Driver for ProcessDriver {
    fn missing(&self) -> &[Missing] {
        &self.missing
    }

    fn prepare<'a>(&'a self, plan: &'a Plan) -> Pending<'a, Result<(), DriverError>> {
        let (manifest, version, target) = (plan.manifest.clone(), plan.version, self.copy(&plan.version));
        let (blobs, measured) = (self.config.blobs.clone(), Arc::clone(&self.measured));
        let refusal = if self.config.dangerous_unisolated_apps { None } else { self.isolation.refusal() };
        Box::pin(async move {
            if let Some((feature, reason)) = refusal {
                return Err(DriverError::NotIsolated(Missing { step: feature.code(), reason }));
            }
            let copied = tokio::task::spawn_blocking(move || -> Result<(), DriverError> {
                // Held while a copy is made: two enclaves of one version must not make it twice.
                let mut measured = measured.lock().unwrap_or_else(PoisonError::into_inner);
                if !measured.contains(&version) {
                    measure(&manifest, &Blobs::open_dir(blobs)?, &target)?;
                    measured.insert(version);
                }
                Ok(())
            });
            copied.await.map_err(|_| DriverError::Stopped)?
        })
    }

    fn facade_digest(&self) -> Result<Digest, DriverError> {
        let path = &self.config.facade;
        let stamp = Stamp::of(path).map_err(file_error("look at", path))?;
        let mut known = self.facade.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((then, digest)) if then == stamp => Ok(digest),
            Some(_) | None => {
                let digest = Digest::of(&std::fs::read(path).map_err(file_error("read", path))?);
                *known = Some((stamp, digest));
                Ok(digest)
            }
        }
    }

    fn start<'a>(&'a self, plan: &'a Plan) -> Pending<'a, Result<Box<dyn Instance>, DriverError>> {
        Box::pin(self.spawn(plan))
    }

    fn reap(&self, leftover: store::Process) {
        let process = Process { pid: leftover.pid, start_time: leftover.start_time };
        if let Err(error) = process.kill() {
            tracing::error!(pid = leftover.pid, %error, "a process of a former run was not ended");
        }
    }

    fn address(&self, id: &EnclaveId) -> PathBuf {
        self.folder(id).socket()
    }

    fn output(&self, id: &EnclaveId, max_bytes: u32) -> Result<Vec<u8>, DriverError> {
        self.folder(id).output(max_bytes)
    }

    fn remove(&self, id: &EnclaveId) -> Result<(), DriverError> {
        self.folder(id).remove()
    }
}

/// Makes the copy, or checks the one that a former run left: a crash of the machine may have left holes in it, and what
/// happened on this disk since then nobody knows. One that is not right is made again from the blobs.
fn measure(manifest: &Manifest, blobs: &Blobs, target: &Path) -> Result<(), CopyError> {
    if materialise(manifest, blobs, target)? == Materialised::Made {
        return Ok(());
    }
    let Err(error) = verify_copy(manifest, target) else { return Ok(()) };
    tracing::warn!(error = %server::telemetry::chain(&error), "a copy has changed on disk and is made again");
    remove_copy(target)?;
    materialise(manifest, blobs, target).map(drop)
}

/// A user id and the folder that is its for as long as something runs under it.
struct Lease {
    uid: Option<u32>,
    /// Taken away first: after it nothing runs any more.
    group: Option<Group>,
    folder: Folder,
    pool: Arc<Mutex<UidPool>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.group.take());
        let Some(uid) = self.uid else { return };
        match self.folder.take_back() {
            Ok(()) => self.pool.lock().unwrap_or_else(PoisonError::into_inner).give_back(uid),
            // The id stays taken: whoever got it next would own what is in that folder.
            Err(error) => tracing::error!(uid, %error, "the folder of an enclave was not taken back"),
        }
    }
}

/// How it ended, where the kernel has killed a process of the app: the end of the app is explained by that.
const fn for_memory(exit: Exit) -> Exit {
    match exit {
        Exit::Facade(FacadeExit::AppEnded | FacadeExit::AppNotStarted | FacadeExit::AppNotListening)
        | Exit::Unknown
        | Exit::OutOfMemory => Exit::OutOfMemory,
        Exit::Facade(_) => exit,
    }
}

/// What a facade says on its standard output.
struct Said {
    ready: Option<oneshot::Sender<()>>,
    active: watch::Sender<Instant>,
    cause: watch::Sender<Option<String>>,
    process: Option<Process>,
}

impl Said {
    /// Reads to the end; a line that is not in the contract ends the enclave.
    fn listen(mut self, output: ChildStdout) {
        let mut output = BufReader::new(output);
        loop {
            let mut line = String::new();
            match (&mut output).take(MAX_LINE).read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = line.trim_end();
            if line == ACTIVE_LINE {
                self.active.send_replace(Instant::now());
            } else if let Some(code) = line.strip_prefix(CAUSE_LINE).filter(|code| is_code(code)) {
                self.cause.send_replace(Some(code.to_owned()));
            } else if let (READY_LINE, Some(ready)) = (line, self.ready.take()) {
                ready.send(()).ok();
            } else {
                tracing::error!(line, "a facade broke the launch contract and is ended");
                if let Some(Err(error)) = self.process.map(|process| process.kill()) {
                    tracing::error!(%error, "an enclave was not killed");
                }
                return;
            }
        }
    }
}

fn is_code(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(allowed)
}

/// A facade's process tree.
struct Running {
    process: Process,
    stdin: Option<ChildStdin>,
    ready: Option<oneshot::Receiver<()>>,
    exit: watch::Receiver<Option<Exit>>,
    active: watch::Receiver<Instant>,
    cause: watch::Receiver<Option<String>>,
}

impl Running {
    fn follow(mut child: Child, lease: Lease) -> std::io::Result<Self> {
        let gone = || std::io::Error::new(std::io::ErrorKind::NotFound, "it ended at once");
        let process = Process::of_pid(child.id());
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let (say_ready, ready) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        let (say_active, active) = watch::channel(Instant::now());
        let (say_cause, cause) = watch::channel(None);
        let said = Said { ready: Some(say_ready), active: say_active, cause: say_cause, process };
        let (heard, end_of_words) = std::sync::mpsc::channel::<()>();
        std::thread::Builder::new().name(format!("heard-{}", child.id())).spawn(move || {
            if let Some(output) = stdout {
                said.listen(output);
            }
            drop(heard);
        })?;
        std::thread::Builder::new().name(format!("enclave-{}", child.id())).spawn(move || {
            let status = child.wait();
            // Its last word is why it ended. A stranger who holds its pipe can't delay the end.
            end_of_words.recv_timeout(LAST_WORDS).ok();
            let code = status.ok().and_then(|status| status.code());
            let exit = code.and_then(FacadeExit::from_code).map_or(Exit::Unknown, Exit::Facade);
            let out_of_memory = lease.group.as_ref().is_some_and(Group::ran_out_of_memory);
            drop(lease);
            let exit = if out_of_memory { for_memory(exit) } else { exit };
            ended.send_replace(Some(exit));
        })?;
        Ok(Self { process: process.ok_or_else(gone)?, stdin, ready: Some(ready), exit, active, cause })
    }

    async fn exit(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::Unknown),
            Err(_) => Exit::Unknown,
        }
    }

    fn kill(&self) {
        if let Err(error) = self.process.kill() {
            tracing::error!(pid = self.process.pid, %error, "an enclave was not killed");
        }
    }
}

impl Instance for Running {
    fn process(&self) -> store::Process {
        store::Process { pid: self.process.pid, start_time: self.process.start_time }
    }

    fn ready(&mut self) -> Pending<'_, Result<(), Exit>> {
        Box::pin(async {
            let Some(ready) = self.ready.take() else { return Ok(()) };
            match ready.await {
                Ok(()) => Ok(()),
                // Its output ended without the word: it is ending.
                Err(_) => Err(self.exit().await),
            }
        })
    }

    fn activity(&self) -> watch::Receiver<Instant> {
        self.active.clone()
    }

    fn cause(&self) -> Option<String> {
        self.cause.borrow().clone()
    }

    fn ended(&mut self) -> Pending<'_, Exit> {
        Box::pin(self.exit())
    }

    fn stop(&mut self) -> Pending<'_, ()> {
        Box::pin(async {
            // The end of its standard input asks the facade to end.
            drop(self.stdin.take());
            if tokio::time::timeout(STOP_GRACE, self.exit()).await.is_err() {
                self.kill();
                self.exit().await;
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exit.borrow().is_none() {
            self.kill();
        }
    }
}
