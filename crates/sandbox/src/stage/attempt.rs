//! What a probe runs in place of a facade: everything that a facade and its app would do, with nothing in them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, mount};
use workload::launch::{AppLaunch, Isolation};
use workload::{Endpoint, Resources};

use super::{NOT_ISOLATED, StageError, step};

/// The first argument; the second is the plan as JSON.
pub(crate) const STAGE: &str = "sandbox-attempt";
/// Part of every Linux file system hierarchy (FHS 3.0, 3.12), and covered only inside the namespace.
const PLACE: &str = "/mnt";

pub(crate) fn run(arguments: &[OsString]) -> Result<u8, StageError> {
    let unreadable = || step("read the plan")(io::Error::from(io::ErrorKind::InvalidInput));
    let [plan] = arguments else { return Err(unreadable()) };
    let plan: Isolation =
        plan.to_str().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(unreadable)?;
    let app = app().map_err(|()| unreadable())?;
    crate::prepare_enclave(&plan, &app.endpoint)?;
    if plan.own_root {
        prepare(&app)?;
        crate::prepare_root(&plan, &app)?;
    }
    let output = crate::command::app_command_of(Path::new(crate::OWN_PROGRAM), &plan, &app, true)
        .and_then(|mut command| command.output())
        .map_err(step("start the app's stage"))?;
    io::Write::write_all(&mut io::stderr(), &output.stderr).map_err(step("report"))?;
    Ok(output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_ISOLATED))
}

fn app() -> Result<AppLaunch, ()> {
    Ok(AppLaunch {
        root: format!("{PLACE}/copy"),
        mount_point: format!("{PLACE}/root"),
        command: "/none".parse().map_err(drop)?,
        args: vec![],
        env: std::collections::BTreeMap::new(),
        endpoint: Endpoint::Port(80),
        writable: vec!["/tmp".parse().map_err(drop)?],
        resources: Resources::default(),
        groups: vec![],
    })
}

/// An empty copy.
fn prepare(app: &AppLaunch) -> Result<(), StageError> {
    mount("tmpfs", PLACE, "tmpfs", MountFlags::NOSUID, Some(c"mode=0755")).map_err(step("mount a tmpfs"))?;
    fs::create_dir(&app.mount_point).map_err(step("make a folder"))?;
    ["", "/dev", "/proc", "/tmp"]
        .into_iter()
        .try_for_each(|name| fs::create_dir(format!("{}{name}", app.root)))
        .map_err(step("make a folder"))
}
