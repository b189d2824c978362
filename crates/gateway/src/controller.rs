//! The controller as the gateway sees it: calls with deadlines, and errors sorted by whose fault they are.

use std::path::PathBuf;
use std::time::Duration;

use api::Code;
use futures_util::future::join_all;
use names::EnclaveId;
use proto::v1::controller_client::ControllerClient;
use proto::v1::{
    DeleteEnclaveRequest, EnclaveLogsRequest, Stage, StartEnclaveRequest, StartQueueRequest,
    StopEnclaveRequest,
};
use tonic::{Status, Streaming};

use crate::refusal::Refusal;

/// For everything but a start, whose stages come one by one.
const DEADLINE: Duration = Duration::from_secs(60);

/// For the queue of starts, which only adorns an answer.
const GLANCE: Duration = Duration::from_millis(500);

/// A client of the controllers: those that have an enclave see what is wished in its row, so any will do.
#[derive(Clone)]
pub(crate) struct Controller {
    clients: Vec<ControllerClient<proto::Channel>>,
}

/// Why the controller did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControllerError {
    #[error("the controller does not answer")]
    Unavailable(#[source] Box<Status>),
    #[error("the controller took too long")]
    Deadline,
    #[error("the enclave's state does not allow it")]
    WrongState(#[source] Box<Status>),
    #[error("the controller has no room for another enclave")]
    NoCapacity,
    #[error("the controller does not know the enclave")]
    NotFound,
    #[error("the controller refused")]
    Refused(#[source] Box<Status>),
}

impl From<Status> for ControllerError {
    fn from(status: Status) -> Self {
        match status.code() {
            // The controller never says `unknown`; a connection that breaks off does.
            tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown => {
                Self::Unavailable(Box::new(status))
            }
            tonic::Code::DeadlineExceeded => Self::Deadline,
            tonic::Code::FailedPrecondition | tonic::Code::Aborted => Self::WrongState(Box::new(status)),
            tonic::Code::ResourceExhausted => Self::NoCapacity,
            tonic::Code::NotFound => Self::NotFound,
            _ => Self::Refused(Box::new(status)),
        }
    }
}

impl From<ControllerError> for Refusal {
    fn from(error: ControllerError) -> Self {
        match error {
            ControllerError::Unavailable(_) | ControllerError::Deadline => Self::because(
                Code::ControllerUnavailable,
                "server operations do not answer; it will be done when they do",
                error,
            ),
            ControllerError::WrongState(_) => {
                Self::because(Code::WrongState, "the enclave's state does not allow this", error)
            }
            ControllerError::NoCapacity => no_capacity(),
            ControllerError::NotFound => Self::new(Code::NotFound, "there is no such enclave"),
            ControllerError::Refused(_) => Self::internal(error),
        }
    }
}

/// The node is full.
pub(crate) fn no_capacity() -> Refusal {
    Refusal::new(Code::NoCapacity, "no room for another enclave now; others have to stop first")
        .retry_after(15)
}

impl Controller {
    /// The controllers behind these Unix sockets; connects at the first call.
    pub(crate) fn new(sockets: &[PathBuf]) -> Self {
        Self { clients: sockets.iter().map(|socket| ControllerClient::new(proto::connect(socket))).collect() }
    }

    /// Asks one after the other until one is there.
    async fn first<T, F>(
        &self,
        call: impl Fn(ControllerClient<proto::Channel>) -> F,
    ) -> Result<T, ControllerError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut last = ControllerError::Deadline;
        for client in &self.clients {
            match within(call(client.clone())).await {
                Err(error @ ControllerError::Unavailable(_)) => last = error,
                done => return done,
            }
        }
        Err(last)
    }

    /// Starts an enclave, or joins a start that is on its way.
    pub(crate) async fn start(&self, id: &EnclaveId) -> Result<Streaming<Stage>, ControllerError> {
        let request = StartEnclaveRequest { enclave_id: id.to_string() };
        self.first(|mut client| {
            let request = request.clone();
            async move { client.start_enclave(request).await }
        })
        .await
    }

    /// Who waits for a start, and whether nobody else would be taken. `None` where no controller says.
    pub(crate) async fn queue(&self) -> Option<Waiting> {
        let ask = |mut client: ControllerClient<proto::Channel>| async move {
            let asked = tokio::time::timeout(GLANCE, client.start_queue(StartQueueRequest {})).await;
            Some(asked.ok()?.ok()?.into_inner())
        };
        let answers = join_all(self.clients.iter().cloned().map(ask)).await;
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        let is_full = answers.iter().all(|answer| answer.full);
        let queues: Vec<_> = answers.into_iter().map(|answer| answer.enclave_ids).collect();
        if queues.is_empty() { None } else { Some(Waiting { queues, is_full }) }
    }

    /// The place of an enclave in the queue of starts, from 1, and how many wait.
    pub(crate) async fn place(&self, id: &EnclaveId) -> Option<(u64, u64)> {
        self.queue().await?.place(id)
    }

    /// Stops an enclave and waits until it has ended.
    pub(crate) async fn stop(&self, id: &EnclaveId) -> Result<(), ControllerError> {
        let request = StopEnclaveRequest { enclave_id: id.to_string(), reason: "user".into() };
        self.first(|mut client| {
            let request = request.clone();
            async move { client.stop_enclave(request).await }
        })
        .await
        .map(drop)
    }

    /// Stops an enclave and removes what is left of it.
    pub(crate) async fn delete(&self, id: &EnclaveId) -> Result<(), ControllerError> {
        let request = DeleteEnclaveRequest { enclave_id: id.to_string() };
        self.first(|mut client| {
            let request = request.clone();
            async move { client.delete_enclave(request).await }
        })
        .await
        .map(drop)
    }

    /// The last bytes of the app's output, from the controller that has any.
    pub(crate) async fn logs(&self, id: &EnclaveId, max_bytes: u32) -> Result<Vec<u8>, ControllerError> {
        let request = EnclaveLogsRequest { enclave_id: id.to_string(), max_bytes };
        let mut best = Err(ControllerError::Deadline);
        for client in &self.clients {
            let (mut client, request) = (client.clone(), request.clone());
            match within(client.enclave_logs(request)).await {
                Ok(answer) if !answer.output.is_empty() => return Ok(answer.output),
                Ok(answer) => best = Ok(answer.output),
                Err(error) if best.is_err() => best = Err(error),
                Err(_) => {}
            }
        }
        best
    }
}

/// Who waits for a start: the queue of each controller, the next first.
pub(crate) struct Waiting {
    queues: Vec<Vec<String>>,
    /// Whether nobody else would be taken.
    pub(crate) is_full: bool,
}

impl Waiting {
    /// The place of an enclave among those who wait where it does, from 1, and how many they are.
    pub(crate) fn place(&self, id: &EnclaveId) -> Option<(u64, u64)> {
        self.queues.iter().find_map(|waiting| place(waiting, id))
    }
}

/// The place of an enclave among those who wait.
fn place(waiting: &[String], id: &EnclaveId) -> Option<(u64, u64)> {
    let id = id.to_string();
    let index = waiting.iter().position(|other| *other == id)?;
    Some((u64::try_from(index).ok()?.checked_add(1)?, u64::try_from(waiting.len()).ok()?))
}

async fn within<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, ControllerError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(ControllerError::Deadline),
    }
}
