//! The secrets rule: private files are private, and no password or token is in a log, a command line or an environment.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fixtures::{Access, Server};
use serde_json::Value;
use testbed::{PASSWORD, Up, User, World};

const WRONG_PASSWORD: &str = "not the password but as long";
/// How every JWS begins: `{"` in base64url.
const JWS: &str = "eyJ";

fn used<'a>(world: &'a World, name: &str) -> User<'a> {
    let user = world.user(name);
    user.sign_up();
    user.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    user.ok(&["enclave", "create", "notes", "--app", "hello"]);
    user.get("notes", "/");
    let wrong =
        user.run_with(&["auth", "login", name, "--password-stdin"], format!("{WRONG_PASSWORD}\n").as_bytes());
    assert_ne!(wrong.code, 0);
    user.log_in();
    user.get("notes", "/");
    user
}

/// Everything below a folder, with what may be done with it by whom after all its folders' modes.
fn walk(folder: &Path, passable: u32, found: &mut Vec<(PathBuf, fs::FileType, u32)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let mode = metadata.permissions().mode();
        if metadata.is_dir() {
            walk(&path, passable & mode, found);
        } else {
            // Execution of a folder lets its class pass: 0o010 for the group, 0o001 for others.
            let group = if passable & 0o010 == 0 { 0 } else { mode & 0o070 };
            let others = if passable & 0o001 == 0 { 0 } else { mode & 0o007 };
            found.push((path, metadata.file_type(), group | others));
        }
    }
}

fn is_public(relative: &Path) -> bool {
    let text = relative.to_string_lossy();
    // A lock and two numbers; public keys; measured copies, whose files are whose publisher wrote them.
    ["lock", "ports.json", "run/jwks.json"].contains(&text.as_ref()) || text.starts_with("apps/")
}

/// The launch file names no secret, and its group is the one enclave's user.
fn is_launch_file(relative: &Path) -> bool {
    relative.starts_with("enclaves") && relative.ends_with("facade.yaml")
}

/// The original kept its secret in the folder that its guide told people to apply, in a form that could not be read (portal.md 1.1, defect 11).
#[test]
fn private_files_are_private() {
    let world = World::new();
    let _up = world.up();
    used(&world, "alice");
    let data = world.data();
    let mode = fs::metadata(&data).unwrap().permissions().mode();
    let mut found = Vec::new();
    walk(&data, mode, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for (path, kind, allowed) in found {
        let relative = path.strip_prefix(&data).unwrap();
        if kind.is_socket() {
            let open = relative == Path::new("run/agent.sock") || relative.starts_with("enclaves");
            assert!(allowed & 0o022 == 0 || open, "{} may be opened by others", relative.display());
        } else if kind.is_file() {
            assert_eq!(allowed & 0o022, 0, "{} may be written by others", relative.display());
            let fine = is_public(relative) || (is_launch_file(relative) && allowed & 0o007 == 0);
            assert!(allowed & 0o044 == 0 || fine, "{} may be read by others", relative.display());
        }
    }
}

/// The texts of a JSON document that are long enough to be secret.
fn long_texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= 20 => found.push(text.clone()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::Array(values) => values.iter().for_each(|value| long_texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| long_texts(value, found)),
    }
}

fn secrets(world: &World, user: &str) -> Vec<String> {
    let session = world.data().join("client/context.users").join(user).join("session.json");
    let session: Value = serde_json::from_slice(&fs::read(session).unwrap()).unwrap();
    let mut secrets = vec![PASSWORD.to_owned(), WRONG_PASSWORD.to_owned()];
    for field in ["access_token", "refresh_token"] {
        let before = secrets.len();
        long_texts(&session[field], &mut secrets);
        assert!(secrets.len() > before, "the session has no {field}");
    }
    secrets
}

/// The password of a database elsewhere is in its file and nowhere else.
#[test]
fn the_databases_password_is_in_no_log_command_line_environment_or_file_of_the_server() {
    let server = Server::start(Access::Port);
    let world = World::logging("trace");
    let password_file = world.path("database-password");
    fs::write(&password_file, server.password()).unwrap();
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600)).unwrap();
    let url = server.by_port(&server.new_database());
    let url = format!("{url}?password_file={}", password_file.display());
    let up = world.begin(Some(&format!("database: \"{url}\"\n"))).ready();
    used(&world, "alice");
    let secrets = [server.password().to_owned()];
    check_processes(&up, &secrets);
    assert_eq!(up.interrupt().code, Some(0));
    assert!(!world.logs().contains(&secrets[0]), "the password is in the log");
    let mut found = Vec::new();
    walk(&world.data(), 0, &mut found);
    for (path, kind, _) in found {
        let shown = kind.is_file() && contains(&fs::read(&path).unwrap(), &secrets[0]);
        assert!(!shown, "the password is in {}", path.display());
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn check_processes(up: &Up, secrets: &[String]) {
    for found in up.tree() {
        for name in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{}/{name}", found.process.pid)).unwrap_or_default();
            for secret in secrets.iter().map(String::as_str).chain([JWS]) {
                assert!(!contains(&bytes, secret), "a secret is in the {name} of {}", found.command);
            }
        }
    }
}

#[test]
fn no_password_or_token_is_in_a_log_a_command_line_an_environment_or_the_servers_files() {
    let world = World::logging("trace");
    let up = world.up();
    let alice = used(&world, "alice");
    let secrets = secrets(&world, "alice");
    check_processes(&up, &secrets);
    // The app sees who asks, and not with which token.
    assert!(!alice.get("notes", "/").contains(JWS));
    alice.ok(&["auth", "logout"]);
    let output = alice.run(&["enclave", "list"]);
    assert_eq!(output.code, 4);
    assert_eq!(up.interrupt().code, Some(0));

    let logs = world.logs();
    assert!(logs.contains("signed up"), "the log tells nothing");
    for secret in secrets.iter().map(String::as_str).chain([JWS]) {
        let line = logs.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret is in the log");
    }
    let mut found = Vec::new();
    walk(&world.data(), 0, &mut found);
    for (path, kind, _) in found {
        let of_client = path.starts_with(world.data().join("client"));
        if of_client || !kind.is_file() {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for secret in &secrets {
            assert!(!contains(&bytes, secret), "a secret is in {}", path.display());
        }
        if path.extension().is_some_and(|extension| extension == "log") {
            assert!(!contains(&bytes, JWS), "a token is in {}", path.display());
        }
    }
}
