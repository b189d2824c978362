//! `doctor`: what this machine has, what it lacks, why that matters, and how to mend it. Each thing is tried, not guessed.

mod folder;
mod isolation;
mod tpm;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::context;
use crate::arguments::Globals;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{Colour, print, tame};

/// Most of a foreign program's first line that is shown.
const LINE_CHARS: usize = 80;

/// How bad it is when something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Weight {
    /// `up` does not work without it.
    Needed,
    /// It works without it, with less isolation or comfort.
    Wanted,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Serialize)]
struct Finding {
    name: String,
    weight: Weight,
    ok: bool,
    found: String,
    /// Why it matters, where it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn of(name: &str, weight: Weight, found: Result<String, String>, mend: &str) -> Self {
        let (ok, found) = match found {
            Ok(found) => (true, found),
            Err(missing) => (false, missing),
        };
        Self { name: name.to_owned(), weight, ok, found, why: None, mend: (!ok).then(|| mend.to_owned()) }
    }

    /// Says why it matters; kept only where something is wrong.
    fn because(self, why: &str) -> Self {
        let why = (!self.ok).then(|| why.to_owned());
        Self { why, ..self }
    }
}

pub(crate) async fn run(globals: &Globals, data: &Path) -> Result<(), Failure> {
    let mut findings = vec![version()];
    findings.extend(programs());
    findings.push(facade());
    findings.push(writable(data));
    findings.extend(folder::look(data).await);
    findings.push(port());
    findings.extend(tpm::look());
    findings.extend(isolation::look(&sandbox::probe(Path::new(sandbox::OWN_PROGRAM))));
    findings.extend(server(globals).await);
    print(globals.output, &findings, || render(&findings, Colour::of_stdout()))?;
    match findings.iter().filter(|finding| !finding.ok && finding.weight == Weight::Needed).count() {
        0 => Ok(()),
        missing => Err(Failure::new(ExitCode::Failed, format!("{missing} needed things are missing"))),
    }
}

fn render(findings: &[Finding], colour: Colour) -> String {
    let mut text = String::new();
    for finding in findings {
        let state = match (finding.ok, finding.weight) {
            (true, _) => colour.green("ok     "),
            (false, Weight::Needed) => colour.red("MISSING"),
            (false, Weight::Wanted) => "missing".to_owned(),
        };
        text.push_str(format!("{state}  {:<24} {}", tame(&finding.name), tame(&finding.found)).trim_end());
        text.push('\n');
        if let Some(why) = &finding.why {
            text.push_str(&format!("         why it matters: {}\n", tame(why)));
        }
        if let Some(mend) = &finding.mend {
            text.push_str(&format!("         to mend it: {}\n", tame(mend)));
        }
    }
    text
}

fn version() -> Finding {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let found = format!("{} on Linux {}", env!("CARGO_PKG_VERSION"), kernel.trim());
    Finding::of("sealwright", Weight::Wanted, Ok(found), "")
}

fn programs() -> Vec<Finding> {
    let install = |package: &str| format!("apt-get install {package}; without root: scripts/install.sh demo");
    [
        ("swtpm", "swtpm", Weight::Needed, "the software TPM, unless `up` has a device"),
        ("swtpm_setup", "swtpm-tools", Weight::Needed, "it makes the software TPM"),
        ("setpriv", "util-linux", Weight::Needed, "it ends the software TPM with `up`"),
    ]
    .into_iter()
    .map(|(program, package, weight, why)| {
        Finding::of(program, weight, program_version(program), &install(package)).because(why)
    })
    .collect()
}

fn program_version(program: &str) -> Result<String, String> {
    let path = on_path(program).ok_or_else(|| "not on the PATH".to_owned())?;
    let output =
        Command::new(&path).arg("--version").stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line: String = said.lines().next().unwrap_or_default().chars().take(LINE_CHARS).collect();
    Ok(format!("{} ({})", path.display(), line.trim()))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn facade() -> Finding {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("sealwright-facade")));
    let found = match beside {
        Some(path) if is_executable(&path) => Ok(path.display().to_string()),
        Some(path) => Err(format!("{} is not there", path.display())),
        None => Err("this program does not know where it is".into()),
    };
    Finding::of(
        "sealwright-facade",
        Weight::Needed,
        found,
        "cargo build -p facade, or install both programs together",
    )
    .because("it is the part inside each enclave")
}

/// The folder itself, or what is there of the way to it.
fn existing(data: &Path) -> &Path {
    let existing = data.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    if existing.as_os_str().is_empty() { Path::new(".") } else { existing }
}

fn writable(data: &Path) -> Finding {
    let mend = "choose another one with --data DIR, or give it to this user";
    // Made and removed: permissions, read-only mounts and full disks all show.
    let attempt = existing(data).join(format!(".sealwright-doctor-{}", std::process::id()));
    let found = std::fs::write(&attempt, b"x").and_then(|()| std::fs::remove_file(&attempt));
    let found =
        found.map(|()| format!("{} can be written", data.display())).map_err(|error| error.to_string());
    Finding::of("data folder", Weight::Needed, found, mend).because("`up` keeps everything there")
}

fn port() -> Finding {
    let found = TcpListener::bind(("127.0.0.1", 0)).map(|_| "127.0.0.1 gives ports".to_owned());
    let mend = "bring the loopback interface up: ip link set lo up";
    Finding::of("loopback", Weight::Needed, found.map_err(|error| error.to_string()), mend)
        .because("gateway and edge listen there by default")
}

async fn server(globals: &Globals) -> Vec<Finding> {
    let setting = match context::state(globals) {
        Ok(Some(setting)) => setting,
        Ok(None) => {
            let none = Err("there is none yet".to_owned());
            return vec![Finding::of("context", Weight::Wanted, none, "sealwright up writes one")];
        }
        Err(failure) => {
            let found = Err(failure.render().lines().collect::<Vec<_>>().join("; "));
            return vec![Finding::of("context", Weight::Wanted, found, "sealwright context use FILE")];
        }
    };
    let found = Ok(setting.path.display().to_string());
    let mut findings = vec![Finding::of("context", Weight::Wanted, found, "")];
    let url = setting.context.gateway.url();
    let answers = match setting.gateway(globals) {
        Ok(mut gateway) => match gateway.me().await {
            Ok(user) => Ok(format!("{url} knows {}", user.name)),
            Err(error) if error.fault() == client::Fault::LogInFirst => {
                Ok(format!("{url} answers; log in first"))
            }
            Err(error) => Err(Failure::from(error).render().lines().collect::<Vec<_>>().join("; ")),
        },
        Err(_) => Ok(format!("{url}, not tried: nobody has logged in here")),
    };
    findings.push(Finding::of("gateway", Weight::Wanted, answers, "sealwright up"));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_thing_comes_with_its_mend() {
        let findings = [
            Finding::of("swtpm", Weight::Needed, Err("not on the PATH".into()), "apt-get install swtpm"),
            Finding::of("context", Weight::Wanted, Ok("x".into()), "never shown"),
        ];
        let findings = findings.map(|finding| finding.because("the software TPM"));
        let expected = "MISSING  swtpm                    not on the PATH\n\
            \x20        why it matters: the software TPM\n\
            \x20        to mend it: apt-get install swtpm\n\
            ok       context                  x\n";
        assert_eq!(render(&findings, Colour::Plain), expected);
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_is_judged_by_its_parent() {
        assert!(writable(&std::env::temp_dir().join("not/yet/there")).ok);
        assert!(!writable(Path::new("/proc/nowhere")).ok);
    }
}
