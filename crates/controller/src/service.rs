//! The controller over gRPC, on a Unix socket that only its own user may open.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use names::EnclaveId;
use node_api::Admin;
use proto::v1::controller_server::{Controller as ControllerRpc, ControllerServer};
use proto::v1::{
    DeleteEnclaveRequest, DeleteEnclaveResponse, EnclaveLogsRequest, EnclaveLogsResponse, RouteTable, Stage,
    StartEnclaveRequest, StopEnclaveRequest, StopEnclaveResponse, WatchRoutesRequest,
};
use server::Tasks;
use store::Store;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use crate::config::Config;
use crate::enclave::{Enclave, Unstartable};
use crate::operations::Parts;
use crate::process::ProcessDriver;
use crate::reconcile::reconcile;
use crate::routes::{self, Routes};
use crate::stages::is_last;

/// Most bytes of an app's output in one answer.
const MAX_LOGS: u32 = 1 << 20;
/// Longest reason for a stop.
const MAX_REASON: usize = 64;
/// Messages that may wait for a slow reader of a stream.
const STREAM: usize = 16;

/// Starts the controller with the process driver: mends what a former run left, serves, and starts again what ran.
///
/// # Errors
/// Where the machine, the store or the socket can't be used.
pub async fn start(config: Config, store: Store, tasks: &Tasks) -> Result<()> {
    let facade = config.facade.clone();
    let probed = tokio::task::spawn_blocking(move || sandbox::probe(&facade));
    let isolation = probed.await.context("try isolation steps")?;
    let driver = ProcessDriver::new(config.clone(), isolation).context("start the process driver")?;
    packing::remove_leftovers(&config.apps).context("remove half-made copies")?;
    let parts = Arc::new(Parts {
        agent: Admin::new(&config.admin_socket),
        driver: Arc::new(driver),
        routes: Routes::new(),
        store,
        config,
    });
    let again = reconcile(&parts).await.context("reconcile enclaves")?;
    let service = Service { parts: Arc::clone(&parts), enclaves: Arc::default(), tasks: tasks.clone() };
    let incoming = proto::serve_socket(&parts.config.socket)
        .with_context(|| format!("listen on {}", parts.config.socket.display()))?;
    let rpc = ControllerServer::new(service.clone());
    let router = proto::server().add_service(rpc);
    proto::serve("controller", router, incoming, tasks);
    let enclaves = service.clone();
    let store = parts.store.clone();
    tasks.spawn_cancellable(crate::licences::follow(store, move |id| enclaves.enclave(id)));
    for row in again {
        let enclave = service.enclave(row.id);
        tasks.spawn_cancellable(async move {
            if let Err(why) = enclave.start().await {
                tracing::warn!(enclave = %row.id, ?why, "not started again");
            }
        });
    }
    Ok(())
}

#[derive(Clone)]
struct Service {
    parts: Arc<Parts>,
    enclaves: Arc<Mutex<HashMap<EnclaveId, Enclave>>>,
    tasks: Tasks,
}

impl Service {
    /// The task of this enclave, started if there is none.
    fn enclave(&self, id: EnclaveId) -> Enclave {
        let mut enclaves = self.enclaves.lock().unwrap_or_else(PoisonError::into_inner);
        enclaves
            .entry(id)
            .or_insert_with(|| Enclave::follow(id, Arc::clone(&self.parts), &self.tasks))
            .clone()
    }

    fn forget(&self, id: &EnclaveId) {
        self.enclaves.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn known(&self, id: &str) -> Result<EnclaveId, Status> {
        let id: EnclaveId = id.parse().map_err(|_| Status::invalid_argument("not an enclave id"))?;
        match self.parts.store.enclave(&id).await {
            Ok(Some(_)) => Ok(id),
            Ok(None) => Err(Status::not_found("no such enclave")),
            Err(_) => Err(Status::unavailable("the store does not answer")),
        }
    }
}

fn status(why: Unstartable) -> Status {
    match why {
        Unstartable::NotFound => Status::not_found("no such enclave"),
        Unstartable::NotWanted => Status::failed_precondition("its user does not want it to run"),
        Unstartable::Store => Status::unavailable("the store does not answer"),
        Unstartable::Stopping => Status::unavailable("the controller is stopping"),
    }
}

type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ControllerRpc for Service {
    type StartEnclaveStream = Streaming<Stage>;
    type WatchRoutesStream = Streaming<RouteTable>;

    async fn start_enclave(
        &self,
        request: Request<StartEnclaveRequest>,
    ) -> Result<Response<Self::StartEnclaveStream>, Status> {
        let id = self.known(&request.into_inner().enclave_id).await?;
        let stages = self.enclave(id).start().await.map_err(status)?;
        let (out, stream) = mpsc::channel(STREAM);
        self.tasks.spawn_cancellable(async move {
            let mut stages = stages.watch();
            let mut sent = 0;
            loop {
                let fresh: Vec<Stage> = stages.borrow_and_update().iter().skip(sent).cloned().collect();
                for stage in fresh {
                    sent += 1;
                    let last = is_last(&stage);
                    if out.send(Ok(stage)).await.is_err() || last {
                        return;
                    }
                }
                if stages.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn stop_enclave(
        &self,
        request: Request<StopEnclaveRequest>,
    ) -> Result<Response<StopEnclaveResponse>, Status> {
        let StopEnclaveRequest { enclave_id, reason } = request.into_inner();
        let id = self.known(&enclave_id).await?;
        if reason.is_empty() || reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(Status::invalid_argument("the reason is empty, too long or not printable"));
        }
        self.enclave(id).stop(&reason).await.map_err(status)?;
        Ok(Response::new(StopEnclaveResponse {}))
    }

    async fn delete_enclave(
        &self,
        request: Request<DeleteEnclaveRequest>,
    ) -> Result<Response<DeleteEnclaveResponse>, Status> {
        let id = self.known(&request.into_inner().enclave_id).await?;
        self.enclave(id).stop("deleted").await.map_err(status)?;
        self.forget(&id);
        // The folder first: after a crash in between the next start finds the row, and would not find the folder.
        if let Err(error) = self.parts.driver.remove(&id) {
            tracing::warn!(enclave = %id, error = %server::telemetry::chain(&error), "its folder stays");
        }
        let removed = self.parts.store.remove_enclave(&id).await;
        removed.map_err(|_| Status::unavailable("the store does not answer"))?;
        Ok(Response::new(DeleteEnclaveResponse {}))
    }

    async fn enclave_logs(
        &self,
        request: Request<EnclaveLogsRequest>,
    ) -> Result<Response<EnclaveLogsResponse>, Status> {
        let EnclaveLogsRequest { enclave_id, max_bytes } = request.into_inner();
        let id = self.known(&enclave_id).await?;
        let output = self.parts.driver.output(&id, max_bytes.min(MAX_LOGS));
        let output = output.map_err(|_| Status::internal("the app's output can't be read"))?;
        Ok(Response::new(EnclaveLogsResponse { output }))
    }

    async fn watch_routes(
        &self,
        _: Request<WatchRoutesRequest>,
    ) -> Result<Response<Self::WatchRoutesStream>, Status> {
        let (out, stream) = mpsc::channel(1);
        let mut table = self.parts.routes.watch();
        self.tasks.spawn_cancellable(async move {
            loop {
                let message = routes::message(&table.borrow_and_update());
                if out.send(Ok(message)).await.is_err() || table.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream).map(|item| item))))
    }
}
