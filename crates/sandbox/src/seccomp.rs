//! The system calls that an app has no business with.
//!
//! A list of what is refused, not of what is allowed: apps are arbitrary programs of their publishers, an allow list would
//! break with each libc, and the walls are namespaces, Landlock and the missing capabilities. The filter takes away what
//! has opened those walls before (new user namespaces, `io_uring`, `userfaultfd`, keyrings, BPF, perf) and what no
//! namespace covers (`AF_VSOCK`, terminals). Another architecture's calls end the process; x32's are refused.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// Refused with EPERM, whatever their arguments are.
const REFUSED: &[c_long] = &[
    // others' memory and execution
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // keyrings are not in a namespace
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // parts of the kernel with a long history of holes
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // mounts and namespaces
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // the machine itself
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_lookup_dcookie,
];

/// The same, of this architecture alone.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_nfsservctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];

/// Answered with ENOSYS, as by a kernel that has not got them: programs then do without.
const ABSENT: &[c_long] = &[
    // Its flags are behind a pointer, where no filter can look; libc falls back to clone.
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // the new mount API
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
];

const NEW_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];
/// Terminals are shared with who started them: pushing characters into one is running commands there.
const TERMINAL_REQUESTS: [u64; 3] = [libc::TIOCSTI, libc::TIOCSETD, TIOCLINUX];
const TIOCLINUX: u64 = 0x541c; // asm-generic/ioctls.h
const PERSONALITY_QUERY: u64 = 0xffff_ffff;
/// AF_VSOCK, AF_ALG, AF_PACKET and forty others are reachable from each network namespace.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
// linux/netlink.h: kernel interfaces beside routes and addresses are nobody's business here.
const NETLINK_ROUTE: u64 = 0;

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The list does not compile for this architecture.
    #[error("compile the system call filter")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel does not take it.
    #[error("install the system call filter")]
    Install(#[source] seccompiler::Error),
}

/// Installs the filter for this process and all that it starts. No new privileges must be possible already.
pub(crate) fn install() -> Result<(), SeccompError> {
    for program in programs()? {
        seccompiler::apply_filter(&program).map_err(SeccompError::Install)?;
    }
    Ok(())
}

/// The filters, one for each answer.
fn programs() -> Result<[BpfProgram; 2], SeccompError> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|number| (*number, vec![])).collect();
    let namespaces = NEW_NAMESPACES.map(|flag| rule([has_bit(0, flag as u64)?]));
    refused.insert(libc::SYS_clone, namespaces.into_iter().collect::<Result<_, _>>()?);
    let terminals = TERMINAL_REQUESTS.map(|request| rule([equal(1, request)?]));
    refused.insert(libc::SYS_ioctl, terminals.into_iter().collect::<Result<_, _>>()?);
    refused.insert(libc::SYS_personality, vec![rule([differs(0, 0)?, differs(0, PERSONALITY_QUERY)?])?]);
    let [unix, inet, inet6, netlink] = FAMILIES.map(|family| family as u64);
    let families = rule([differs(0, unix)?, differs(0, inet)?, differs(0, inet6)?, differs(0, netlink)?])?;
    let netlinks = rule([equal(0, netlink)?, differs(2, NETLINK_ROUTE)?])?;
    refused.insert(libc::SYS_socket, vec![families, netlinks]);
    let absent = ABSENT.iter().map(|number| (*number, vec![])).collect();
    Ok([compile(refused, libc::EPERM)?, compile(absent, libc::ENOSYS)?])
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, SeccompError> {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, std::env::consts::ARCH.try_into()?)?;
    let mut program: BpfProgram = x32_refused();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// x32 has x86-64's number and a bit in each call's: none of them is in our list, all of them work. seccomp(2), Caveats.
fn x32_refused() -> BpfProgram {
    const X32_BIT: u32 = 0x4000_0000;
    const RETURN_EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    if cfg!(not(target_arch = "x86_64")) {
        return vec![];
    }
    vec![
        // The number of the call is the first field of struct seccomp_data.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, X32_BIT),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, RETURN_EPERM),
    ]
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.into())
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    // The kernel takes 32 bits of each of these arguments; what stands above them must not hide the rest.
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn differs(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn has_bit(argument: u8, bit: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(bit), bit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// BPF_MAXINSNS, linux/bpf_common.h.
    #[test]
    fn the_filters_are_as_short_as_the_kernel_wants_them() {
        for program in programs().unwrap() {
            assert!((4..4096).contains(&program.len()), "{}", program.len());
        }
    }
}
