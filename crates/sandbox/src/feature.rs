//! The isolation steps by name, and which of them a machine has.

use std::collections::BTreeMap;

use workload::launch::{Isolation as Plan, Namespaces};

/// One isolation step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Two users of this machine for each enclave: one for the facade, one for its app.
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
    /// System calls that an app has no business with are refused.
    Seccomp,
    /// What the app opens, signals and connects to is bounded once more.
    Landlock,
    /// Memory of all processes of the app.
    MemoryLimit,
    /// Number of processes of the app, by a control group too.
    ProcessLimit,
    /// A fair share of the processors for each enclave.
    CpuShare,
    /// Keys are in memory that the kernel itself does not show.
    SecretMemory,
}

impl Feature {
    /// All of them, outermost first.
    pub const ALL: [Self; 20] = [
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
        Self::Seccomp,
        Self::Landlock,
        Self::MemoryLimit,
        Self::ProcessLimit,
        Self::CpuShare,
        Self::SecretMemory,
    ];

    /// The stable code, for events of an enclave and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::OwnUid => "own-uid",
            Self::User => "user-namespace",
            Self::Pid => "pid-namespace",
            Self::Network => "network-namespace",
            Self::Mount => "mount-namespace",
            Self::Ipc => "ipc-namespace",
            Self::Uts => "uts-namespace",
            Self::Proc => "proc",
            Self::AppUser => "app-user-namespace",
            Self::AppPid => "app-pid-namespace",
            Self::AppMount => "app-mount-namespace",
            Self::AppIpc => "app-ipc-namespace",
            Self::AppProc => "app-proc",
            Self::OwnRoot => "own-root",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::MemoryLimit => "memory-limit",
            Self::ProcessLimit => "process-limit",
            Self::CpuShare => "cpu-share",
            Self::SecretMemory => "secret-memory",
        }
    }

    /// What it gives, in the words of `doctor`.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::OwnUid => "facade and app of each enclave are users of their own",
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
            Self::Seccomp => "app: dangerous system calls are refused",
            Self::Landlock => "app: Landlock bounds files, signals and sockets",
            Self::MemoryLimit => "app: memory of all its processes is limited",
            Self::ProcessLimit => "app: its processes are counted by a control group",
            Self::CpuShare => "enclave: a fair share of the processors",
            Self::SecretMemory => "keys are in secret memory",
        }
    }

    /// Whether an app of a stranger may not run without it. Root has to give up being root: root without capabilities
    /// still owns the machine's switches.
    #[must_use]
    pub fn is_essential(self) -> bool {
        match self {
            Self::OwnUid => rustix::process::geteuid().is_root(),
            Self::User
            | Self::Pid
            | Self::Network
            | Self::Mount
            | Self::Ipc
            | Self::AppUser
            | Self::AppPid
            | Self::AppMount
            | Self::AppProc
            | Self::OwnRoot => true,
            Self::Uts
            | Self::Proc
            | Self::AppIpc
            | Self::Seccomp
            | Self::Landlock
            | Self::MemoryLimit
            | Self::ProcessLimit
            | Self::CpuShare
            | Self::SecretMemory => false,
        }
    }
}

/// Whether a step works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It was tried and worked.
    Available,
    /// It worked, but an old kernel leaves this out.
    InPart(String),
    /// It did not, or was not tried, because of this.
    Missing(String),
}

/// What this machine allows: an answer for every [`Feature`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation(BTreeMap<Feature, Support>);

impl Isolation {
    pub(crate) const fn unknown() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn insert(&mut self, feature: Feature, support: Support) {
        self.0.insert(feature, support);
    }

    /// The answer for one step.
    #[must_use]
    pub fn support(&self, feature: Feature) -> Support {
        self.0.get(&feature).cloned().unwrap_or_else(|| Support::Missing("not tried".into()))
    }

    /// Whether one step works, at least in part.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        matches!(self.support(feature), Support::Available | Support::InPart(_))
    }

    pub(crate) fn in_part(mut self, feature: Feature, lacking: &str) -> Self {
        self.insert(feature, Support::InPart(lacking.to_owned()));
        self
    }

    /// The same machine without one step, for who decides about it.
    #[must_use]
    pub fn without(mut self, feature: Feature, why: &str) -> Self {
        self.insert(feature, Support::Missing(why.to_owned()));
        self
    }

    /// One line per step, for people.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let line = |feature: Feature| match self.support(feature) {
            Support::Available => format!("ok       {}", feature.describe()),
            Support::InPart(lacking) => format!("IN PART  {} ({lacking})", feature.describe()),
            Support::Missing(reason) => format!("MISSING  {} ({reason})", feature.describe()),
        };
        Feature::ALL.into_iter().map(line).collect()
    }

    /// The steps that do not work, or not wholly, with their reasons.
    pub fn missing(&self) -> impl Iterator<Item = (Feature, &str)> {
        self.0.iter().filter_map(|(feature, support)| match support {
            Support::Available => None,
            Support::InPart(reason) | Support::Missing(reason) => Some((*feature, reason.as_str())),
        })
    }

    /// The first step that is missing and without which no app of a stranger may run.
    #[must_use]
    pub fn refusal(&self) -> Option<(Feature, String)> {
        let essential = Feature::ALL.into_iter().filter(|feature| feature.is_essential());
        let mut missing = essential.filter_map(|feature| match self.support(feature) {
            Support::Available | Support::InPart(_) => None,
            Support::Missing(reason) => Some((feature, reason)),
        });
        missing.next()
    }

    /// What a facade is told.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        for feature in Feature::ALL.into_iter().filter(|feature| self.has(*feature)) {
            if let Some(field) = field(&mut plan, feature) {
                *field = true;
            }
        }
        // The app's user is given inside a namespace of users.
        plan.app_uid &= plan.enclave.user && plan.app.user;
        plan
    }
}

/// Where the plan says a step; `None` where it is not the plan's.
pub(crate) fn field(plan: &mut Plan, feature: Feature) -> Option<&mut bool> {
    let Plan { enclave, app, own_root, app_uid, seccomp, landlock } = plan;
    let Namespaces { user, pid, network, mount, ipc, uts, proc } = enclave;
    match feature {
        Feature::OwnUid => Some(app_uid),
        Feature::User => Some(user),
        Feature::Pid => Some(pid),
        Feature::Network => Some(network),
        Feature::Mount => Some(mount),
        Feature::Ipc => Some(ipc),
        Feature::Uts => Some(uts),
        Feature::Proc => Some(proc),
        Feature::AppUser => Some(&mut app.user),
        Feature::AppPid => Some(&mut app.pid),
        Feature::AppMount => Some(&mut app.mount),
        Feature::AppIpc => Some(&mut app.ipc),
        Feature::AppProc => Some(&mut app.proc),
        Feature::OwnRoot => Some(own_root),
        Feature::Seccomp => Some(seccomp),
        Feature::Landlock => Some(landlock),
        Feature::MemoryLimit | Feature::ProcessLimit | Feature::CpuShare | Feature::SecretMemory => None,
    }
}
