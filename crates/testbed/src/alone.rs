//! A test in a process and a mount namespace of its own.

use std::process::Command;

/// Says that this process is the one in the namespace.
const VARIABLE: &str = "SEALWRIGHT_TEST_ALONE";

/// Whether the test of this name may go on: it runs in a mount namespace of its own. Elsewhere it is run there, to its end,
/// by a second process of the same tests.
///
/// # Panics
/// Where the test fails there, or where nobody but root could run it.
#[must_use]
pub fn alone(test: &str) -> bool {
    if std::env::var_os(VARIABLE).is_some() {
        return true;
    }
    let own = std::env::current_exe().expect("a test has an executable");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]);
    command.args(["--mount", "--propagation", "private", "--"]).arg(own).args([
        "--exact",
        test,
        "--nocapture",
    ]);
    let done = command.env(VARIABLE, "1").output().expect("unshare runs");
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{said}");
    assert!(done.status.success() && said.contains("1 passed"), "{test} did not pass alone");
    false
}
