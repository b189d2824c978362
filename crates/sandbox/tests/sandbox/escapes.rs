//! A hostile app tries to get out, in Perl, which every Debian has: each attempt says whether it worked.
//!
//! As root the enclave is two other users of the machine; as a plain user it is the same one. `testbed` tries the same as both.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;

use sandbox::Feature;

use crate::{Enclave, started};

/// `try NAME, CODE`: prints `NAME=open` where the code gives something true.
const PRELUDE: &str = r#"$| = 1; $SIG{ALRM} = sub { die "slow" };
sub try { my ($n, $c) = @_; my $r = eval { alarm 5; my $v = $c->(); alarm 0; $v }; print "$n=", ($r ? "open" : "shut"), "\n" }
sub dial { socket(my $s, 1, 1, 0) or return 0; connect($s, pack("S a108", 1, $_[0])) }
"#;

fn attempt(enclave: &Enclave, script: &str) -> String {
    enclave.run_perl(&format!("{PRELUDE}{script}"))
}

fn all_shut(said: &str, count: usize) {
    assert_eq!((said.matches("=shut").count(), said.matches("=open").count()), (count, 0), "{said}");
}

#[test]
fn a_hostile_app_reaches_no_process_file_or_socket_outside() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::OwnRoot, Feature::AppProc, Feature::Network]) {
        return;
    }
    let secret = enclave.path("secret");
    fs::write(&secret, "another enclave's").unwrap();
    let socket = enclave.path("agent.sock");
    let _agent = UnixListener::bind(&socket).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        r#"my $host = {pid};
        try "file", sub {{ open(my $f, "<", "{secret}") }};
        try "file-by-proc", sub {{ open(my $f, "<", "/proc/1/root{secret}") }};
        try "memory-of-first", sub {{ open(my $f, "+<", "/proc/1/mem") }};
        try "memory-of-host", sub {{ open(my $f, "<", "/proc/$host/mem") }};
        try "other-processes", sub {{ opendir(my $d, "/proc"); 2 < grep {{ /^\d+$/ }} readdir $d }};
        try "signal-host", sub {{ kill 0, $host }};
        try "agent-socket", sub {{ dial("{socket}") }};
        try "abstract-socket", sub {{ dial("\0sealwright/uid/2000000000") }};
        try "loopback-of-host", sub {{ socket(my $s, 2, 1, 0); connect($s, pack("S n C4 x8", 2, {port}, 127, 0, 0, 1)) }};
        try "raw-socket", sub {{ socket(my $s, 2, 3, 1) }};
        try "packet-socket", sub {{ socket(my $s, 17, 3, 0) }};
        try "vsock", sub {{ socket(my $s, 40, 1, 0) }};
        try "algorithm-socket", sub {{ socket(my $s, 38, 5, 0) }};
        try "sysctl", sub {{ open(my $f, ">", "/proc/sys/kernel/core_pattern") }};
        try "network-sysctl", sub {{ open(my $f, ">", "/proc/sys/net/ipv4/ip_forward") }};
        try "measured-file", sub {{ open(my $f, ">>", "/bin/perl") }};
        try "chmod", sub {{ chmod 0777, "/bin/perl" }};
        try "delete", sub {{ unlink "/bin/perl" }};"#,
        pid = std::process::id(),
        secret = secret.display(),
        socket = socket.display(),
        port = port.local_addr().unwrap().port(),
    );
    all_shut(&attempt(&enclave, &script), 18);
}

/// Numbers of x86-64; the filter is the same list elsewhere.
#[cfg(target_arch = "x86_64")]
#[test]
fn dangerous_system_calls_are_refused() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::OwnRoot, Feature::Seccomp]) {
        return;
    }
    // EPERM 1 or ENOSYS 38, and no other way to fail: EFAULT and EINVAL would mean that the kernel looked at it.
    let script = r#"sub call { my ($n, @a) = @_; try $n, sub { $! = 0; my $r = syscall($n, @a); !($r == -1 && ($! == 1 || $! == 38)) } }
        call 101, 0, 0, 0, 0;      # ptrace(TRACEME)
        call 310, 1, 0, 0, 0, 0, 0; # process_vm_readv
        call 311, 1, 0, 0, 0, 0, 0; # process_vm_writev
        call 250, 0, 0;            # keyctl
        call 321, 0, 0, 0;         # bpf
        call 298, 0, 0, 0, 0, 0;   # perf_event_open
        call 323, 0;               # userfaultfd
        call 165, 0, 0, 0, 0, 0;   # mount
        call 155, 0, 0;            # pivot_root
        call 308, 0, 0;            # setns
        call 272, 0x10000000;      # unshare(NEWUSER)
        call 56, 0x10000011, 0, 0, 0, 0; # clone(NEWUSER)
        call 435, 0, 0;            # clone3
        call 425, 1, 0;            # io_uring_setup
        call 428, 0, 0, 0;         # open_tree
        call 304, 0, 0, 0;         # open_by_handle_at
        call 135, 8;               # personality
        call 227, 0, 0;            # clock_settime
        call 169, 0, 0, 0, 0;      # reboot
        call 16, 0, 0x5412, 0;     # ioctl(TIOCSTI)
        call 0x40000000 + 39;      # getpid of x32
    "#;
    all_shut(&attempt(&enclave, script), 21);
}

#[test]
fn memory_and_processes_have_a_bound() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::OwnRoot, Feature::MemoryLimit, Feature::ProcessLimit]) {
        return;
    }
    // Anonymous memory of one process; files of a tmpfs; processes. The bounds are 64 MiB and 16.
    let said =
        attempt(&enclave, r#"print "begun\n"; my $n = 200 << 20; my $x = "x" x $n; print "memory=open\n";"#);
    assert!(said.contains("begun") && !said.contains("memory=open"), "{said}");
    assert!(said.contains("out of memory: true"), "{said}");
    let fill = r#"open(my $f, ">", "/tmp/f"); my $n = 0; my $p = "x" x (1 << 20);
        for (1..200) { last unless defined syswrite($f, $p); $n++ } print "mib=$n\n"; close $f; unlink "/tmp/f";"#;
    let said = attempt(&enclave, fill);
    assert!(!said.contains("mib=200"), "{said}");
    let bomb = r#"my $n = 0; for (1..200) { my $p = fork; last unless defined $p; if (!$p) { sleep 60; exit } $n++ } print "forks=$n\n";"#;
    let said = attempt(&enclave, bomb);
    assert!(said.contains("forks=15\n"), "{said}");
}

#[test]
fn what_daemonises_ends_with_the_enclave() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::AppPid]) {
        return;
    }
    let script = r#"$| = 1; if (!fork) { syscall(112); if (!fork) { print "app-runs\n"; sleep 600 } exit } sleep 600;"#;
    let (mut child, mut output) = started(enclave.perl(script));
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
}
