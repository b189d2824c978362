//! What keeps apps apart on this machine: each step that is missing with its reason, what is lost, and how to get it.

use sandbox::{Feature, Isolation};

use super::{Finding, Weight};

/// All steps work, or one finding for each that does not.
pub(super) fn look(isolation: &Isolation) -> Vec<Finding> {
    let missing: Vec<Finding> =
        isolation.missing().map(|(feature, reason)| finding(isolation, feature, reason)).collect();
    if missing.is_empty() {
        let found = "own users, processes, network, mounts; the app sees only its measured files".to_owned();
        return vec![Finding::of("isolation", Weight::Wanted, Ok(found), "")];
    }
    missing
}

fn finding(isolation: &Isolation, feature: Feature, reason: &str) -> Finding {
    // Without these `up` runs no app; one that works in part is no reason to refuse.
    let (weight, why) = match (feature.is_essential(), isolation.has(feature)) {
        (true, false) => (Weight::Needed, "without it every start of an enclave is refused"),
        (true | false, _) => (Weight::Wanted, lost(feature)),
    };
    let found = Err(format!("{} [{}]: {reason}", feature.describe(), feature.code()));
    Finding::of("isolation", weight, found, mend(feature)).because(why)
}

/// What an app that turns against its host has less in its way.
const fn lost(feature: Feature) -> &'static str {
    match feature {
        Feature::OwnUid => {
            "facades and apps are the user who runs `up`: what that user may read, a facade may"
        }
        Feature::User
        | Feature::Pid
        | Feature::Network
        | Feature::Mount
        | Feature::Ipc
        | Feature::AppUser
        | Feature::AppPid
        | Feature::AppMount
        | Feature::AppProc
        | Feature::OwnRoot => "apps are not kept apart from each other and from the machine",
        Feature::Uts => "an app sees the machine's host name",
        Feature::Proc => "a facade sees the machine's processes",
        Feature::AppIpc => "an app shares System V IPC with its facade",
        Feature::Seccomp => "an app can try every system call of the kernel",
        Feature::Landlock => "one of the walls around an app's files, signals and sockets is missing",
        Feature::MemoryLimit => {
            "the memory of an app is bounded for each process only, and not what it shares"
        }
        Feature::ProcessLimit => "processes of an app are bounded by its user's limit alone",
        Feature::CpuShare => "one busy app can take the processors from all others",
        Feature::SecretMemory => "who may read this process's memory may read its keys",
    }
}

const fn mend(feature: Feature) -> &'static str {
    match feature {
        Feature::OwnUid => {
            "run `up` as root; in a container give it CAP_SETUID, CAP_SETGID and CAP_CHOWN. As a plain user it is as it should be"
        }
        Feature::User | Feature::AppUser => {
            "allow namespaces of users: sysctl kernel.unprivileged_userns_clone=1 (Debian), \
             kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces=65536; or run as root"
        }
        Feature::Pid
        | Feature::Network
        | Feature::Mount
        | Feature::Ipc
        | Feature::Uts
        | Feature::AppPid
        | Feature::AppMount
        | Feature::AppIpc => {
            "allow namespaces: not in a container that forbids unshare(2) (Docker: --security-opt seccomp=unconfined), \
             and without RestrictNamespaces in the service's unit"
        }
        Feature::Proc | Feature::AppProc => {
            "allow a fresh /proc: in a container give it an unmasked one (Docker: --security-opt systempaths=unconfined), \
             and no ProtectProc or ProtectKernelTunables in the service's unit"
        }
        Feature::OwnRoot => {
            "allow mounts in a namespace: no filter against mount(2) and pivot_root(2) around `up`, and a data folder \
             that is not on an overlay that can't be bound"
        }
        Feature::Seccomp => "a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or aarch64",
        Feature::Landlock => "lsm=landlock,... on the kernel's command line; Linux 6.12 has all of it",
        Feature::MemoryLimit | Feature::ProcessLimit | Feature::CpuShare => {
            "as a service: Delegate=yes; by hand: systemd-run --user --scope -p Delegate=yes sealwright up"
        }
        Feature::SecretMemory => {
            "Linux 5.14 with CONFIG_SECRETMEM, before 6.5 with secretmem.enable=1 at boot; LimitMEMLOCK of 64 KiB"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(feature: Feature) -> Vec<Finding> {
        let probed = sandbox::probe(std::path::Path::new("/nowhere"));
        // The launcher is not there: everything that it would try is missing, with that reason.
        look(&probed.without(feature, "the kernel says no"))
    }

    #[test]
    fn each_missing_step_is_said_with_its_reason_what_it_means_and_its_mend() {
        for feature in Feature::ALL {
            let findings = without(feature);
            let of_it =
                findings.iter().find(|finding| finding.found.contains(&format!("[{}]", feature.code())));
            let Some(finding) = of_it else { panic!("{feature:?} is not among {findings:?}") };
            assert!(finding.found.ends_with("the kernel says no"), "{finding:?}");
            assert!(
                finding.why.is_some() && finding.mend.as_ref().is_some_and(|mend| mend.len() > 20),
                "{finding:?}"
            );
            let expected = if feature.is_essential() { Weight::Needed } else { Weight::Wanted };
            assert_eq!(finding.weight, expected, "{feature:?}");
        }
    }
}
