//! The command as a shell sees it: exit codes, what goes to which stream, files and their modes. No server is needed.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home of the test's own: nothing of this machine's user is read or written.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealwright"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A context whose gateway and edge nobody answers at.
    fn with_context(self) -> Self {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = closed.local_addr().unwrap();
        let context = serde_json::json!({
            "format": "sealwright/context/v1",
            "gateway": format!("https://{address}"),
            "edge": address.to_string(),
            "trust_domain": "sealwright.internal",
            "anchors": [],
            "simulated": "refused",
        });
        let path = self.path("context.json");
        std::fs::write(&path, context.to_string()).unwrap();
        let used = self.run(&["context", "use", path.to_str().unwrap()]);
        assert_eq!(code(&used), 0, "{}", stderr(&used));
        self
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The exit code, an error of the right form on standard error, and nothing on standard output.
fn check_fails(output: &Output, expected: i32, what: &str) {
    assert_eq!(code(output), expected, "{}", stderr(output));
    assert!(stderr(output).contains(&format!("error: {what}")), "{}", stderr(output));
    assert_eq!(stdout(output), "");
}

#[test]
fn bad_usage_is_2() {
    let home = Home::new();
    for arguments in
        [&["frobnicate"][..], &["enclave", "create", "notes"], &["auth", "login", "A/B"], &["verify"]]
    {
        check_fails(&home.run(arguments), 2, "");
    }
    assert_eq!(code(&home.run(&[])), 2);
}

#[test]
fn help_goes_to_standard_output_and_is_0() {
    let home = Home::new();
    for arguments in
        [&["--help"][..], &["help"], &["enclave", "--help"], &["help", "enclave", "verify"], &["--version"]]
    {
        let output = home.run(arguments);
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{arguments:?}");
        assert!(stdout(&output).contains("sealwright"), "{arguments:?}");
    }
}

#[test]
fn exit_codes_are_listed_by_help() {
    let home = Home::new();
    for arguments in [&["help", "exit-codes"][..], &["exit-codes"]] {
        let output = home.run(arguments);
        assert_eq!(code(&output), 0);
        for line in ["  0  done", "  3  attestation refused", "  8  still under way", "130  interrupted"] {
            assert!(stdout(&output).contains(line), "{}", stdout(&output));
        }
    }
}

#[test]
fn without_a_context_the_next_command_is_named() {
    let output = Home::new().run(&["enclave", "list"]);
    check_fails(&output, 5, "there is no context at");
    assert!(stderr(&output).contains("  next: sealwright up"), "{}", stderr(&output));
}

#[test]
fn a_context_that_was_removed_is_told_as_missing() {
    let home = Home::new().with_context();
    std::fs::remove_file(home.path("context.json")).unwrap();
    check_fails(&home.run(&["context", "show"]), 5, "there is no context at");
}

#[test]
fn nobody_logged_in_is_4() {
    let home = Home::new().with_context();
    let output = home.run(&["enclave", "list"]);
    check_fails(&output, 4, "nobody is logged in");
    assert!(stderr(&output).contains("  next: sealwright auth login"), "{}", stderr(&output));
    check_fails(&home.run(&["--user", "bob", "app", "list"]), 4, "bob is not logged in");
}

#[test]
fn a_server_that_is_not_there_is_7() {
    let home = Home::new().with_context();
    let mut login = home.command(&["auth", "login", "alice", "--password-stdin"]);
    let output = with_stdin(&mut login, b"correct horse battery\n");
    check_fails(&output, 7, "cannot reach the gateway at https://127.0.0.1:");
    assert!(stderr(&output).contains("  why: "), "{}", stderr(&output));
    // A login that failed leaves nobody logged in.
    check_fails(&home.run(&["enclave", "list"]), 4, "nobody is logged in");
}

#[test]
fn keys_are_private() {
    let home = Home::new().with_context();
    with_stdin(
        &mut home.command(&["auth", "login", "alice", "--password-stdin"]),
        b"correct horse battery\n",
    );
    let users = home.path("context.users");
    let alice = users.join("alice");
    for (path, expected) in [(&users, 0o700), (&alice, 0o700), (&alice.join("key.pk8"), 0o600)] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", path.display());
    }
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let home = Home::new().with_context();
    with_stdin(
        &mut home.command(&["auth", "login", "alice", "--password-stdin"]),
        b"correct horse battery\n",
    );
    let key = home.path("context.users/alice/key.pk8");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    check_fails(&home.run(&["--user", "alice", "enclave", "list"]), 1, "the key of alice can't be used");
}

