//! Each example is published, created, verified, and answers through its facade.

use testbed::{World, repository};

fn check(name: &str, needs: &str, path: &str, expected: &str) {
    // What is not of the machine is of the repository.
    if !repository().join(needs).exists() {
        let missing = format!("example {name} needs {needs}: scripts/install.sh test");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("NOT CHECKED: {missing}");
        return;
    }
    let world = World::new();
    let _up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    let file = repository().join("examples").join(name).join("app.yaml");
    let file = file.to_str().unwrap();
    let digest = alice.json(&["app", "digest", file])["digest"].clone();
    let published = alice.json(&["app", "publish", file]);
    assert_eq!(published["digest"], digest, "{published:#}");
    let enclave = alice.json(&["enclave", "create", "mine", "--app", name]);
    assert_eq!(enclave["version_digest"], digest);
    alice.verify("mine");
    let answer = alice.get("mine", path);
    assert!(answer.contains(expected), "{answer}");
}

#[test]
fn example_hello_answers() {
    check("hello", "target/debug/hello", "/", "hello from inside the enclave");
}

#[test]
fn example_files_answers() {
    check("files", "/usr/bin/python3.11", "/notes.txt", "part of the version digest");
}

#[test]
fn example_nginx_answers() {
    check("nginx", "/usr/sbin/nginx", "/", "Served by Debian's nginx");
}
