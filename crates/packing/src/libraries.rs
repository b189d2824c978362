//! Finds the shared objects and the loader that ELF files need, where the loader itself would find them.
//!
//! What a program opens at run time by name (`dlopen`: name services, character sets, plug-ins) can't be seen here
//! and is listed by hand in `app.yaml`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use workload::FilePath;

use crate::elf::{MAGIC, Wants, wants};
use crate::plan::{PackError, Plan, Planned};

/// Where loaders look without configuration: Debian's, then everybody's.
const DEFAULT_DIRECTORIES: [&str; 10] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
];
/// Those of [`DEFAULT_DIRECTORIES`] that a loader searches without its cache file.
const SEARCHED_WITHOUT_CACHE: usize = 8;
const CONFIGURATION: &str = "/etc/ld.so.conf.d";
const MAX_ELF: u64 = 1 << 30;

/// A directory of the host, and the one of the app that stands for it.
struct Place {
    host: PathBuf,
    app: String,
}

/// Adds all that the files marked `libraries` need.
pub(crate) fn add_libraries(plan: &mut Plan) -> Result<(), PackError> {
    let mut queue: Vec<(FilePath, PathBuf)> = Vec::new();
    for (path, planned) in &plan.0 {
        if let Planned::File { source, libraries: true, .. } = planned {
            queue.push((path.clone(), source.clone()));
        }
    }
    let configured = configured_directories();
    let mut found: BTreeSet<(String, (u16, bool))> = BTreeSet::new();
    while let Some((path, source)) = queue.pop() {
        let Some(wants) = read_wants(&source)? else { continue };
        if let Some(interpreter) = &wants.interpreter {
            let named = |error| PackError::Name { path: source.clone(), source: Some(error) };
            let to: FilePath = interpreter.parse().map_err(named)?;
            // libc names the loader among its shared objects; it is loaded by then.
            let name = interpreter.rsplit('/').next().unwrap_or(interpreter);
            found.insert((name.to_owned(), wants.kind));
            queue.extend(add_file(plan, to, Path::new(interpreter))?);
        }
        let own = own_places(&wants, &path, &source);
        for name in &wants.needed {
            let key = (name.clone(), wants.kind);
            if own.is_empty() && found.contains(&key) {
                continue;
            }
            let (host, to) = find(name, &wants, &own, &configured)
                .ok_or_else(|| PackError::Library { name: name.clone(), needed_by: path.clone() })?;
            queue.extend(add_file(plan, to, &host)?);
            found.insert(key);
        }
    }
    Ok(())
}

/// Adds one object unless the path is taken: what `app.yaml` puts there wins. Returns it if it is new.
fn add_file(plan: &mut Plan, to: FilePath, host: &Path) -> Result<Option<(FilePath, PathBuf)>, PackError> {
    if plan.0.contains_key(&to) {
        return Ok(None);
    }
    let metadata = fs::metadata(host).map_err(|source| PackError::Io { path: host.to_owned(), source })?;
    let executable = metadata.permissions().mode() & 0o111 != 0;
    plan.add(to.clone(), Planned::File { source: host.to_owned(), executable, libraries: false })?;
    Ok(Some((to, host.to_owned())))
}

fn read_wants(source: &Path) -> Result<Option<Wants>, PackError> {
    let io = |error| PackError::Io { path: source.to_owned(), source: error };
    let mut magic = [0u8; 4];
    let mut file = fs::File::open(source).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size < 64 || std::io::Read::read_exact(&mut file, &mut magic).is_err() || magic != MAGIC {
        return Ok(None);
    }
    if size > MAX_ELF {
        return Err(PackError::Elf(source.to_owned()));
    }
    let bytes = fs::read(source).map_err(io)?;
    wants(&bytes).map(Some).ok_or_else(|| PackError::Elf(source.to_owned()))
}

/// The directories that the file itself names, with `$ORIGIN` (ld.so(8)) on both sides.
fn own_places(wants: &Wants, path: &FilePath, source: &Path) -> Vec<Place> {
    let real = fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
    let host_origin = real.parent().unwrap_or(Path::new("/")).to_owned();
    let app_origin = path.parent().map_or_else(|| "/".to_owned(), |parent| parent.as_str().to_owned());
    let expand = |text: &str, origin: &str| text.replace("${ORIGIN}", origin).replace("$ORIGIN", origin);
    wants
        .directories
        .iter()
        .map(|text| Place {
            host: expand(text, &host_origin.to_string_lossy()).into(),
            app: expand(text, &app_origin),
        })
        .collect()
}

fn find(name: &str, wants: &Wants, own: &[Place], configured: &[PathBuf]) -> Option<(PathBuf, FilePath)> {
    if name.contains('/') {
        return None;
    }
    let fits = |host: &Path| match read_wants(host) {
        Ok(Some(found)) => found.kind == wants.kind,
        Ok(None) | Err(_) => false,
    };
    for place in own {
        let host = place.host.join(name);
        if fits(&host) {
            return Some((host, normalised(&place.app, name)?));
        }
    }
    for directory in DEFAULT_DIRECTORIES.iter().take(SEARCHED_WITHOUT_CACHE) {
        let host = Path::new(directory).join(name);
        if fits(&host) {
            return Some((host, normalised(directory, name)?));
        }
    }
    // The copy has no loader cache, so what only the cache knows is put where the loader looks anyway.
    let rest = DEFAULT_DIRECTORIES.iter().skip(SEARCHED_WITHOUT_CACHE).map(PathBuf::from);
    for directory in rest.chain(configured.iter().cloned()) {
        let host = directory.join(name);
        if fits(&host) {
            return Some((host, normalised("/usr/lib", name)?));
        }
    }
    None
}

/// `directory/name` in its shortest form.
fn normalised(directory: &str, name: &str) -> Option<FilePath> {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(directory).components() {
        match component {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                parts.pop();
            }
            Component::Normal(part) => parts.push(part.to_str()?),
        }
    }
    parts.push(name);
    format!("/{}", parts.join("/")).parse().ok()
}

fn configured_directories() -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(CONFIGURATION) else { return Vec::new() };
    let mut directories = Vec::new();
    for file in files.flatten() {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        directories
            .extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    directories.sort();
    directories
}
