//! A facade for the tests of this crate: it makes namespaces as the real one does, and is then the shell script that
//! the test has written beside the folder of enclaves.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    sandbox::take_over();
    let Some(launch) = std::env::args_os().nth(2) else { return ExitCode::FAILURE };
    // WORLD/enclaves/ID/facade.yaml
    let Some(world) = Path::new(&launch).ancestors().nth(3) else { return ExitCode::FAILURE };
    let error = Command::new("/bin/sh").arg(world.join("facade.sh")).args(std::env::args_os().skip(1)).exec();
    eprintln!("{error}");
    ExitCode::FAILURE
}
