//! Tries every isolation step for real, because kernels, containers and security modules say yes and no in many ways.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use workload::launch::{Isolation as Plan, Namespaces};

use crate::command::{flags, tool};

/// One attempt may take this long, by `timeout(1)`, in seconds.
const TIME_LIMIT: &str = "10";
const MAX_REASON: usize = 200;

/// One isolation step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Everything ends with its parent, and privileges can be given up.
    ParentDeath,
    /// A user of this machine for each enclave.
    OwnUid,
    /// Own users: without it none of the following.
    User,
    /// Own process ids.
    Pid,
    /// Own network, with nothing but the loopback interface.
    Network,
    /// Own mounts.
    Mount,
    /// Own IPC objects.
    Ipc,
    /// Own host name.
    Uts,
    /// A `/proc` of the enclave.
    Proc,
    /// Own users for the app, inside the enclave.
    AppUser,
    /// Own process ids for the app: it can't see the facade.
    AppPid,
    /// Own mounts for the app.
    AppMount,
    /// Own IPC objects for the app.
    AppIpc,
    /// A `/proc` of the app.
    AppProc,
    /// The app sees no file besides its measured copy.
    OwnRoot,
    /// Limits of the app's memory and processes.
    Limits,
}

impl Feature {
    const ALL: [Self; 16] = [
        Self::ParentDeath,
        Self::OwnUid,
        Self::User,
        Self::Pid,
        Self::Network,
        Self::Mount,
        Self::Ipc,
        Self::Uts,
        Self::Proc,
        Self::AppUser,
        Self::AppPid,
        Self::AppMount,
        Self::AppIpc,
        Self::AppProc,
        Self::OwnRoot,
        Self::Limits,
    ];

    /// What it gives, in the words of `doctor`.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ParentDeath => "processes end with their parent",
            Self::OwnUid => "each enclave is a user of its own",
            Self::User => "enclave: own users",
            Self::Pid => "enclave: own processes",
            Self::Network => "enclave: own network, loopback only",
            Self::Mount => "enclave: own mounts",
            Self::Ipc => "enclave: own IPC",
            Self::Uts => "enclave: own host name",
            Self::Proc => "enclave: own /proc",
            Self::AppUser => "app: own user without capabilities",
            Self::AppPid => "app: can't see the facade's processes",
            Self::AppMount => "app: own mounts",
            Self::AppIpc => "app: own IPC",
            Self::AppProc => "app: own /proc",
            Self::OwnRoot => "app: sees only its measured files",
            Self::Limits => "app: memory per process and number of processes are limited",
        }
    }
}

/// Whether a step works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It was tried and worked.
    Available,
    /// It did not, or was not tried, because of this.
    Missing(String),
}

/// What this machine allows: an answer for every [`Feature`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation(BTreeMap<Feature, Support>);

impl Isolation {
    /// The answer for one step.
    #[must_use]
    pub fn support(&self, feature: Feature) -> Support {
        self.0.get(&feature).cloned().unwrap_or_else(|| Support::Missing("not tried".into()))
    }

    /// Whether one step works.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.support(feature) == Support::Available
    }

    /// One line per step, for people.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let line = |feature: Feature| match self.support(feature) {
            Support::Available => format!("ok       {}", feature.describe()),
            Support::Missing(reason) => format!("MISSING  {} ({reason})", feature.describe()),
        };
        Feature::ALL.into_iter().map(line).collect()
    }

    /// The steps that do not work, with their reasons.
    pub fn missing(&self) -> impl Iterator<Item = (Feature, &str)> {
        self.0.iter().filter_map(|(feature, support)| match support {
            Support::Available => None,
            Support::Missing(reason) => Some((*feature, reason.as_str())),
        })
    }

    /// What a facade is told.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut plan = Plan { enclave: Namespaces::default(), app: Namespaces::default(), own_root: false };
        for (feature, support) in &self.0 {
            if let (Support::Available, Some(field)) = (support, field(&mut plan, *feature)) {
                *field = true;
            }
        }
        plan
    }
}

fn field(plan: &mut Plan, feature: Feature) -> Option<&mut bool> {
    match feature {
        Feature::User => Some(&mut plan.enclave.user),
        Feature::Pid => Some(&mut plan.enclave.pid),
        Feature::Network => Some(&mut plan.enclave.network),
        Feature::Mount => Some(&mut plan.enclave.mount),
        Feature::Ipc => Some(&mut plan.enclave.ipc),
        Feature::Uts => Some(&mut plan.enclave.uts),
        Feature::Proc => Some(&mut plan.enclave.proc),
        Feature::AppUser => Some(&mut plan.app.user),
        Feature::AppPid => Some(&mut plan.app.pid),
        Feature::AppMount => Some(&mut plan.app.mount),
        Feature::AppIpc => Some(&mut plan.app.ipc),
        Feature::AppProc => Some(&mut plan.app.proc),
        Feature::OwnRoot => Some(&mut plan.own_root),
        Feature::ParentDeath | Feature::OwnUid | Feature::Limits => None,
    }
}

