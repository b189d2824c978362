//! A controller that starts nothing: it moves the rows as the real one does.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{Stream, stream};
use lifecycle::{Event, State, StopReason};
use names::EnclaveId;
use proto::v1::controller_server::{Controller, ControllerServer};
use proto::v1::{
    DeleteEnclaveRequest, DeleteEnclaveResponse, EnclaveLogsRequest, EnclaveLogsResponse, RouteTable, Stage,
    StartEnclaveRequest, StartQueueRequest, StartQueueResponse, StopEnclaveRequest, StopEnclaveResponse,
    WatchRoutesRequest,
};
use server::Tasks;
use store::{By, Claim, Controller as Registered, ControllerId, Note, Process, Store};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A handle on the fake.
#[derive(Clone)]
pub struct FakeController {
    store: Store,
    starts: Arc<AtomicUsize>,
    full: Arc<AtomicBool>,
    released: Arc<Notify>,
    tasks: Tasks,
}

impl FakeController {
    pub fn serve(socket: &Path, store: Store, parent: &Tasks) -> Self {
        let tasks = Tasks::new();
        let fake = Self {
            store,
            starts: Arc::default(),
            full: Arc::default(),
            released: Arc::default(),
            tasks: tasks.clone(),
        };
        let incoming = proto::serve_socket(socket).unwrap();
        let service = ControllerServer::new(fake.clone());
        let (stopping, parent_stopping) = (tasks.stopping(), parent.stopping());
        tasks.spawn(async move {
            let until = async {
                tokio::select! { () = stopping => {}, () = parent_stopping => {} }
            };
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming_shutdown(incoming, until).await.unwrap();
        });
        fake
    }

    /// How often a start was asked for.
    pub fn starts(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }

    /// Says from now on whether the node has no room.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Lets one start go on that waits for it: that of an enclave whose name begins with `slow`.
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Says when a running enclave will be stopped by itself.
    pub async fn plan_stop(&self, id: &EnclaveId, stop: (u64, StopReason)) {
        let claim = self.claim(id).await.unwrap();
        self.store.set_stop(id, &claim, Some(stop)).await.unwrap();
    }

    /// Ends it: nobody answers on the socket.
    pub async fn stop(&self) {
        assert!(self.tasks.drain().await);
    }

    async fn row(&self, id: &str) -> Result<store::Enclave, Status> {
        let id: EnclaveId = id.parse().map_err(|_| Status::invalid_argument("id"))?;
        let row = self.store.enclave(&id).await.map_err(|error| Status::internal(error.to_string()))?;
        row.ok_or_else(|| Status::not_found("enclave"))
    }

    async fn claim(&self, id: &EnclaveId) -> Result<Claim, Status> {
        let claimed = self.store.claim(id, &MYSELF, "local").await;
        let claimed = claimed.map_err(|error| Status::internal(error.to_string()))?;
        claimed.map(|(claim, _)| claim).ok_or_else(|| Status::unavailable("claimed"))
    }

    async fn step(&self, id: &EnclaveId, claim: &Claim, event: Event, note: &Note) -> Result<(), Status> {
        let done = self.store.change(id, By::Claim(claim), event, note, 1).await;
        done.map(drop).map_err(|error| Status::failed_precondition(error.to_string()))
    }
}

/// This run of the fake.
const MYSELF: ControllerId = ControllerId::from_bytes([9; 16]);

async fn register(store: &Store) {
    let process = Process { pid: 1, start_time: 1 };
    let (node, host) = ("local".into(), "here".into());
    // A gateway that was restarted finds the fake of before.
    store.register_controller(&Registered { id: MYSELF, node, host, process, beat: 0 }).await.ok();
}

#[tonic::async_trait]
impl Controller for FakeController {
    type StartEnclaveStream = Answers<Stage>;
    type WatchRoutesStream = Answers<RouteTable>;

    /// An enclave whose name begins with `broken` fails.
    async fn start_enclave(
        &self,
        request: Request<StartEnclaveRequest>,
    ) -> Result<Response<Self::StartEnclaveStream>, Status> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        let enclave = self.row(&request.get_ref().enclave_id).await?;
        register(&self.store).await;
        let claim = self.claim(&enclave.id).await?;
        self.step(&enclave.id, &claim, Event::Begin, &Note::stage("prepare", "", 10)).await?;
        self.store.next_incarnation(&enclave.id, &claim).await.unwrap();
        if enclave.name.starts_with("slow") {
            self.released.notified().await;
        }
        let (event, name, reason) = if enclave.name.starts_with("broken") {
            (Event::Fail, "failed", "spawn")
        } else {
            (Event::Ready, "ready", "")
        };
        let code = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
        let note = Note { cause: code.clone(), reason: code, ..Note::stage(name, "done", 100) };
        self.step(&enclave.id, &claim, event, &note).await?;
        let stage = |name: &str, reason: &str, progress| {
            let (name, message) = (name.into(), "done".into());
            Ok(Stage { name, message, reason: reason.into(), cause: reason.into(), progress })
        };
        let stages = [stage("prepare", "", 10), stage(name, reason, 100)];
        Ok(Response::new(Box::pin(stream::iter(stages))))
    }

    /// Full while the test says so.
    async fn start_queue(
        &self,
        _request: Request<StartQueueRequest>,
    ) -> Result<Response<StartQueueResponse>, Status> {
        let full = self.full.load(Ordering::SeqCst);
        Ok(Response::new(StartQueueResponse { enclave_ids: vec![], full }))
    }

    async fn stop_enclave(
        &self,
        request: Request<StopEnclaveRequest>,
    ) -> Result<Response<StopEnclaveResponse>, Status> {
        let enclave = self.row(&request.get_ref().enclave_id).await?;
        register(&self.store).await;
        if enclave.state == State::Stopping {
            let claim = self.claim(&enclave.id).await?;
            self.step(&enclave.id, &claim, Event::Ended, &Note::says("ended")).await?;
        }
        Ok(Response::new(StopEnclaveResponse {}))
    }

    async fn delete_enclave(
        &self,
        request: Request<DeleteEnclaveRequest>,
    ) -> Result<Response<DeleteEnclaveResponse>, Status> {
        let enclave = self.row(&request.get_ref().enclave_id).await?;
        register(&self.store).await;
        let claim = self.claim(&enclave.id).await?;
        self.store.remove_enclave(&enclave.id, By::Claim(&claim)).await.unwrap();
        Ok(Response::new(DeleteEnclaveResponse {}))
    }

    async fn enclave_logs(
        &self,
        request: Request<EnclaveLogsRequest>,
    ) -> Result<Response<EnclaveLogsResponse>, Status> {
        let enclave = self.row(&request.get_ref().enclave_id).await?;
        Ok(Response::new(EnclaveLogsResponse { output: format!("output of {}", enclave.name).into_bytes() }))
    }

    async fn watch_routes(
        &self,
        _request: Request<WatchRoutesRequest>,
    ) -> Result<Response<Self::WatchRoutesStream>, Status> {
        Err(Status::unimplemented("not needed by the gateway"))
    }
}
