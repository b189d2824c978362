//! The process driver: enclaves as local processes, isolated as far as this machine allows.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use names::{Digest, EnclaveId};
use packing::{Blobs, CopyError, Materialised, discard_copy, materialise, remove_copy, rootfs, verify_copy};
use sandbox::{
    Enclosure, Feature, Group, Groups, Identity, Isolation, OWN_PROGRAM, Process, UidPool, reachable_by,
};
use workload::Manifest;
use workload::launch::{AppLaunch, Launch};

use crate::config::Config;
use crate::driver::{Driver, DriverError, Instance, Missing, Pending, Plan};
use crate::folder::{Folder, take_all_back};
use crate::spawner::Spawner;
use running::Running;

/// Characters of the tag of a control group.
const GROUP_TAG: usize = 16;

/// Enclaves as local processes.
pub struct ProcessDriver {
    config: Config,
    isolation: Isolation,
    missing: Vec<Missing>,
    groups: Groups,
    /// What the names of our control groups begin with.
    group_tag: String,
    spawner: Spawner,
    uids: Arc<Mutex<UidPool>>,
    /// Versions whose copy was hashed since this process began, and when it was needed last.
    measured: Arc<Mutex<BTreeMap<Digest, Instant>>>,
    born: Instant,
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
        let group_tag = group_tag(&config.enclaves)?;
        match groups.sweep(&group_tag) {
            Ok(swept) if swept.is_empty() => {}
            Ok(swept) => tracing::warn!(groups = swept.len(), "control groups of a former run are removed"),
            Err(error) => {
                tracing::error!(error = %server::telemetry::chain(&error), "a control group of a former run stays");
            }
        }
        take_all_back(&config.enclaves)?;
        let spawner = Spawner::start().map_err(DriverError::Spawn)?;
        let uids = Arc::new(Mutex::new(UidPool::new(config.uid_base)));
        Ok(Self {
            config,
            isolation,
            missing,
            groups,
            group_tag,
            spawner,
            uids,
            measured: Arc::default(),
            born: Instant::now(),
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
            trace: plan.trace.map(|trace| trace.to_string()),
        }
    }

    async fn spawn(&self, plan: &Plan) -> Result<Box<dyn Instance>, DriverError> {
        let folder = self.folder(&plan.id);
        let mut lease = self.identity(&folder)?;
        let name = format!("{}{}", self.group_tag, plan.id);
        let group = self.groups.make(&name, plan.manifest.resources(), lease.uid)?;
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
        Ok(Box::new(Running::follow(child, lease, plan.trace).map_err(DriverError::Spawn)?))
    }
}

/// Tells our control groups from those of another controller on this machine: by our folder, which is one only with its
/// device and its inode, because containers may have the same paths.
fn group_tag(enclaves: &Path) -> Result<String, DriverError> {
    let found = |error| file_error("look at", enclaves)(error);
    let path = std::fs::canonicalize(enclaves).map_err(found)?;
    let metadata = std::fs::metadata(&path).map_err(found)?;
    let digest = Digest::of(format!("{}\0{}\0{}", path.display(), metadata.dev(), metadata.ino()).as_bytes());
    Ok(format!("{}-", digest.to_string().get(..GROUP_TAG).unwrap_or_default()))
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
                if !measured.contains_key(&version) {
                    measure(&manifest, &Blobs::open_dir(blobs)?, &target)?;
                }
                measured.insert(version, Instant::now());
                Ok(())
            });
            copied.await.map_err(|_| DriverError::Stopped)?
        })
    }

    fn sweep(&self, in_use: &BTreeSet<Digest>, unused: Duration) -> Result<usize, DriverError> {
        let apps = &self.config.apps;
        let mut removed = 0;
        for entry in std::fs::read_dir(apps).map_err(file_error("read folder", apps))? {
            let entry = entry.map_err(file_error("read folder", apps))?;
            let Ok(version) = entry.file_name().to_string_lossy().parse::<Digest>() else { continue };
            // Held while it goes: whoever needs it next makes it again, and one that was needed since the rows were read stays.
            let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
            let needed = measured.get(&version).unwrap_or(&self.born);
            if in_use.contains(&version) || needed.elapsed() < unused {
                continue;
            }
            measured.remove(&version);
            discard_copy(&entry.path())?;
            removed += 1;
        }
        Ok(removed)
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

    fn reap(&self, leftover: store::Process) -> Result<(), DriverError> {
        let process = Process { pid: leftover.pid, start_time: leftover.start_time };
        process.kill().map_err(|source| DriverError::Reap { pid: leftover.pid, source })
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
