//! docs/user-guide.md as a reader runs it: block after block, in one shell.

use std::fs;

use testbed::{World, repository};

/// The blocks marked `sh`, in their order.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

#[test]
fn the_user_guide_works_by_copy_and_paste() {
    let guide = fs::read_to_string(repository().join("docs/user-guide.md")).unwrap();
    let blocks = blocks(&guide);
    assert!(blocks.len() > 8, "{blocks:#?}");
    let world = World::new();
    let _up = world.up();
    let example = world.path("examples/hello");
    fs::create_dir_all(&example).unwrap();
    fs::copy(world.hello("hello", "1.0.0", "hi"), example.join("app.yaml")).unwrap();
    let script = blocks.join("\n");
    let said = world.bash(&format!("set -euxo pipefail\n{script}"));
    assert_eq!(said.code, 0, "{said:#?}");
    for expected in ["trusted: yes", "hi from inside the enclave", "a note", "hello"] {
        assert!(said.stdout.contains(expected), "{expected}: {}", said.stdout);
    }
    // What it promises about the door is what the door says.
    assert!(said.stderr.contains("connect: closed"), "{}", said.stderr);
}
