//! Node policies: what a node may boot and run, and the one way from `Verified` (purpose node) to [`TrustedNode`].

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use evidence::{Facts, PcrValues, Verified};
use logs::boot::BootLog;
use logs::ima::{Entry, ImaLog};
use names::{Digest, Level, SpiffeId, hex};
use serde::{Deserialize, Serialize};

/// A binary that a node policy allows and looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// Path as IMA measures it.
    pub path: String,
    /// SHA-256 of the file.
    pub digest: Digest,
}

/// What a node may boot and run. JSON in files; its digest is over that JSON in its one compact form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePolicy {
    /// Its name.
    pub id: String,
    /// The signed PCR selection must be exactly this, ascending.
    pub pcrs: Vec<u8>,
    /// Allowed values of the registers that stand still after boot. Each of them must be listed.
    pub boot_pcrs: BTreeMap<u8, Vec<Digest>>,
    /// Whether UEFI Secure Boot must have been on.
    #[serde(default)]
    pub secure_boot: bool,
    /// Files that may be measured, by path: digests as `algorithm:hex`.
    pub files: BTreeMap<String, BTreeSet<String>>,
    /// Paths below which anything may be measured (each ends in `/`).
    #[serde(default)]
    pub excluded: Vec<String>,
    /// Agents: allowed as files, and looked for.
    pub agents: Vec<Binary>,
    /// Facades: allowed as files, and looked for.
    pub facades: Vec<Binary>,
}

impl NodePolicy {
    /// SHA-256 of the policy's compact JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Maps and lists of texts always have a JSON form.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

macro_rules! refusals {
    ($($variant:ident $code:literal $text:literal)*) => {
        /// Why a node is refused.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum NodeRefused {
            $(#[doc = $text] #[error("{text}: {0}", text = $text)] $variant(String),)*
        }

        impl NodeRefused {
            /// The stable reason code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant(_) => $code,)* }
            }
        }

        /// Every reason code of node policies.
        pub const CODES: &[&str] = &[$($code),*];
    };
}

refusals! {
    Purpose "node_purpose" "the evidence is not about a node"
    Registers "node_pcr_selection" "the quote covers other registers than the node policy wants"
    BootRegister "node_boot_register" "a boot register has a value that the node policy does not allow"
    SecureBoot "node_secure_boot" "UEFI Secure Boot was off or is not in the boot log"
    Violation "node_ima_violation" "a file was changed while it was measured"
    UnknownFile "node_unknown_file" "a file was measured that the node policy does not know"
    ChangedFile "node_changed_file" "a file was measured with a digest that the node policy does not allow"
}

/// A node that runs what its policy allows. [`appraise_node`] is the only constructor; verdicts are signed against this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedNode {
    node: SpiffeId,
    ak_name: [u8; 34],
    level: Level,
    reset_count: u32,
    restart_count: u32,
    boot_pcrs: PcrValues,
    ima_position: u64,
    agent: Option<Digest>,
    facades: Vec<Digest>,
}

impl TrustedNode {
    /// Which node.
    #[must_use]
    pub const fn node(&self) -> &SpiffeId {
        &self.node
    }

    /// TPM name of the key that quoted.
    #[must_use]
    pub const fn ak_name(&self) -> &[u8; 34] {
        &self.ak_name
    }

    /// Level of the anchor that the quoting key's certificate leads to.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// TPM resets and restarts at the time of the quote.
    #[must_use]
    pub const fn counts(&self) -> (u32, u32) {
        (self.reset_count, self.restart_count)
    }

    /// Appraised values of the registers that stand still after boot.
    #[must_use]
    pub const fn boot_pcrs(&self) -> &PcrValues {
        &self.boot_pcrs
    }

    /// Entries of the IMA list that were appraised.
    #[must_use]
    pub const fn ima_position(&self) -> u64 {
        self.ima_position
    }

    /// The allowed agent that the list has; the last one if there are several.
    #[must_use]
    pub const fn agent(&self) -> Option<&Digest> {
        self.agent.as_ref()
    }

    /// The allowed facades that the list has.
    #[must_use]
    pub fn facades(&self) -> &[Digest] {
        &self.facades
    }
}

