//! One full evidence: verdict, boot log of a real machine, ten thousand IMA lines, an enclave log of hundreds of records.

use anyhow::{Context, Result, ensure};
use appraisal::node::{NodePolicy, named_digest};
use evidence::Evidence;
use forge::{Draft, TpmKey, World};
use logs::boot::BootLog;
use logs::enclave::{Event, Reason, Start};
use logs::ima::{Entry, ImaLog};
use names::{Digest, EnclaveId};

/// The firmware's log of a cloud machine; see `testdata/tpm/README.md`.
const BOOT_LOG: &[u8] = include_bytes!("../../../testdata/tpm/ubuntu-2404-amd-sevsnp.bin");
/// Lines of the IMA list, after the three of the forged node.
pub(crate) const IMA_LINES: usize = 10_000;
/// Other enclaves that started, got their key and stopped on the node before.
const OTHERS: u8 = 100;

/// Ten thousand files of a system, as the kernel lists them.
fn ima_list() -> Result<Vec<u8>> {
    let mut list = forge::IMA_LIST();
    for number in 0..IMA_LINES {
        let path = format!("/usr/lib/x86_64-linux-gnu/package-{}/libpart-{number:05}.so.1", number % 700);
        let digest = Digest::of(path.as_bytes());
        let entry = Entry::measured(path.as_bytes(), &digest).context("make an IMA line")?;
        list.extend_from_slice(&entry.to_ascii());
    }
    Ok(list)
}

fn events(world: &World) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for number in 0..OTHERS {
        let (enclave, digest) = (EnclaveId::from_bytes([number; 16]), Digest::of(&[number]));
        let (version, instance, facade) = (digest, digest, digest);
        events.push(Event::Start(Start {
            enclave,
            incarnation: 1,
            version,
            instance,
            owner: Some(digest),
            facade,
        }));
        events.push(Event::Key { enclave, incarnation: 1, spki: digest });
        let reason = Reason::new("stopped").context("make a reason")?;
        events.push(Event::Stop { enclave, incarnation: 1, reason });
    }
    events.extend(world.events());
    Ok(events)
}

fn fill(draft: &mut Draft<'_>) -> Result<()> {
    ensure!(
        BootLog::parse(BOOT_LOG).context("read the boot log")?.events().len() >= 100,
        "boot log is short"
    );
    draft.boot_log = Some(Vec::new());
    draft.ima_log = Some(Vec::new());
    draft.boot(BOOT_LOG.to_vec());
    draft.measure(ima_list()?);
    Ok(())
}

/// What a client gets that wants everything: verdict and both logs.
pub(crate) fn serve(world: &World) -> Result<Evidence> {
    let mut draft = world.draft();
    draft.events = events(world)?;
    fill(&mut draft)?;
    let boot = draft.boot_pcrs();
    draft.verdict.as_mut().context("the draft has a verdict")?.submods.node.boot_pcrs = boot;
    Ok(draft.seal())
}

/// What the verifier gets each round, and the policy that the node satisfies.
pub(crate) fn node(world: &World) -> Result<(Evidence, NodePolicy)> {
    let mut draft = world.node_draft();
    draft.events = events(world)?;
    fill(&mut draft)?;
    let mut policy = world.node_policy();
    policy.boot_pcrs = draft.boot_pcrs().0.into_iter().map(|(pcr, value)| (pcr, vec![value])).collect();
    let list = ima_list()?;
    for entry in ImaLog::parse_ascii(&list).context("read the IMA list")?.entries() {
        let path = String::from_utf8_lossy(entry.path()).into_owned();
        policy.files.entry(path).or_default().insert(named_digest(entry));
    }
    Ok((draft.seal(), policy))
}

/// A world whose node has this key; P-256 where none is given.
pub(crate) fn world(ak: Option<TpmKey>) -> World {
    ak.map_or_else(World::new, World::with_attestation_key)
}
