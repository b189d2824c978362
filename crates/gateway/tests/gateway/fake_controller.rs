//! A controller that starts nothing: it moves the rows as the real one does.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::enclaves::State;
use futures_util::{Stream, stream};
use names::EnclaveId;
use proto::v1::controller_server::{Controller, ControllerServer};
use proto::v1::{
    DeleteEnclaveRequest, DeleteEnclaveResponse, EnclaveLogsRequest, EnclaveLogsResponse, RouteTable, Stage,
    StartEnclaveRequest, StopEnclaveRequest, StopEnclaveResponse, WatchRoutesRequest,
};
use server::Tasks;
use store::Store;
use tonic::{Request, Response, Status};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A handle on the fake.
#[derive(Clone)]
pub struct FakeController {
    store: Store,
    starts: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl FakeController {
    pub fn serve(socket: &Path, store: Store, parent: &Tasks) -> Self {
        let tasks = Tasks::new();
        let fake = Self { store, starts: Arc::default(), tasks: tasks.clone() };
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

    /// Ends it: nobody answers on the socket.
    pub async fn stop(&self) {
        assert!(self.tasks.drain().await);
    }

    async fn row(&self, id: &str) -> Result<store::Enclave, Status> {
        let id: EnclaveId = id.parse().map_err(|_| Status::invalid_argument("id"))?;
        let row = self.store.enclave(&id).await.map_err(|error| Status::internal(error.to_string()))?;
        row.ok_or_else(|| Status::not_found("enclave"))
    }

    async fn step(&self, enclave: &store::Enclave, from: State, to: State) -> Result<(), Status> {
        let reason = (to == State::Failed).then_some("spawn");
        let done = self.store.set_state(&enclave.id, from, to, reason, 1).await;
        done.map_err(|error| Status::failed_precondition(error.to_string()))
    }
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
        self.step(&enclave, enclave.state, State::Starting).await?;
        self.store.next_incarnation(&enclave.id).await.unwrap();
        let (state, name, reason) = if enclave.name.starts_with("broken") {
            (State::Failed, "failed", "spawn")
        } else {
            (State::Running, "ready", "")
        };
        self.step(&enclave, State::Starting, state).await?;
        let stage = |name: &str, reason: &str, progress| {
            Ok(Stage { name: name.into(), message: "done".into(), reason: reason.into(), progress })
        };
        let stages = [stage("prepare", "", 10), stage(name, reason, 100)];
        Ok(Response::new(Box::pin(stream::iter(stages))))
    }

    async fn stop_enclave(
        &self,
        request: Request<StopEnclaveRequest>,
    ) -> Result<Response<StopEnclaveResponse>, Status> {
        let enclave = self.row(&request.get_ref().enclave_id).await?;
        self.step(&enclave, enclave.state, State::Stopping).await?;
        self.step(&enclave, State::Stopping, State::Stopped).await?;
        Ok(Response::new(StopEnclaveResponse {}))
    }

    async fn delete_enclave(
        &self,
        request: Request<DeleteEnclaveRequest>,
    ) -> Result<Response<DeleteEnclaveResponse>, Status> {
        let enclave = self.row(&request.get_ref().enclave_id).await?;
        self.store.remove_enclave(&enclave.id).await.unwrap();
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