#[test]
fn a_password_never_comes_from_nowhere() {
    let home = Home::new().with_context();
    check_fails(&home.run(&["auth", "login", "alice"]), 2, "there is no terminal to ask for the password");
    let long = vec![b'x'; 1025];
    for bad in [&b""[..], b"\n", &long, b"\xff\n"] {
        let output = with_stdin(&mut home.command(&["auth", "login", "alice", "--password-stdin"]), bad);
        check_fails(&output, 1, "the password can't be read");
    }
    let output = with_stdin(&mut home.command(&["auth", "signup", "alice", "--password-stdin"]), b"short\n");
    check_fails(&output, 1, "the password is shorter than 15 characters");
}

#[test]
fn the_current_context_is_a_link_that_can_be_changed_and_a_file_is_not_replaced() {
    let home = Home::new().with_context();
    let current = home.path(".config/sealwright/context.json");
    assert!(std::fs::symlink_metadata(&current).unwrap().file_type().is_symlink());
    let shown = home.run(&["context", "show", "-o", "json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["format"], "sealwright/context/v1");

    std::fs::copy(home.path("context.json"), home.path("other.json")).unwrap();
    assert_eq!(code(&home.run(&["context", "use", "other.json"])), 0);
    assert!(std::fs::read_link(&current).unwrap().ends_with("other.json"));

    std::fs::remove_file(&current).unwrap();
    std::fs::copy(home.path("context.json"), &current).unwrap();
    check_fails(&home.run(&["context", "use", "other.json"]), 1, "");
    assert!(!std::fs::symlink_metadata(&current).unwrap().file_type().is_symlink());
}

#[test]
fn the_context_comes_from_flag_then_environment_then_file() {
    let home = Home::new().with_context();
    let missing = |output: Output, name: &str| {
        check_fails(&output, 5, "there is no context at");
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    };
    let from_environment =
        home.command(&["context", "show"]).env("SEALWRIGHT_CONTEXT", "env.json").output().unwrap();
    missing(from_environment, "env.json");
    let flag = &["--context", "flag.json", "context", "show"];
    let from_flag = home.command(flag).env("SEALWRIGHT_CONTEXT", "env.json").output().unwrap();
    missing(from_flag, "flag.json");
}

fn write_app(folder: &Path) -> PathBuf {
    std::fs::write(folder.join("hello.sh"), "#!/bin/sh\necho hello\n").unwrap();
    std::fs::set_permissions(folder.join("hello.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let yaml = "name: hello\nversion: \"1.0\"\ncommand: /hello.sh\nport: 8080\nfiles:\n  - {from: hello.sh, to: /hello.sh}\n";
    std::fs::write(folder.join("app.yaml"), yaml).unwrap();
    folder.join("app.yaml")
}

#[test]
fn a_digest_needs_no_server_and_depends_on_every_byte() {
    let home = Home::new();
    write_app(home.folder.path());
    let digest = || {
        let output = home.run(&["app", "digest", "app.yaml"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        stdout(&output)
    };
    let before = digest();
    assert_eq!((before.len(), before.trim_end().len()), (65, 64));
    assert_eq!(digest(), before);
    std::fs::write(home.path("hello.sh"), "#!/bin/sh\necho hellO\n").unwrap();
    assert_ne!(digest(), before);
    let json = home.run(&["app", "digest", "app.yaml", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json["name"].as_str(), json["files"].as_u64()), (Some("hello"), Some(1)));
}

#[test]
fn a_bad_app_yaml_is_told_with_its_line() {
    let home = Home::new();
    std::fs::write(home.path("app.yaml"), "name: hello\nversion: 1\nbogus: 2\n").unwrap();
    let output = home.run(&["app", "digest", "app.yaml"]);
    check_fails(&output, 1, "app.yaml can't be used");
    assert!(stderr(&output).contains("line 3"), "{}", stderr(&output));
    check_fails(&home.run(&["app", "digest", "none.yaml"]), 5, "none.yaml can't be used");
}

#[test]
fn a_file_that_is_no_evidence_is_an_error_and_not_a_verdict() {
    let home = Home::new().with_context();
    std::fs::write(home.path("x.evidence.json"), "{}").unwrap();
    check_fails(&home.run(&["verify", "x.evidence.json"]), 1, "x.evidence.json can't be used");
    check_fails(&home.run(&["verify", "none.evidence.json"]), 5, "none.evidence.json can't be used");
}

#[test]
fn doctor_names_what_is_there_and_how_to_mend_the_rest() {
    let home = Home::new();
    let output = home.run(&["doctor", "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    for name in ["swtpm", "setpriv", "sealwright-facade", "data folder", "disk space", "isolation", "context"]
    {
        assert!(findings.iter().any(|finding| finding["name"] == name), "{name}");
    }
    for finding in findings {
        assert_eq!(finding["ok"] == false, finding["mend"].is_string(), "{finding}");
    }
    let missing = findings.iter().any(|finding| finding["ok"] == false && finding["weight"] == "needed");
    assert_eq!(code(&output), i32::from(missing));
}

#[test]
fn doctor_finds_what_is_wrong_with_a_data_folder_and_says_why_it_matters() {
    let home = Home::new();
    let data = home.path("data");
    std::fs::create_dir_all(data.join("run")).unwrap();
    std::fs::create_dir_all(data.join("ca")).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(data.join("db.sqlite"), "no database").unwrap();
    // One part answers, another has gone.
    let _alive = std::os::unix::net::UnixListener::bind(data.join("run/agent.sock")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(data.join("run/signer.sock")).unwrap());
    let output = home.run(&["doctor", "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = |name: &str| {
        let found = findings.as_array().unwrap().iter().find(|finding| finding["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {findings:#}")).clone()
    };
    for name in ["data permissions", "database", "sockets"] {
        let finding = finding(name);
        assert_eq!(finding["ok"], false, "{finding}");
        assert!(finding["why"].is_string() && finding["mend"].is_string(), "{finding}");
    }
    assert!(finding("sockets")["found"].as_str().unwrap().contains("signer.sock"));
    assert_eq!(code(&output), 1);
}

#[test]
fn a_part_shows_its_effective_configuration() {
    let home = Home::new();
    std::fs::write(home.path("edge.yaml"), "listen: 127.0.0.1:0\ncontroller: /run/controller.sock\n")
        .unwrap();
    let output = home.run(&["edge", "--config", "edge.yaml", "--check-config"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("half_open"), "defaults are shown: {}", stdout(&output));
    std::fs::write(home.path("edge.yaml"), "listen: nowhere\n").unwrap();
    check_fails(&home.run(&["edge", "--config", "edge.yaml", "--check-config"]), 1, "");
    check_fails(&home.run(&["edge", "--config", "none.yaml"]), 5, "");
}

#[test]
fn ctrl_c_is_130() {
    let home = Home::new().with_context();
    // A server that accepts and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let context = std::fs::read_to_string(home.path("context.json")).unwrap();
    let mut context: serde_json::Value = serde_json::from_str(&context).unwrap();
    context["gateway"] = format!("https://{}", listener.local_addr().unwrap()).into();
    std::fs::write(home.path("context.json"), context.to_string()).unwrap();
    let mut command = home.command(&["auth", "login", "alice", "--password-stdin"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"correct horse battery\n").unwrap();
    let _waiting = listener.accept().unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    check_fails(&output, 130, "interrupted");
}

fn with_stdin(command: &mut Command, bytes: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses before it reads has closed its end.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), bytes);
    child.wait_with_output().unwrap()
}
