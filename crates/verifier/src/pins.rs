//! The file of pins: JSON, bounded, written whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::nodes::{MAX_NODES, Pins};

const FILE: &str = "nodes.json";
/// A line per node of a name and a digest.
const MAX_FILE: u64 = MAX_NODES as u64 * 160;

pub(crate) fn load(folder: &Path) -> io::Result<Pins> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file = match File::open(folder.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pins::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

pub(crate) fn save(folder: &Path, pins: &Pins) -> io::Result<()> {
    let temporary = folder.join("nodes.json.new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(pins).map_err(io::Error::other)?)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}
