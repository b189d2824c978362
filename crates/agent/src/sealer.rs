//! Makes evidence: collects requests while a quote is under way, and seals all of them under the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evidence::tree::{self, MAX_LEAVES, Tree};
use evidence::{
    Audience, Bytes, Channel, EnclaveClaim, Evidence, FORMAT, PcrValues, Purpose, Statement, quote_data,
};
use hardware::{Lane, Tpm, TpmError};
use names::{Digest, EnclaveId, SpiffeId};
use server::Tasks;
use tokio::sync::{mpsc, oneshot};
use tpm2::PcrSelection;

use crate::journal::Journal;
use crate::node::{Enrolment, Keys, Node, lock, now};
use crate::registry::Registry;

/// Requests that may wait for the next quote.
const WAITING: usize = 4096;
/// Quotes tried when a register moves between quote and reading.
const ATTEMPTS: usize = 5;

/// What is asked for. The agent adds what it knows of the enclave.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) purpose: Purpose,
    pub(crate) audience: Audience,
    pub(crate) nonce: [u8; 32],
    pub(crate) request: Option<Digest>,
    pub(crate) enclave: Option<(EnclaveId, u64)>,
    pub(crate) certificate: Option<Digest>,
    pub(crate) channel: Channel,
}

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("the node is not enrolled yet")]
    NotEnrolled,
    #[error("too many requests wait for a quote")]
    Busy,
    #[error("the enclave is not running, or has no key yet")]
    NotLive,
    #[error("the request does not make a statement")]
    Statement,
    #[error("the TPM did not quote")]
    Tpm,
    #[error("the agent is stopping")]
    Gone,
}

impl SealError {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NotEnrolled => "node_not_enrolled",
            Self::Busy => "busy",
            Self::NotLive => "enclave_not_live",
            Self::Statement => "malformed",
            Self::Tpm => "tpm_failed",
            Self::Gone => "stopping",
        }
    }
}

/// Why there is no quote to show.
#[derive(Debug, thiserror::Error)]
enum QuoteError {
    #[error("the TPM")]
    Tpm(#[from] TpmError),
    #[error("a register moved between quote and reading, {ATTEMPTS} times in a row")]
    Moving,
}

struct Pending {
    request: Request,
    reply: oneshot::Sender<Result<Evidence, SealError>>,
}

/// A way to ask for evidence. Clones share the batches.
#[derive(Clone)]
pub(crate) struct Sealer {
    queue: mpsc::Sender<Pending>,
}

impl Sealer {
    pub(crate) fn start(node: &Arc<Node>, tasks: &Tasks) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        tasks.spawn_cancellable(work(Arc::clone(node), waiting));
        Self { queue }
    }

    /// Evidence for one request, sealed with whoever else is waiting.
    pub(crate) async fn seal(&self, request: Request) -> Result<Evidence, SealError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Pending { request, reply }).map_err(|_| SealError::Busy)?;
        answer.await.map_err(|_| SealError::Gone)?
    }
}

/// A batch stays open for this part of the last quote's time: whoever was just answered and asks again is in it, and not
/// in the one after. On a software TPM that is nothing, on a slow one a few milliseconds.
const OPEN_PART: u32 = 20;
const OPEN_AT_MOST: Duration = Duration::from_millis(20);

async fn work(node: Arc<Node>, mut waiting: mpsc::Receiver<Pending>) {
    let mut batch = Vec::new();
    let mut last_quote = Duration::ZERO;
    while waiting.recv_many(&mut batch, MAX_LEAVES as usize).await > 0 {
        let open = (last_quote / OPEN_PART).min(OPEN_AT_MOST);
        if open >= Duration::from_millis(1) {
            tokio::time::sleep(open).await;
            while batch.len() < MAX_LEAVES as usize
                && let Ok(pending) = waiting.try_recv()
            {
                batch.push(pending);
            }
        }
        let Some(enrolment) = node.enrolled() else {
            batch
                .drain(..)
                .for_each(|pending: Pending| drop(pending.reply.send(Err(SealError::NotEnrolled))));
            continue;
        };
        let (requests, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|pending: Pending| (pending.request, pending.reply)).unzip();
        let job = Batch::new(&node, enrolment);
        let size = requests.len();
        let began = Instant::now();
        let sealed = node.tpm.run(Lane::Batch, move |tpm| job.seal(tpm, &requests)).await;
        last_quote = began.elapsed();
        let verdict = node.current_verdict().map(|verdict| verdict.token);
        let results = sealed.unwrap_or_else(|_| vec![Err(SealError::Tpm); size]);
        tracing::debug!(size, "sealed a batch");
        for (reply, result) in replies.into_iter().zip(results) {
            let with_verdict = result.map(|evidence| Evidence { verdict: verdict.clone(), ..evidence });
            // Who no longer waits needs no evidence.
            drop(reply.send(with_verdict));
        }
    }
}

struct Batch {
    keys: Arc<Keys>,
    journal: Arc<Mutex<Journal>>,
    registry: Arc<Mutex<Registry>>,
    enrolment: Enrolment,
    agent: Digest,
    pcrs: Vec<u8>,
}

struct Quote {
    attest: Vec<u8>,
    signature: Vec<u8>,
    pcrs: PcrValues,
}

impl Batch {
    fn new(node: &Node, enrolment: Enrolment) -> Self {
        Self {
            keys: Arc::clone(&node.keys),
            journal: Arc::clone(&node.journal),
            registry: Arc::clone(&node.registry),
            enrolment,
            agent: node.agent_digest,
            pcrs: node.pcrs.clone(),
        }
    }

