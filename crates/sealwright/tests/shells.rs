//! Completion as real shells do it, and manual pages as real readers read them. No server is needed.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Bounded, whatever the server does.
const SOON: Duration = Duration::from_secs(10);

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// With two contexts and, at the current one, a user who has seen two enclaves; its server accepts and says nothing.
    fn new() -> (Self, std::net::TcpListener) {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let config = home.folder.path().join(".config/sealwright/contexts");
        std::fs::create_dir_all(&config).unwrap();
        let context = serde_json::json!({
            "format": "sealwright/context/v1",
            "gateway": format!("https://{address}"),
            "edge": address.to_string(),
            "trust_domain": "sealwright.internal",
            "anchors": [],
            "simulated": "refused",
        });
        for name in ["work", "home"] {
            std::fs::write(config.join(format!("{name}.json")), context.to_string()).unwrap();
        }
        assert!(home.run("sealwright context use work").status.success());
        let path = config.join("work.json");
        client::Profile::open_or_create(&path, &"alice".parse().unwrap()).unwrap();
        let users = config.join("work.users");
        std::fs::write(users.join(".current"), "alice\n").unwrap();
        let session = serde_json::json!({
            "access_token": "a", "refresh_token": "r", "expires_at": u32::MAX, "user": {"id": "1", "name": "alice"},
        });
        let pin = |id: u8| {
            serde_json::json!({
                "id": format!("{id:02x}").repeat(16),
                "version": {"digest": "00".repeat(32), "source": "first_use"},
                "incarnation": 1,
            })
        };
        let memory = serde_json::json!({"enclaves": {"notes": pin(1), "numbers": pin(2)}});
        for (name, json) in [("session.json", session), ("memory.json", memory)] {
            write_private(&users.join("alice").join(name), &json.to_string());
        }
        (home, silent)
    }

    /// A line for bash, with our program on the PATH and nothing of this machine's user.
    fn run(&self, line: &str) -> Output {
        self.shell("bash", &["--noprofile", "--norc", "-c", line])
    }

    fn shell(&self, shell: &str, arguments: &[&str]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_sealwright")).parent().unwrap().to_owned();
        let path = std::env::var("PATH").unwrap();
        Command::new(shell)
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", format!("{}:{path}", program.display()))
            .current_dir(self.folder.path())
            .output()
            .unwrap_or_else(|error| panic!("{shell}: {error}: scripts/install.sh test brings it"))
    }
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What bash offers for the last of these words.
fn bash(home: &Home, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <(sealwright completion bash)\n\
         COMP_WORDS=({words}); COMP_CWORD={last}; COMP_TYPE=9\n\
         _clap_complete_sealwright sealwright '{current}' '{before}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words = quoted.join(" "),
        last = words.len() - 1,
        current = words[words.len() - 1],
        before = words[words.len() - 2],
    );
    let output = home.run(&script);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "no noise");
    lines(&output)
}

#[test]
fn bash_completes_verbs_flags_and_names_of_what_is_there() {
    let (home, _silent) = Home::new();
    assert_eq!(bash(&home, &["sealwright", "enc"]), ["enclave"]);
    assert_eq!(bash(&home, &["sealwright", "enclave", "conn"]), ["connect"]);
    let offered = bash(&home, &["sealwright", "context", "use", ""]);
    let names: Vec<&String> = offered.iter().filter(|word| !word.starts_with('-')).collect();
    assert_eq!(names, ["home", "work"]);
    assert_eq!(bash(&home, &["sealwright", "--context", "w"]), ["work"]);
    assert_eq!(bash(&home, &["sealwright", "--user", ""]), ["alice"]);
    assert!(bash(&home, &["sealwright", "enclave", "create", "--"]).contains(&"--app".to_owned()));
}

#[test]
fn a_silent_server_delays_a_completion_only_so_long_and_what_was_seen_is_offered() {
    let (home, _silent) = Home::new();
    let began = Instant::now();
    assert_eq!(bash(&home, &["sealwright", "enclave", "show", "n"]), ["notes", "numbers"]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn nothing_is_offered_and_nothing_is_said_where_nobody_is_logged_in() {
    let (home, _silent) = Home::new();
    std::fs::remove_dir_all(home.folder.path().join(".config")).unwrap();
    assert_eq!(bash(&home, &["sealwright", "enclave", "show", "n"]), Vec::<String>::new());
}

#[test]
fn zsh_takes_the_script_and_asks_the_same_engine() {
    let (home, _silent) = Home::new();
    // The widgets need a terminal; the script's question and our answer to it do not.
    let script = "autoload -Uz compinit; compinit -u -d \"$HOME/.dump\"; source <(sealwright completion zsh); \
                  print -r -- ${_comps[sealwright]}; \
                  SEALWRIGHT_COMPLETE=zsh _CLAP_IFS=$'\\n' _CLAP_COMPLETE_INDEX=3 sealwright -- sealwright enclave show no";
    let output = home.shell("zsh", &["--no-rcs", "-c", script]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(lines(&output), ["_clap_dynamic_completer_sealwright", "notes"]);
}

#[test]
fn fish_completes_too() {
    let (home, _silent) = Home::new();
    let script = "sealwright completion fish | source; complete -C 'sealwright enclave show nu'";
    let output = home.shell("fish", &["--no-config", "-c", script]);
    assert_eq!(lines(&output), ["numbers"], "{}", String::from_utf8_lossy(&output.stderr));
}

fn pages(home: &Home) -> Vec<PathBuf> {
    let output = home.run("sealwright man --dir pages");
    assert!(output.status.success(), "{output:?}");
    let folder = home.folder.path().join("pages");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn there_is_a_manual_page_for_each_verb_and_mandoc_finds_no_error_in_it() {
    let (home, _silent) = Home::new();
    let pages = pages(&home);
    for name in
        ["sealwright.1", "sealwright-enclave.1", "sealwright-enclave-connect.1", "sealwright-auth-login.1"]
    {
        assert!(pages.iter().any(|page| page.ends_with(name)), "{name}: {pages:?}");
    }
    let mut mandoc = Command::new("mandoc");
    let output = mandoc.args(["-T", "lint", "-W", "error"]).args(&pages).output();
    let output = output.expect("mandoc: scripts/install.sh test brings it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let mut mandoc = Command::new("mandoc");
    let page = home.folder.path().join("pages/sealwright-enclave-connect.1");
    let text = mandoc.args(["-T", "utf8"]).arg(page).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("Open a door on this machine"), "{text}");
}

#[test]
fn a_mistyped_verb_is_answered_with_the_nearest_one() {
    let (home, _silent) = Home::new();
    for (typed, nearest) in
        [("enclve list", "enclave"), ("enclave conect notes", "connect"), ("contxt list", "context")]
    {
        let output = home.run(&format!("sealwright {typed}"));
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(&format!("'{nearest}'")), "{stderr}");
    }
}
