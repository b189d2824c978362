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
    StartEnclaveRequest, StartQueueRequest, StartQueueResponse, StopEnclaveRequest, StopEnclaveResponse,
    WatchRoutesRequest,
};
use server::Tasks;
use store::{LicenseStop, Store};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use crate::config::Config;
use crate::elsewhere;
use crate::enclave::{Enclave, Unstartable, Where};
use crate::operations::Parts;
use crate::process::ProcessDriver;
use crate::rounds::{self, Others};
use crate::routes::{self, Routes};
use crate::stages::is_last;
use crate::starts::Starts;

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
    let myself = rounds::register(&config, &store).await?;
    let parts = Arc::new(Parts {
        agent: Admin::new(&config.admin_socket),
        driver: Arc::new(driver),
        routes: Routes::new(),
        starts: Starts::new(config.settings.limits),
        myself: Mutex::new(myself),
        store,
        config,
    });
    let mut others = Others::default();
    others.bury(&parts.config, &parts.store, &myself).await.context("find dead controllers")?;
    let (working, all_ended) = mpsc::channel(1);
    let service =
        Service { parts: Arc::clone(&parts), enclaves: Arc::default(), tasks: tasks.clone(), working };
    // What a former run left is ended before anybody is served; what it ran is started again beside that.
    for row in rounds::look(&service).await.context("reconcile enclaves")? {
        if row.desired == store::Desired::Running {
            let service = service.clone();
            tasks.spawn_cancellable(async move { rounds::bring_about(&service, &row).await });
        } else {
            rounds::bring_about(&service, &row).await;
        }
    }
    let incoming = proto::serve_socket(&parts.config.socket)
        .with_context(|| format!("listen on {}", parts.config.socket.display()))?;
    let rpc = ControllerServer::new(service.clone());
    let router = proto::server().add_service(rpc);
    proto::serve("controller", router, incoming, tasks);
    tasks.spawn_cancellable(crate::licences::follow(service.clone()));
    tasks.spawn_cancellable(rounds::beat(service.clone(), others));
    tasks.spawn_cancellable(rounds::tidy(service.clone()));
    tasks.spawn_cancellable(rounds::sweep(service));
    tasks.spawn(sign_off(parts, tasks.stopping(), all_ended));
    Ok(())
}

/// When everything has ended, others need not wait for the lease.
async fn sign_off(
    parts: Arc<Parts>,
    stopping: impl Future<Output = ()> + Send,
    mut all_ended: mpsc::Receiver<()>,
) {
    stopping.await;
    // Nothing is ever sent: this waits until the last task of an enclave, and the last who could start one, has gone.
    all_ended.recv().await;
    if let Err(error) = parts.store.sign_off_controller(&parts.myself()).await {
        tracing::warn!(error = %server::telemetry::chain(&error), "not signed off");
    }
}

/// The controller as its callers and its own rounds see it.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) parts: Arc<Parts>,
    enclaves: Arc<Mutex<HashMap<EnclaveId, Enclave>>>,
    pub(crate) tasks: Tasks,
    working: mpsc::Sender<()>,
}

impl Service {
    /// The task of this enclave, started if there is none.
    pub(crate) fn enclave(&self, id: EnclaveId) -> Enclave {
        let mut enclaves = self.enclaves.lock().unwrap_or_else(PoisonError::into_inner);
        let follow = || Enclave::follow(id, Arc::clone(&self.parts), &self.tasks, self.working.clone());
        enclaves.entry(id).or_insert_with(follow).clone()
    }

    /// Lets each enclave here know whether its licence will stop it.
    pub(crate) fn tell_of_licenses(&self, stops: &[LicenseStop]) {
        let stops: HashMap<_, _> = stops.iter().map(|stop| (stop.enclave, *stop)).collect();
        let enclaves = self.enclaves.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, enclave) in enclaves.iter() {
            enclave.license(stops.get(id).copied());
        }
    }

    /// Lets the task of an enclave end whose row is gone.
    pub(crate) async fn forget(&self, id: &EnclaveId) {
        if let Ok(None) = self.parts.store.enclave(id).await {
            self.enclaves.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
    }

    /// Others have given this controller up: it ends what it runs, and begins anew under another id.
    pub(crate) async fn was_buried(&self) {
        tracing::error!("this controller was given up by another: it ends what it runs and begins anew");
        let all: Vec<Enclave> = {
            let mut enclaves = self.enclaves.lock().unwrap_or_else(PoisonError::into_inner);
            enclaves.drain().map(|(_, enclave)| enclave).collect()
        };
        for enclave in all {
            enclave.surrender().await.ok();
        }
        match rounds::register(&self.parts.config, &self.parts.store).await {
            Ok(id) => *self.parts.myself.lock().unwrap_or_else(PoisonError::into_inner) = id,
            Err(error) => {
                tracing::error!(error = %server::telemetry::chain(error.as_ref()), "not registered again");
            }
        }
    }

    async fn known(&self, id: &str) -> Result<EnclaveId, Status> {
        let id: EnclaveId = id.parse().map_err(|_| Status::invalid_argument("not an enclave id"))?;
        match self.parts.store.enclave(&id).await {
            Ok(Some(_)) => Ok(id),
            Ok(None) => Err(Status::not_found("no such enclave")),
            Err(_) => Err(Status::unavailable("the store does not answer")),
        }
    }

    /// Has the row's wish done, here or by the controller that has claimed it.
    async fn settle(&self, id: EnclaveId, reason: &str) -> Result<(), Status> {
        match self.enclave(id).settle(reason).await.map_err(status)? {
            Where::Here => Ok(()),
            Where::Elsewhere => elsewhere::settled(&self.parts.store, &id).await,
        }
    }
}

fn status(why: Unstartable) -> Status {
    match why {
        Unstartable::NotFound => Status::not_found("no such enclave"),
        Unstartable::NotWanted => Status::failed_precondition("its user does not want it to run"),
        Unstartable::Elsewhere => Status::unavailable("another controller has it"),
        Unstartable::NoCapacity => Status::resource_exhausted("the node has no room for another enclave now"),
        Unstartable::LeftOver => Status::unavailable("what a former run left of it does not end"),
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
        let (out, stream) = mpsc::channel(STREAM);
        let stages = match self.enclave(id).start().await {
            Ok(stages) => stages,
            Err(Unstartable::Elsewhere) => {
                let store = self.parts.store.clone();
                self.tasks.spawn_cancellable(async move {
                    out.send(Ok(elsewhere::started(&store, &id).await)).await.ok();
                });
                return Ok(Response::new(Box::pin(ReceiverStream::new(stream))));
            }
            Err(why) => return Err(status(why)),
        };
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
        self.settle(id, &reason).await?;
        Ok(Response::new(StopEnclaveResponse {}))
    }

    async fn delete_enclave(
        &self,
        request: Request<DeleteEnclaveRequest>,
    ) -> Result<Response<DeleteEnclaveResponse>, Status> {
        let id = self.known(&request.into_inner().enclave_id).await?;
        self.settle(id, "deleted").await?;
        self.forget(&id).await;
        Ok(Response::new(DeleteEnclaveResponse {}))
    }

    async fn start_queue(
        &self,
        _: Request<StartQueueRequest>,
    ) -> Result<Response<StartQueueResponse>, Status> {
        let enclave_ids = self.parts.starts.waiting().iter().map(EnclaveId::to_string).collect();
        Ok(Response::new(StartQueueResponse { enclave_ids, full: self.parts.starts.is_full() }))
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