    /// Runs on the TPM owner's thread, so that no event is logged between the statements and the quote.
    fn seal(&self, tpm: &mut Tpm, requests: &[Request]) -> Vec<Result<Evidence, SealError>> {
        let journal = lock(&self.journal);
        let statements: Vec<_> = {
            let registry = lock(&self.registry);
            let count = journal.log().count();
            requests.iter().map(|request| self.statement(request, &registry, count)).collect()
        };
        // Equal statements share a leaf.
        let mut leaves = Vec::new();
        let mut places = HashMap::new();
        for statement in statements.iter().flatten() {
            let leaf = tree::leaf(statement);
            places.entry(leaf).or_insert_with(|| {
                leaves.push(leaf);
                leaves.len() - 1
            });
        }
        if leaves.is_empty() {
            return statements.into_iter().map(|result| result.and(Err(SealError::Tpm))).collect();
        }
        let sealed = Tree::new(leaves).map_err(|_| SealError::Statement).and_then(|tree| {
            let quote = self.quote(tpm, &tree).map_err(|error| {
                tracing::error!(error = %server::telemetry::chain(&error), "the TPM did not quote");
                SealError::Tpm
            })?;
            Ok((tree, quote))
        });
        let finish = |(request, statement): (&Request, Result<Vec<u8>, SealError>)| {
            let statement = statement?;
            let (tree, quote) = sealed.as_ref().map_err(Clone::clone)?;
            let place =
                places.get(&tree::leaf(&statement)).copied().and_then(|place| u32::try_from(place).ok());
            let proof = place.and_then(|place| tree.proof(place).ok()).ok_or(SealError::Statement)?;
            let log = match &request.enclave {
                Some((id, _)) => journal.log().hide_foreign(id),
                None => journal.log().encode(),
            };
            Ok(self.evidence(statement, proof, quote, log))
        };
        requests.iter().zip(statements).map(finish).collect()
    }

    fn statement(&self, request: &Request, registry: &Registry, count: u64) -> Result<Vec<u8>, SealError> {
        let enclave = match &request.enclave {
            Some((id, incarnation)) => Some(claim(registry, id, *incarnation)?),
            None => None,
        };
        let name = self.keys.enclave.name().as_bytes().try_into().map_err(|_| SealError::Statement)?;
        let statement = Statement {
            purpose: request.purpose,
            audience: request.audience.clone(),
            nonce: request.nonce,
            request: request.request,
            ak_name: name,
            node: self.enrolment.node.clone(),
            enclave,
            agent: self.agent,
            certificate: request.certificate,
            channel: request.channel.clone(),
            log_count: count,
            agent_time: now(),
        };
        statement.encode().map_err(|_| SealError::Statement)
    }

    /// A quote, and register values whose composite it signs. IMA may extend its register in between: then again.
    fn quote(&self, tpm: &mut Tpm, tree: &Tree) -> Result<Quote, QuoteError> {
        let selection = PcrSelection::sha256(&self.pcrs).map_err(TpmError::from)?;
        let extra = quote_data(tree.count(), tree.root().as_bytes());
        for _ in 0..ATTEMPTS {
            let quoted = tpm.quote(&self.keys.enclave, extra.as_bytes(), &selection)?;
            let values = tpm.read_pcrs(&self.pcrs)?;
            let composite = tpm2::composite(values.values().map(|value| value.as_slice()));
            if tpm2::Attest::parse(&quoted.attest).is_ok_and(|attest| attest.pcr_digest() == composite) {
                let pcrs = values.into_iter().map(|(pcr, value)| (pcr, Digest::from_bytes(value))).collect();
                return Ok(Quote {
                    attest: quoted.attest,
                    signature: quoted.signature,
                    pcrs: PcrValues(pcrs),
                });
            }
        }
        Err(QuoteError::Moving)
    }

    fn evidence(&self, statement: Vec<u8>, proof: tree::Proof, quote: &Quote, log: Vec<u8>) -> Evidence {
        Evidence {
            format: FORMAT.to_owned(),
            statement: Bytes(statement),
            proof,
            quote: Bytes(quote.attest.clone()),
            signature: Bytes(quote.signature.clone()),
            ak_public: Bytes(self.keys.enclave.public().as_bytes().to_vec()),
            ak_chain: self.enrolment.enclave_chain.iter().cloned().map(Bytes).collect(),
            pcrs: quote.pcrs.clone(),
            enclave_log: Bytes(log),
            certificate: None,
            verdict: None,
            boot_log: None,
            ima_log: None,
        }
    }
}

/// What the agent says of an enclave: it lives, its process runs, and it has a key.
fn claim(registry: &Registry, id: &EnclaveId, incarnation: u64) -> Result<EnclaveClaim, SealError> {
    let enclave = registry.live(id, incarnation).ok_or(SealError::NotLive)?;
    if !registry.is_running(id, incarnation) {
        return Err(SealError::NotLive);
    }
    let spki = enclave.spki.as_ref().ok_or(SealError::NotLive)?;
    let start = &enclave.start;
    Ok(EnclaveClaim {
        id: *id,
        incarnation,
        owner: start.owner,
        version: start.version,
        instance: start.instance,
        facade: start.facade,
        spki: Digest::of(spki),
    })
}

/// Audience of evidence for a service of ours.
pub(crate) fn service_audience(id: &str) -> Result<Audience, SealError> {
    id.parse::<SpiffeId>().map(Audience::Service).map_err(|_| SealError::Statement)
}
