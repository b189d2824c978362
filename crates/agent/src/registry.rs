//! Which enclaves live on this node, which process each facade is, and which key it was born with.

use std::collections::HashMap;
use std::io;

use api::node::StartEnclave;
use names::{Digest, EnclaveId};
use server::unix::{self, Peer};

/// Most enclaves on one node.
const MAX_ENCLAVES: usize = 4096;

/// One live enclave.
#[derive(Debug, Clone)]
pub struct Enclave {
    /// What was announced before its start.
    pub start: StartEnclave,
    /// The process whose direct child, or who itself, is the facade.
    pub root: Option<BoundProcess>,
    /// The control groups of that process when it was named; the facade stays in them.
    groups: Option<String>,
    /// The facade, once it has called.
    pub facade: Option<Peer>,
    /// The key that it was born with (SPKI).
    pub spki: Option<Vec<u8>>,
    /// Its latest certificates (DER), the newest last.
    pub certificates: Vec<Vec<u8>>,
}

/// Certificates that stay usable at a renewal: the present one and the one before.
const KEPT_CERTIFICATES: usize = 2;

/// A process that can't be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundProcess {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks after boot.
    pub start_time: u64,
}

impl BoundProcess {
    fn is_alive(&self) -> bool {
        unix::process(self.pid).is_ok_and(|process| process.start_time == self.start_time)
    }
}

/// Why a caller is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallerRefused {
    /// No enclave has this process.
    #[error("the calling process is not a facade that was announced here")]
    NotAFacade,
    /// The process runs another program than was announced.
    #[error("the calling process is not the facade binary that was announced")]
    OtherExecutable,
    /// The process is not in the control groups that its enclave was started in.
    #[error("the calling process is in another control group than the enclave that it was started for")]
    OtherGroup,
    /// The process, or the one that it was started by, is gone.
    #[error("the calling process has ended")]
    Ended,
}

/// The live enclaves.
#[derive(Debug, Default)]
pub struct Registry {
    enclaves: HashMap<EnclaveId, Enclave>,
    /// Incarnations that have ended and whose end is not in the log yet, because the log could not be written.
    unlogged: HashMap<EnclaveId, u64>,
}

impl Registry {
    /// Takes an announced enclave; a former incarnation of it is forgotten. False where there is no room.
    pub fn start(&mut self, start: StartEnclave) -> bool {
        if self.enclaves.len() >= MAX_ENCLAVES && !self.enclaves.contains_key(&start.enclave_id) {
            return false;
        }
        let enclave =
            Enclave { start, root: None, groups: None, facade: None, spki: None, certificates: Vec::new() };
        self.unlogged.remove(&enclave.start.enclave_id);
        self.enclaves.insert(enclave.start.enclave_id, enclave);
        true
    }

    /// The enclave, if it lives in this incarnation.
    #[must_use]
    pub fn live(&self, id: &EnclaveId, incarnation: u64) -> Option<&Enclave> {
        self.enclaves.get(id).filter(|enclave| enclave.start.incarnation == incarnation)
    }

    /// The enclave, if it lives.
    #[must_use]
    pub fn get(&self, id: &EnclaveId) -> Option<&Enclave> {
        self.enclaves.get(id)
    }

    /// Says which process an enclave's facade is, or was started by. The first word stands, and a process that lives is
    /// that of one enclave.
    pub fn bind(&mut self, id: &EnclaveId, incarnation: u64, process: BoundProcess) -> bool {
        if self.enclaves.iter().any(|(other, enclave)| other != id && enclave.root == Some(process)) {
            return false;
        }
        match self.enclaves.get_mut(id) {
            Some(enclave) if enclave.start.incarnation == incarnation && enclave.root.is_none() => {
                enclave.root = Some(process);
                enclave.groups = control_groups(process.pid);
                true
            }
            _ => false,
        }
    }

    /// Pins the key that an enclave was born with. False where another one is pinned.
    pub fn pin_key(&mut self, id: &EnclaveId, incarnation: u64, spki: &[u8]) -> bool {
        match self.enclaves.get_mut(id) {
            Some(enclave) if enclave.start.incarnation == incarnation => match &enclave.spki {
                Some(pinned) => pinned == spki,
                None => {
                    enclave.spki = Some(spki.to_vec());
                    true
                }
            },
            _ => false,
        }
    }

    /// Keeps a certificate that was made for an enclave's key.
    pub fn keep_certificate(&mut self, id: &EnclaveId, incarnation: u64, der: Vec<u8>) {
        if let Some(enclave) =
            self.enclaves.get_mut(id).filter(|found| found.start.incarnation == incarnation)
        {
            enclave.certificates.push(der);
            let surplus = enclave.certificates.len().saturating_sub(KEPT_CERTIFICATES);
            enclave.certificates.drain(..surplus);
        }
    }

    /// The kept certificate with this SHA-256.
    #[must_use]
    pub fn certificate(&self, id: &EnclaveId, digest: &Digest) -> Option<Vec<u8>> {
        let certificates = &self.enclaves.get(id)?.certificates;
        certificates.iter().find(|der| Digest::of(der) == *digest).cloned()
    }

