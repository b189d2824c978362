//! The controller as the gateway sees it: calls with deadlines, and errors sorted by whose fault they are.

use std::path::Path;
use std::time::Duration;

use api::Code;
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

/// A client of the controller. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Controller {
    client: ControllerClient<proto::Channel>,
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
            tonic::Code::Unavailable | tonic::Code::Cancelled => Self::Unavailable(Box::new(status)),
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
    /// The controller behind a Unix socket; connects at the first call.
    pub(crate) fn new(socket: &Path) -> Self {
        Self { client: ControllerClient::new(proto::connect(socket)) }
    }

    /// Starts an enclave, or joins a start that is on its way.
    pub(crate) async fn start(&self, id: &EnclaveId) -> Result<Streaming<Stage>, ControllerError> {
        let request = StartEnclaveRequest { enclave_id: id.to_string() };
        within(self.client.clone().start_enclave(request)).await
    }

    /// Who waits for a start, the next first, and whether nobody else would be taken. `None` where the controller does not say.
    pub(crate) async fn queue(&self) -> Option<(Vec<String>, bool)> {
        let mut client = self.client.clone();
        let asked = tokio::time::timeout(GLANCE, client.start_queue(StartQueueRequest {})).await;
        let answer = asked.ok()?.ok()?.into_inner();
        Some((answer.enclave_ids, answer.full))
    }

    /// The place of an enclave in the queue of starts, from 1, and how many wait.
    pub(crate) async fn place(&self, id: &EnclaveId) -> Option<(u64, u64)> {
        let (waiting, _) = self.queue().await?;
        place(&waiting, id)
    }

    /// Stops an enclave and waits until it has ended.
    pub(crate) async fn stop(&self, id: &EnclaveId) -> Result<(), ControllerError> {
        let request = StopEnclaveRequest { enclave_id: id.to_string(), reason: "user".into() };
        within(self.client.clone().stop_enclave(request)).await.map(|_| ())
    }

    /// Stops an enclave and removes what is left of it.
    pub(crate) async fn delete(&self, id: &EnclaveId) -> Result<(), ControllerError> {
        let request = DeleteEnclaveRequest { enclave_id: id.to_string() };
        within(self.client.clone().delete_enclave(request)).await.map(|_| ())
    }

    /// The last bytes of the app's output.
    pub(crate) async fn logs(&self, id: &EnclaveId, max_bytes: u32) -> Result<Vec<u8>, ControllerError> {
        let request = EnclaveLogsRequest { enclave_id: id.to_string(), max_bytes };
        within(self.client.clone().enclave_logs(request)).await.map(|answer| answer.output)
    }
}

/// The place of an enclave among those who wait.
pub(crate) fn place(waiting: &[String], id: &EnclaveId) -> Option<(u64, u64)> {
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