/// Judges a node by its policy.
///
/// # Errors
/// The first [`NodeRefused`], naming the register or file.
pub fn appraise_node(policy: &NodePolicy, verified: &Verified) -> Result<TrustedNode, NodeRefused> {
    let facts = verified.facts();
    let (Some(boot), Some(ima)) = (&facts.boot, &facts.ima) else {
        return Err(NodeRefused::Purpose("boot log or IMA list missing".into()));
    };
    if facts.statement.enclave.is_some() {
        return Err(NodeRefused::Purpose("it speaks of an enclave".into()));
    }
    boot_registers(policy, facts)?;
    if policy.secure_boot {
        secure_boot(&boot.log)?;
    }
    let list =
        ImaLog::parse_ascii(&ima.list).map_err(|_| NodeRefused::UnknownFile("list unreadable".into()))?;
    let covered = list.entries().get(..ima.covered).unwrap_or_default();
    for entry in covered {
        file(policy, entry)?;
    }
    Ok(TrustedNode {
        node: facts.statement.node.clone(),
        ak_name: facts.key.name,
        level: facts.key.level,
        reset_count: facts.quoted.reset_count,
        restart_count: facts.quoted.restart_count,
        boot_pcrs: PcrValues(facts.quoted.boot_pcrs()),
        ima_position: ima.covered as u64,
        agent: seen(&policy.agents, covered).last().copied(),
        facades: seen(&policy.facades, covered),
    })
}

fn boot_registers(policy: &NodePolicy, facts: &Facts) -> Result<(), NodeRefused> {
    if !facts.quoted.pcrs.keys().eq(&policy.pcrs) {
        return Err(NodeRefused::Registers("signed selection differs".into()));
    }
    for (pcr, value) in facts.quoted.boot_pcrs() {
        let allowed = policy.boot_pcrs.get(&pcr).is_some_and(|allowed| allowed.contains(&value));
        if !allowed {
            return Err(NodeRefused::BootRegister(alloc::format!("PCR {pcr} = {value}")));
        }
    }
    Ok(())
}

fn secure_boot(log: &[u8]) -> Result<(), NodeRefused> {
    use logs::boot::SecureBoot;
    let refused = |why: &str| NodeRefused::SecureBoot(why.into());
    let log = BootLog::parse(log).map_err(|_| refused("boot log unreadable"))?;
    let checked = log.check_event_data(logs::Bank::Sha256).map_err(|_| refused("event data differs"))?;
    match checked.secure_boot() {
        Ok(SecureBoot::Enabled) => Ok(()),
        Ok(SecureBoot::Disabled) => Err(refused("off")),
        Err(_) => Err(refused("not in the boot log")),
    }
}

fn file(policy: &NodePolicy, entry: &Entry<'_>) -> Result<(), NodeRefused> {
    let path = String::from_utf8_lossy(entry.path());
    // First, because no digest covers a violation's path: it could be renamed into an excluded folder.
    if entry.is_violation() {
        return Err(NodeRefused::Violation(path.into_owned()));
    }
    if policy.excluded.iter().any(|prefix| path.starts_with(prefix.as_str())) {
        return Ok(());
    }
    let binaries = policy.agents.iter().chain(&policy.facades).filter(|binary| binary.path == path);
    let mut known = false;
    for binary in binaries {
        known = true;
        if entry.digest().is_sha256(&binary.digest) {
            return Ok(());
        }
    }
    match policy.files.get(path.as_ref()) {
        Some(allowed) if allowed.contains(&named_digest(entry)) => Ok(()),
        Some(_) => Err(NodeRefused::ChangedFile(path.into_owned())),
        None if known => Err(NodeRefused::ChangedFile(path.into_owned())),
        None => Err(NodeRefused::UnknownFile(path.into_owned())),
    }
}

/// A file digest in the form of [`NodePolicy::files`].
#[must_use]
pub fn named_digest(entry: &Entry<'_>) -> String {
    let digest = entry.digest();
    alloc::format!("{}:{}", digest.algorithm(), hex(digest.as_bytes()))
}

fn seen(binaries: &[Binary], covered: &[Entry<'_>]) -> Vec<Digest> {
    let measured = |binary: &Binary| {
        covered.iter().any(|entry| {
            !entry.is_violation()
                && entry.path() == binary.path.as_bytes()
                && entry.digest().is_sha256(&binary.digest)
        })
    };
    binaries.iter().filter(|binary| measured(binary)).map(|binary| binary.digest).collect()
}