    /// Forgets an enclave that has ended, and owes the log its end. False where nothing is owed.
    pub fn stop(&mut self, id: &EnclaveId, incarnation: u64) -> bool {
        if self.live(id, incarnation).is_some() {
            self.enclaves.remove(id);
            self.unlogged.insert(*id, incarnation);
        }
        self.unlogged.get(id) == Some(&incarnation)
    }

    /// The end is in the log.
    pub fn stop_logged(&mut self, id: &EnclaveId, incarnation: u64) {
        if self.unlogged.get(id) == Some(&incarnation) {
            self.unlogged.remove(id);
        }
    }

    /// The enclave whose facade is calling: the bound process or its direct child, running the announced binary.
    ///
    /// # Errors
    /// [`CallerRefused`].
    pub fn caller(&mut self, peer: &Peer) -> Result<&Enclave, CallerRefused> {
        let process = unix::process(peer.pid).map_err(|_| CallerRefused::Ended)?;
        if process.start_time != peer.start_time {
            // Another process has the pid by now; the connection is somebody's who was left with it.
            return Err(CallerRefused::Ended);
        }
        let is_root =
            |root: BoundProcess| (root.pid == peer.pid || root.pid == process.parent) && root.is_alive();
        let enclave = self
            .enclaves
            .values_mut()
            .find(|enclave| enclave.root.is_some_and(is_root))
            .ok_or(CallerRefused::NotAFacade)?;
        // Known by pid and start time; the binary is hashed once for a process.
        if enclave.facade != Some(*peer) {
            if enclave.facade.is_some() {
                return Err(CallerRefused::NotAFacade);
            }
            if enclave.groups.is_none() || control_groups(peer.pid) != enclave.groups {
                return Err(CallerRefused::OtherGroup);
            }
            let digest = executable_digest(peer.pid).map_err(|_| CallerRefused::Ended)?;
            if digest != enclave.start.facade {
                return Err(CallerRefused::OtherExecutable);
            }
            enclave.facade = Some(*peer);
        }
        Ok(enclave)
    }

    /// Whether the facade of a live enclave still runs.
    #[must_use]
    pub fn is_running(&self, id: &EnclaveId, incarnation: u64) -> bool {
        self.live(id, incarnation)
            .and_then(|enclave| enclave.facade)
            .is_some_and(|peer| BoundProcess { pid: peer.pid, start_time: peer.start_time }.is_alive())
    }
}

/// The control groups of a process, one line a hierarchy (cgroups(7), `/proc/PID/cgroup`); `None` where it is gone.
fn control_groups(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()
}

/// SHA-256 of the file that a process runs.
///
/// # Errors
/// Where the process is gone or may not be looked at.
pub fn executable_digest(pid: u32) -> io::Result<Digest> {
    use sha2::Digest as _;
    let mut file = std::fs::File::open(format!("/proc/{pid}/exe"))?;
    let mut hash = sha2::Sha256::new();
    io::copy(&mut file, &mut HashWriter(&mut hash))?;
    Ok(Digest::from_bytes(hash.finalize().into()))
}

struct HashWriter<'a>(&'a mut sha2::Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use sha2::Digest as _;
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn start(id: u8, facade: Digest) -> StartEnclave {
        let digest = Digest::from_bytes([id; 32]);
        StartEnclave {
            enclave_id: EnclaveId::from_bytes([id; 16]),
            incarnation: 1,
            version: digest,
            instance: digest,
            owner: digest,
            facade,
            dns_name: "a.enclaves.localhost".to_owned(),
        }
    }

    fn id(id: u8) -> EnclaveId {
        EnclaveId::from_bytes([id; 16])
    }

    /// This process, as the facade of enclave 1.
    fn with_this_process() -> (Registry, Peer, BoundProcess) {
        let pid = std::process::id();
        let start_time = unix::process(pid).unwrap().start_time;
        let mut registry = Registry::default();
        let facade = executable_digest(pid).unwrap();
        assert!(registry.start(start(1, facade)) && registry.start(start(2, facade)));
        assert!(registry.bind(&id(1), 1, BoundProcess { pid, start_time }));
        (registry, Peer { pid, uid: 0, start_time }, BoundProcess { pid, start_time })
    }

    #[test]
    fn a_connection_that_outlives_its_process_is_not_the_next_ones_with_the_same_pid() {
        let (mut registry, peer, _) = with_this_process();
        let left_behind = Peer { start_time: peer.start_time - 1, ..peer };
        assert_eq!(registry.caller(&left_behind).err(), Some(CallerRefused::Ended));
        assert!(registry.caller(&peer).is_ok(), "and it takes nobody's place");
        assert!(registry.is_running(&id(1), 1));
    }

    #[test]
    fn a_process_of_another_control_group_is_no_facade() {
        let (mut registry, peer, _) = with_this_process();
        registry.enclaves.get_mut(&id(1)).unwrap().groups = Some("0::/elsewhere\n".to_owned());
        assert_eq!(registry.caller(&peer).err(), Some(CallerRefused::OtherGroup));
    }

    #[test]
    fn a_process_is_the_facade_of_one_enclave() {
        let (mut registry, peer, process) = with_this_process();
        assert!(!registry.bind(&id(2), 1, process));
        assert_eq!(registry.caller(&peer).unwrap().start.enclave_id, id(1));
        assert!(registry.stop(&id(1), 1) && registry.bind(&id(2), 1, process));
        assert_eq!(registry.caller(&peer).unwrap().start.enclave_id, id(2));
    }
}
