//! The node's TPM and what it has seen: a device with the kernel's own logs, or a software TPM into which a sample boot
//! is extended. The latter is simulated, and every level that follows from it says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agent::simulated;
use anyhow::{Context, Result};
use appraisal::Policy;
use appraisal::node::{Binary, NodePolicy, named_digest};
use evidence::{ENCLAVE_LOG_PCR, IMA_PCR};
use hardware::{Anchors, CharDevice, OwnerThread, SoftwareTpm, Tpm, TpmHandle};
use logs::bank::Bank;
use logs::boot::BootLog;
use logs::ima::ImaLog;
use names::{Digest, Level};

use crate::Layout;

const SAMPLE_BOOT_LOG: &[u8] = include_bytes!("../../../testdata/tpm/ubuntu-2404-amd-sevsnp.bin");
const SAMPLE_IMA_LIST: &[u8] = include_bytes!("../../../testdata/ima/ascii_runtime_measurements");
/// Where a kernel shows its logs.
const KERNEL_BOOT_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";
const KERNEL_IMA_LIST: &str = "/sys/kernel/security/ima/ascii_runtime_measurements";

/// Which TPM the node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TpmChoice {
    /// A software TPM in the data folder.
    Software,
    /// A character device.
    Device(PathBuf),
}

/// A booted node: its TPM, its logs, and the policy that allows what is there.
pub(crate) struct Booted {
    pub(crate) tpm: TpmHandle,
    pub(crate) owner: OwnerThread,
    /// Certificates of the software TPM's CA; `None` for a device, whose vendor the operator must trust by file.
    pub(crate) anchors: Option<Anchors>,
    pub(crate) level: Level,
    pub(crate) boot_log: PathBuf,
    pub(crate) ima_list: PathBuf,
    pub(crate) policy: NodePolicy,
}

/// The binaries that the node policy looks for.
pub(crate) struct Binaries {
    pub(crate) agent: Binary,
    pub(crate) facade: Binary,
}

impl Binaries {
    pub(crate) fn read(agent: &Path, facade: &Path) -> Result<Self> {
        let binary = |path: &Path| -> Result<Binary> {
            let path = path.canonicalize().with_context(|| format!("find {}", path.display()))?;
            let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            Ok(Binary { path: path.to_string_lossy().replace(' ', "_"), digest: Digest::of(&bytes) })
        };
        Ok(Self { agent: binary(agent)?, facade: binary(facade)? })
    }
}

/// Starts the TPM and finds the logs. Blocks: not for async tasks.
pub(crate) fn boot(layout: &Layout, choice: &TpmChoice, binaries: &Binaries) -> Result<Booted> {
    match choice {
        TpmChoice::Software => boot_software(layout, binaries),
        TpmChoice::Device(path) => boot_device(layout, path, binaries),
    }
}

fn boot_software(layout: &Layout, binaries: &Binaries) -> Result<Booted> {
    let device = SoftwareTpm::start(&layout.tpm()).context("start the software TPM")?;
    let anchors = device.anchors().clone();
    let mut tpm = Tpm::start(device).context("start the software TPM")?;
    let (boot_log, ima_list) = (layout.boot_log(), layout.ima_list());
    let policy = boot_software_at(&mut tpm, &boot_log, &ima_list, binaries)?;
    let (tpm, owner) = hardware::owner::start(tpm).context("start the TPM's owner")?;
    let level = Level::Simulated;
    Ok(Booted { tpm, owner, anchors: Some(anchors), level, boot_log, ima_list, policy })
}

/// Extends the sample boot into a software TPM that was just reset, and writes the logs where an agent reads them.
pub(crate) fn boot_software_at(
    tpm: &mut Tpm,
    boot_log: &Path,
    ima_list: &Path,
    binaries: &Binaries,
) -> Result<NodePolicy> {
    let files = [&binaries.agent, &binaries.facade].map(|binary| (binary.path.clone(), binary.digest));
    let list = simulated::ima_list(SAMPLE_IMA_LIST, &files).context("make the simulated IMA list")?;
    simulated::boot(tpm, SAMPLE_BOOT_LOG, &list).context("extend the simulated boot")?;
    std::fs::write(boot_log, SAMPLE_BOOT_LOG).context("write the simulated boot log")?;
    std::fs::write(ima_list, &list).context("write the simulated IMA list")?;
    policy_of(SAMPLE_BOOT_LOG, &list, "simulated sample boot", binaries)
}

/// The kernel's own logs. The node policy is the operator's file; where there is none yet, it is made from this boot, which
/// is the first one seen.
fn boot_device(layout: &Layout, path: &Path, binaries: &Binaries) -> Result<Booted> {
    let device = CharDevice::open(path).with_context(|| format!("open TPM {}", path.display()))?;
    let tpm = Tpm::start(device).with_context(|| format!("start TPM {}", path.display()))?;
    let (boot_log, ima_list) = (PathBuf::from(KERNEL_BOOT_LOG), PathBuf::from(KERNEL_IMA_LIST));
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    let policy = match std::fs::read(layout.node_policy()) {
        Ok(kept) => serde_json::from_slice(&kept).context("read the node policy")?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            policy_of(&read(&boot_log)?, &read(&ima_list)?, "first boot seen", binaries)?
        }
        Err(error) => return Err(error).context("read the node policy"),
    };
    let (tpm, owner) = hardware::owner::start(tpm).context("start the TPM's owner")?;
    Ok(Booted { tpm, owner, anchors: None, level: Level::Tpm, boot_log, ima_list, policy })
}

/// A policy that allows exactly what these logs show, and the two binaries. The operator's word, at first use.
pub(crate) fn policy_of(
    boot_log: &[u8],
    ima_list: &[u8],
    id: &str,
    binaries: &Binaries,
) -> Result<NodePolicy> {
    let boot = BootLog::parse(boot_log).context("read the boot log")?;
    let values = boot.replay(Bank::Sha256).context("the boot log has no SHA-256 bank")?;
    let stand_still =
        Policy::DEFAULT_PCRS.into_iter().filter(|pcr| ![IMA_PCR, ENCLAVE_LOG_PCR].contains(pcr));
    let mut boot_pcrs = BTreeMap::new();
    for pcr in stand_still {
        let value = values.get(u32::from(pcr)).context("the boot log has no such register")?;
        let value: [u8; 32] = value.as_bytes().try_into().context("the bank is not SHA-256")?;
        boot_pcrs.insert(pcr, vec![Digest::from_bytes(value)]);
    }
    let own = [binaries.agent.path.as_bytes(), binaries.facade.path.as_bytes()];
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in ImaLog::parse_ascii(ima_list).context("read the IMA list")?.entries() {
        if !own.contains(&entry.path()) {
            let path = String::from_utf8_lossy(entry.path()).into_owned();
            files.entry(path).or_default().insert(named_digest(entry));
        }
    }
    Ok(NodePolicy {
        id: id.to_owned(),
        pcrs: Policy::DEFAULT_PCRS.to_vec(),
        boot_pcrs,
        secure_boot: false,
        files,
        excluded: Vec::new(),
        agents: vec![binaries.agent.clone()],
        facades: vec![binaries.facade.clone()],
    })
}
