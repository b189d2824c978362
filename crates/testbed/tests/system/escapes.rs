//! A hostile app in a real enclave beside another one's, as the controller starts them: what it tries, and what holds.
//!
//! Each test is made twice where root makes it: enclaves of root's are users of their own, enclaves of a plain user are that user.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use testbed::{Found, Up, User, World, may_dump_core, secret_pages, until};

use crate::{SOON, worlds};

/// What an app may have printed that is kept: `facade::app`, and a piece of what comes next.
const MAX_OUTPUT: u64 = (4 << 20) + 8192;

/// As a facade that went bad: the same user, in namespaces of users and pids of its own, and with all capabilities there.
const BELOW: &str = "unshare --user --map-root-user --pid --fork";

/// Mallory with the hostile app, Bob with an app of his own.
fn two<'a>(world: &'a World) -> (User<'a>, User<'a>, Value) {
    let (mallory, bob) = (world.user("mallory"), world.user("bob"));
    mallory.sign_up();
    bob.sign_up();
    bob.ok(&["app", "publish", &world.hello("hello", "1.0.0", "bobs")]);
    let diary = bob.json(&["enclave", "create", "diary", "--app", "hello"]);
    mallory.ok(&["app", "publish", &world.hostile()]);
    mallory.ok(&["enclave", "create", "evil", "--app", "hostile"]);
    (mallory, bob, diary)
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Every socket of the control plane and of the other enclave.
fn sockets(world: &World, other: &str) -> Vec<PathBuf> {
    let run = fs::read_dir(world.data().join("run")).unwrap().map(|entry| entry.unwrap().path());
    let mut sockets: Vec<PathBuf> = run.filter(|path| is_socket(path)).collect();
    assert!(sockets.len() >= 4, "agent, admin, controller, signer: {sockets:?}");
    sockets.push(world.data().join("enclaves").join(other).join("run/tls"));
    sockets
}

#[test]
fn a_hostile_app_reaches_neither_its_facade_nor_another_live_enclave_nor_the_control_plane() {
    for world in worlds() {
        let up = world.up();
        let (mallory, bob, diary) = two(&world);
        let id = diary["id"].as_str().unwrap();
        let mut attempts = Vec::new();
        for socket in sockets(&world, id) {
            attempts.push(("socket", format!(r#"dial("{}")"#, socket.display())));
        }
        for file in ["db.sqlite", "license.key", "factors.key", "client/context.json"] {
            let path = world.data().join(file);
            assert!(path.exists(), "{}", path.display());
            attempts.push(("file", format!(r#"open(my $f, "<", "{}")"#, path.display())));
        }
        let folder = world.data().join("enclaves").join(id);
        for file in ["app.log", "facade.yaml", "run"] {
            attempts.push(("file of another", format!(r#"stat("{}")"#, folder.join(file).display())));
        }
        // Its own facade has no number here; what has one on the machine means nothing inside.
        for Found { process, .. } in up.tree() {
            let pid = process.pid;
            for file in ["mem", "environ", "maps", "root/etc/passwd", "fd/0"] {
                attempts.push(("memory", format!(r#"open(my $f, "<", "/proc/{pid}/{file}")"#)));
            }
            attempts.push(("signal", format!("kill 0, {pid}")));
            // PTRACE_SEIZE
            attempts.push(("trace", format!("syscall(101, 0x4206, {pid}, 0, 0) == 0")));
        }
        attempts.push(("memory of the first", r#"open(my $f, "<", "/proc/1/mem")"#.to_owned()));
        attempts.push(("trace of the first", "syscall(101, 0x4206, 1, 0, 0) == 0".to_owned()));
        let listeners = testbed::listeners(&up.tree()).into_iter();
        let ours: Vec<_> = listeners.filter(|one| one.process.process.pid == up.place().pid).collect();
        assert!(ours.len() >= 2, "gateway and edge: {ours:?}");
        for port in ours.iter().map(|listener| listener.address.port()) {
            let address = format!(r#"pack("S n C4 x8", 2, {port}, 127, 0, 0, 1)"#);
            attempts.push(("port of the machine", format!("socket(my $s, 2, 1, 0); connect($s, {address})")));
        }
        mallory.all_shut("evil", &attempts);
        bob.verify("diary");
        assert_eq!(up.interrupt().code, Some(0));
    }
}

#[test]
fn a_hostile_app_gains_no_privilege_by_files_namespaces_or_parts_of_the_kernel() {
    for world in worlds() {
        let up = world.up();
        let (mallory, _, _) = two(&world);
        let status = mallory.tell("evil", r#"open(my $f, "<", "/proc/self/status"); join "", <$f>"#);
        for line in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{line}:\t0000000000000000\n")), "{line}: {status}");
        }
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        let mounts = mallory.tell("evil", r#"open(my $f, "<", "/proc/self/mountinfo"); join "", <$f>"#);
        // Its files and what it can write; a device or a cover is no place for a program.
        for point in ["/", "/tmp", "/dev/shm", "/proc"] {
            let mount = mounts.lines().find(|line| line.split(' ').nth(4) == Some(point));
            assert!(mount.is_some_and(|line| line.contains("nosuid")), "{point}: {mounts}");
        }
        // Where an app may write, nothing can be executed, and no file capability can be set: capabilities(7).
        let program =
            r##"open(my $f, ">", "/tmp/x"); print $f "#!/bin/perl\n"; close $f; chmod 04755, "/tmp/x";"##;
        let attribute = r#"syscall(188, "/tmp/x", "security.capability", pack("V5", 0x02000001, 1, 0, 0, 0), 20, 0) == 0"#;
        let attempts = [
            ("set-user-id", format!(r#"{program} system("/tmp/x") == 0"#)),
            ("file capability", format!("{program} {attribute}")),
            ("another user", "$< = 0; $> = 0; $> == 0".to_owned()),
            // setuid(0), setgroups, capset
            ("setuid", "syscall(105, 0) == 0".to_owned()),
            ("setgroups", r#"syscall(116, 1, pack("V", 0)) == 0"#.to_owned()),
            ("user namespace", "syscall(272, 0x10000000) == 0".to_owned()),
            ("mount", r#"syscall(165, "x", "/tmp", "tmpfs", 0, 0) == 0"#.to_owned()),
            ("io_uring", r#"syscall(425, 8, "\0" x 120) >= 0"#.to_owned()),
            ("bpf", r#"syscall(321, 0, pack("V4 x112", 2, 4, 4, 1), 72) >= 0"#.to_owned()),
            ("keyring", r#"syscall(250, 0, -3, 1) >= 0"#.to_owned()),
            ("perf", r#"syscall(298, pack("V2 x112", 1, 112), 0, -1, -1, 0) >= 0"#.to_owned()),
            ("device", r#"syscall(133, "/tmp/d", 0020666, 0x101) == 0"#.to_owned()),
            ("abstract socket", r#"dial("\0sealwright")"#.to_owned()),
        ];
        mallory.all_shut("evil", &attempts);
        assert_eq!(up.interrupt().code, Some(0));
    }
}

#[test]
fn a_hostile_app_is_bounded_in_processes_disk_and_output() {
    for world in worlds() {
        let up = world.up();
        let (mallory, bob, _) = two(&world);
        let bomb = r"my ($n, @c) = 0; for (1..200) { my $p = fork; last unless defined $p; if (!$p) { sleep 60; exit } push @c, $p; $n++ } kill 9, @c; $n";
        let forks: u32 = mallory.tell("evil", bomb).parse().unwrap();
        assert!(forks < 16, "{forks}");
        let many = r#"my $n = 0; for (1..70000) { open(my $f, ">", "/tmp/$_") or last; $n++ } unlink "/tmp/$_" for 1..$n; $n"#;
        let files: u32 = mallory.tell("evil", many).parse().unwrap();
        assert!(files < 66_000, "{files}");

        // Far more than is kept; the app is not held up, and goes on to answer.
        let flood = r#"my $l = ("x" x 1023) . "\n"; print $l for 1..16384; print "the end of the flood\n"; "printed""#;
        assert_eq!(mallory.tell("evil", flood), "printed");
        let id = mallory.json(&["enclave", "show", "evil"])["id"].as_str().unwrap().to_owned();
        let log = world.data().join("enclaves").join(id).join("app.log");
        until(SOON, "the end of the flood in the log", || {
            assert!(fs::metadata(&log).unwrap().len() <= MAX_OUTPUT);
            fs::read(&log).unwrap().ends_with(b"the end of the flood\n").then_some(())
        });
        assert_eq!(mallory.tell("evil", "1 + 1"), "2");
        bob.verify("diary");
        assert_eq!(up.interrupt().code, Some(0));
    }
}

/// core(5): a dump of an app, of its facade or of a part that holds keys would be those keys in a file.
#[test]
fn no_process_of_the_whole_can_leave_a_core_dump() {
    // What is started from here may dump unless it forbids it itself.
    let most = getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: most, maximum: most }).unwrap();
    for world in worlds() {
        let up = world.up();
        let (mallory, _, _) = two(&world);
        let tree = up.tree();
        assert!(tree.len() >= 8, "up, its TPMs, two enclaves: {tree:#?}");
        for found in tree {
            assert!(!may_dump_core(found.process.pid), "{}", found.command);
        }
        let crash = r#"my $p = fork; if (!$p) { chdir "/tmp"; kill 11, $$; sleep 9 } waitpid($p, 0); opendir(my $d, "/tmp"); join " ", grep { !/^\./ } readdir $d"#;
        assert_eq!(mallory.tell("evil", crash), "");
        assert_eq!(up.interrupt().code, Some(0));
    }
}

/// A plain user's enclaves and control plane are one user. Who may not be dumped may not be read or traced by it either: proc(5),
/// `PR_SET_DUMPABLE`. A facade's memory is guarded by the namespace of users that it runs in: one enclave's is nothing to another's, and the user
/// outside, who owns it, is let in (user_namespaces(7)); docs/threats.md says so.
#[test]
fn who_holds_keys_can_not_be_traced_by_its_own_user() {
    let Some(world) = crate::nobodys() else { return };
    let up = world.up();
    two(&world);
    let denied = |prefix: &str, pid: u32| {
        for file in ["mem", "environ", "maps"] {
            let said = world.bash(&format!("{prefix} cat /proc/{pid}/{file} | head -c 16"));
            assert!(said.stdout.is_empty() && said.stderr.contains("ermission denied"), "{said:#?}");
        }
    };
    denied("", up.place().pid);
    for found in facades(&up) {
        denied(BELOW, found.process.pid);
    }
    denied(BELOW, up.place().pid);
    assert_eq!(up.interrupt().code, Some(0));
}

/// A facade that went bad is the controller's user where that is a plain one: the sockets' modes let it in. It is told from the
/// controller by its pid namespace, which it can't leave.
#[test]
fn a_process_below_our_pid_namespace_is_not_served_by_any_part_whoever_its_user_is() {
    for world in worlds() {
        let up = world.up();
        let run = world.data().join("run");
        let ask = |prefix: &str, socket: &str, request: &str| {
            let script = format!(
                r#"socket(my $s, 1, 1, 0); connect($s, pack("S a108", 1, "{}")) or die "no way: $!"; $| = 1; $SIG{{PIPE}} = "IGNORE"; syswrite $s, "{request}"; alarm 20; sysread($s, my $got, 4096); print $got"#,
                run.join(socket).display()
            );
            let said = world.bash(&format!("{prefix} perl -e '{script}'"));
            assert_eq!(said.code, 0, "{said:#?}");
            said.stdout
        };
        let describe = r"GET /v1/node HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        // The beginning of HTTP/2, RFC 9113 3.4, and an empty frame of settings; a server answers with its own.
        let preface = r"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
        assert!(ask("", "admin.sock", describe).starts_with("HTTP/1.1 200"));
        assert!(ask(BELOW, "admin.sock", describe).starts_with("HTTP/1.1 403"));
        for socket in ["controller.sock", "signer.sock", "verifier.sock"] {
            assert_ne!(ask("", socket, preface), "", "{socket}");
            assert_eq!(ask(BELOW, socket, preface), "", "{socket}");
        }
        assert_eq!(up.interrupt().code, Some(0));
    }
}

/// A facade owns the folder of its socket. Who is sent elsewhere by it finds out before a byte of theirs is on the way.
#[test]
fn a_socket_that_was_replaced_by_a_link_to_another_enclave_gives_the_owner_nothing_of_it() {
    for world in worlds() {
        let up = world.up();
        let (mallory, bob, diary) = two(&world);
        let evil = mallory.json(&["enclave", "show", "evil"]);
        let socket = |enclave: &Value| {
            world.data().join("enclaves").join(enclave["id"].as_str().unwrap()).join("run/tls")
        };
        let (ours, theirs) = (socket(&evil), socket(&diary));
        for target in [theirs, world.data().join("run/admin.sock"), world.data().join("run/controller.sock")]
        {
            fs::remove_file(&ours).unwrap();
            symlink(&target, &ours).unwrap();
            let asked = mallory.told("evil", "1");
            assert!(asked.code != 0 && asked.stdout.is_empty(), "{}: {asked:#?}", target.display());
        }
        bob.verify("diary");
        assert_eq!(up.interrupt().code, Some(0));
    }
}

#[test]
fn an_app_that_uses_up_its_memory_fails_alone_with_the_reason_and_starts_again() {
    let world = World::new();
    let up = world.up();
    let (mallory, bob, _) = two(&world);
    if !crate::there(&[sandbox::Feature::MemoryLimit]) {
        return;
    }
    assert_ne!(mallory.told("evil", r#"my $n = 400 << 20; my $x = "x" x $n; length $x"#).code, 0);
    let failed = mallory.enclave_in("evil", &["failed"], Duration::from_secs(30));
    assert_eq!(failed["reason"], "out-of-memory", "{failed:#}");
    assert_eq!(bob.enclave_in("diary", &["running"], SOON)["incarnation"], 1);
    bob.verify("diary");
    let started = mallory.json(&["enclave", "start", "evil"]);
    assert_eq!((&started["state"], &started["incarnation"]), (&"running".into(), &2.into()));
    assert_eq!(mallory.tell("evil", "6 * 7"), "42");
    assert_eq!(up.interrupt().code, Some(0));
}

/// The control groups of this machine whose names contain this.
fn groups(name: &str) -> Vec<PathBuf> {
    fn look(folder: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().contains(name) {
                found.push(entry.path());
            } else {
                look(&entry.path(), name, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    look(Path::new("/sys/fs/cgroup"), name, 8, &mut found);
    found
}

#[test]
fn control_groups_that_a_crash_has_left_are_removed_by_the_next_start_and_nobody_elses() {
    let world = World::new();
    let up = world.up();
    if !crate::there(&[sandbox::Feature::MemoryLimit]) {
        return;
    }
    let (_, _, diary) = two(&world);
    let id = diary["id"].as_str().unwrap();
    let ours = groups(id);
    assert!(!ours.is_empty(), "a group for each enclave");
    up.kill9();
    let sibling = |path: &Path, from: &str, to: &str| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.with_file_name(name.replacen(from, to, 1))
    };
    let (leftovers, strangers): (Vec<PathBuf>, Vec<PathBuf>) = ours
        .iter()
        // An enclave of ours that no row names any more, and one of another controller.
        .map(|path| (sibling(path, id, &"f".repeat(32)), sibling(path, "sealwright-", "sealwright-0000")))
        .unzip();
    for path in leftovers.iter().chain(&strangers) {
        fs::create_dir(path).unwrap();
    }
    let again = world.up();
    assert!(leftovers.iter().all(|path| !path.exists()), "{leftovers:?}");
    assert!(strangers.iter().all(|path| path.exists()), "{strangers:?}");
    assert_eq!(again.interrupt().code, Some(0));
    for path in strangers {
        fs::remove_dir(path).unwrap();
    }
    assert_eq!(groups(id), Vec::<PathBuf>::new());
}

/// The two facades, without the stages before and after them.
fn facades(up: &Up) -> Vec<Found> {
    let is_facade = |found: &Found| found.command.starts_with("sealwright-facade --config");
    let facades: Vec<Found> = up.tree().into_iter().filter(is_facade).collect();
    assert_eq!(facades.len(), 2, "{:#?}", up.tree());
    facades
}

/// Root may look; the pages themselves are in nobody's reach, `sandbox::a_secret_is_not_in_the_memory_that_the_kernel_shows`.
#[test]
fn keys_of_facades_and_of_the_signer_lie_in_secret_memory() {
    let world = World::new();
    let up = world.up();
    if !crate::there(&[sandbox::Feature::SecretMemory, sandbox::Feature::OwnUid]) {
        return;
    }
    two(&world);
    for found in facades(&up) {
        assert!(secret_pages(found.process.pid) > 0, "the key of {} is elsewhere", found.command);
    }
    // Signer and gateway as processes of their own: `alone`.
    assert!(secret_pages(up.place().pid) > 0, "no key of `up` is in secret memory");
    assert_eq!(up.interrupt().code, Some(0));
}
