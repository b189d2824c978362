//! The data folder: one path for each thing, made with mode 0700, held by one process at a time.

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Paths below the data folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        impl Layout {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> PathBuf { self.root.join($path) })*
        }
    };
}

paths! {
    /// Users, sessions, apps, enclaves.
    database = "db.sqlite";
    /// State of the software TPM and its CA's certificates.
    tpm = "tpm";
    /// Enclave log and node logs.
    agent = "agent";
    /// The boot log as the agent reads it.
    boot_log = "agent/binary_bios_measurements";
    /// The IMA list as the agent reads it.
    ima_list = "agent/ascii_runtime_measurements";
    /// The CA's root certificate and key blobs.
    ca = "ca";
    /// The root's certificate in PEM, for clients.
    ca_file = "ca/root.pem";
    /// What the verifier remembers.
    verifier = "verifier";
    /// The node policy, JSON.
    node_policy = "verifier/node-policy.json";
    /// Files of apps, by digest.
    blobs = "blobs";
    /// Measured copies, by version digest.
    apps = "apps";
    /// One folder an enclave.
    enclaves = "enclaves";
    /// Sockets, and public keys for tokens.
    run = "run";
    /// Facades ask here.
    agent_socket = "run/agent.sock";
    /// The controller announces here.
    admin_socket = "run/admin.sock";
    /// The controller.
    controller_socket = "run/controller.sock";
    /// The signer.
    signer_socket = "run/signer.sock";
    /// The verifier.
    verifier_socket = "run/verifier.sock";
    /// Seals second factors in the database.
    factors_key = "factors.key";
    /// Signs licence files.
    license_key = "license.key";
    /// Public keys of tokens.
    jwks = "run/jwks.json";
    /// The client's context.
    context = "client/context.json";
    /// Ports that were taken once and are kept.
    ports = "ports.json";
}

impl Layout {
    /// Makes the folders; those that enclaves' users must pass through are 0711, the rest 0700.
    ///
    /// # Errors
    /// What the file system says, and which folder.
    pub fn make(root: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o711).create(root).with_context(|| folder(root))?;
        let root = root.canonicalize().with_context(|| folder(root))?;
        set_mode(&root, 0o711)?;
        let layout = Self { root };
        for (path, mode) in [
            (layout.agent(), 0o700),
            (layout.ca(), 0o700),
            (layout.verifier(), 0o700),
            (layout.blobs(), 0o700),
            (layout.apps(), 0o711),
            (layout.enclaves(), 0o711),
            (layout.run(), 0o711),
        ] {
            DirBuilder::new().recursive(true).mode(mode).create(&path).with_context(|| folder(&path))?;
            set_mode(&path, mode)?;
        }
        Ok(layout)
    }

    /// The data folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Holds the folder for this process; another one that runs on it is named.
    ///
    /// # Errors
    /// Where another process holds it.
    pub fn lock(&self) -> Result<File> {
        let path = self.root.join("lock");
        // Who can open the file can hold the lock.
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!(
                    "{} is in use by another `sealwright up`: stop that one, or give --data another folder",
                    self.root.display()
                )
            }
            Err(std::fs::TryLockError::Error(error)) => Err(error).context("lock the data folder"),
        }
    }
}

/// Whatever the umask says.
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).with_context(|| folder(path))
}

fn folder(path: &Path) -> String {
    format!("make folder {}", path.display())
}
