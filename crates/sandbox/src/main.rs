//! The stages as a program of their own, for the tests of this crate. What runs enclaves is the facade's binary.

fn main() -> std::process::ExitCode {
    sandbox::take_over();
    eprintln!("this program is started by the tests of crate sandbox");
    std::process::ExitCode::from(2)
}