/// Tries each step, outermost first; a step is tried on top of those that worked. Takes some tens of milliseconds.
#[must_use]
pub fn probe() -> Isolation {
    let mut found = Isolation(BTreeMap::new());
    let parent_death = attempt("setpriv", &["--pdeathsig", "KILL", "--", "true"]);
    found.0.insert(Feature::ParentDeath, parent_death);
    found.0.insert(Feature::OwnUid, own_uid());
    found.0.insert(Feature::Limits, attempt("prlimit", &["--core=0:0", "--", "true"]));
    // Most machines allow all of it: then one attempt is enough.
    let all =
        Namespaces { user: true, pid: true, network: true, mount: true, ipc: true, uts: true, proc: true };
    let app = Namespaces { network: false, uts: false, ..all };
    if attempt_root(&all, &app) == Support::Available {
        for feature in Feature::ALL {
            found.0.entry(feature).or_insert(Support::Available);
        }
        return found;
    }
    let enclave_steps = [
        Feature::User,
        Feature::Pid,
        Feature::Network,
        Feature::Mount,
        Feature::Ipc,
        Feature::Uts,
        Feature::Proc,
    ];
    for feature in enclave_steps {
        let support = one_more(&found, feature, |plan| {
            attempt("unshare", &[flags(&plan.enclave, &["--map-root-user"]), vec!["--", "true"]].concat())
        });
        found.0.insert(feature, support);
    }
    let app_steps = [Feature::AppUser, Feature::AppPid, Feature::AppMount, Feature::AppIpc, Feature::AppProc];
    for feature in app_steps {
        let support = one_more(&found, feature, attempt_app);
        found.0.insert(feature, support);
    }
    let root = one_more(&found, Feature::OwnRoot, |plan| attempt_root(&plan.enclave, &plan.app));
    found.0.insert(Feature::OwnRoot, root);
    found
}

/// Tries `feature` on top of what worked, if what it stands on is there.
fn one_more(found: &Isolation, feature: Feature, attempt: impl FnOnce(&Plan) -> Support) -> Support {
    let needed: &[Feature] = match feature {
        Feature::ParentDeath | Feature::OwnUid | Feature::User | Feature::Limits => &[],
        Feature::Pid | Feature::Network | Feature::Mount | Feature::Ipc | Feature::Uts | Feature::AppUser => {
            &[Feature::User]
        }
        Feature::Proc => &[Feature::Pid, Feature::Mount],
        Feature::AppPid | Feature::AppMount | Feature::AppIpc => &[Feature::AppUser],
        Feature::AppProc => &[Feature::AppPid, Feature::AppMount],
        Feature::OwnRoot => &[Feature::Mount, Feature::AppMount],
    };
    if let Some(absent) = needed.iter().find(|needed| !found.has(**needed)) {
        return Support::Missing(format!("needs: {}", absent.describe()));
    }
    let mut plan = found.plan();
    if let Some(field) = field(&mut plan, feature) {
        *field = true;
    }
    attempt(&plan)
}

fn own_uid() -> Support {
    if !rustix::process::geteuid().is_root() {
        return Support::Missing("only root can give it".into());
    }
    let uid = crate::DEFAULT_BASE.to_string();
    attempt("setpriv", &["--reuid", &uid, "--regid", &uid, "--clear-groups", "--", "true"])
}

/// The app's namespaces inside the enclave's.
fn attempt_app(plan: &Plan) -> Support {
    let mut args = flags(&plan.enclave, &["--map-root-user"]);
    args.extend(["--", "setpriv", "--no-new-privs", "--pdeathsig", "KILL", "--", "unshare"]);
    args.extend(flags(&plan.app, &["--map-user=1000", "--map-group=1000"]));
    args.extend(["--", "true"]);
    attempt("unshare", &args)
}

/// All of it, with a root made of a read-only bind mount and a tmpfs.
fn attempt_root(enclave: &Namespaces, app: &Namespaces) -> Support {
    let inner = flags(app, &["--map-user=1000", "--map-group=1000"]).join(" ");
    // Bound with all that is mounted below it: a part of that is refused where the enclave did not mount it itself.
    // /mnt is part of every Linux file system hierarchy (FHS 3.0, 3.12) and is covered only inside the namespace.
    let script = format!(
        "mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/root && mount --rbind / /mnt/root && \
         mount -o remount,bind,ro,nosuid /mnt/root && \
         exec setpriv --no-new-privs --pdeathsig KILL -- unshare {inner} --root=/mnt/root --wd=/ -- /bin/true"
    );
    let mut args = flags(enclave, &["--map-root-user"]);
    args.extend(["--", "sh", "-e", "-c", &script]);
    attempt("unshare", &args)
}

fn attempt(program: &str, args: &[&str]) -> Support {
    let output = Command::new(tool("timeout"))
        .args(["--kill-after=1", TIME_LIMIT])
        .arg(tool(program))
        .args(args)
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8")
        .output();
    match output {
        Ok(output) if output.status.success() => Support::Available,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
            let reason = line.map_or_else(|| format!("{program}: {}", output.status), str::to_owned);
            Support::Missing(reason.chars().take(MAX_REASON).collect())
        }
        Err(error) => Support::Missing(format!("timeout {program}: {error}")),
    }
}
