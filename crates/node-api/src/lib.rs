//! Client of the agent's node-local API over its Unix sockets: [`Node`] for facades, [`Admin`] for the controller.
//!
//! Not here: the API's types (`api::node`) and the server (`agent`). One short connection per call; every call has a
//! deadline and every answer a bound.

mod call;

use std::path::{Path, PathBuf};

use api::node::{
    BindProcess, CertifiedChain, CertifyRequest, EvidenceRequest, NodeDescription, RegisterKey,
    SelfDescription, StartEnclave, StopEnclave,
};
use hyper::Method;
use names::EnclaveId;

pub use call::CallError;
use call::{call, call_raw};

/// The agent as a facade sees it.
#[derive(Debug, Clone)]
pub struct Node {
    socket: PathBuf,
}

impl Node {
    /// The agent behind this socket (`agent.sock`).
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf() }
    }

    /// What the agent knows of this process.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn myself(&self) -> Result<SelfDescription, CallError> {
        call(&self.socket, Method::GET, "/v1/self", None::<&()>).await
    }

    /// Registers the enclave's TLS key; the first one is pinned and logged.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn register_key(&self, request: &RegisterKey) -> Result<(), CallError> {
        call_raw(&self.socket, Method::PUT, "/v1/self/key", Some(request)).await.map(drop)
    }

    /// Has a certificate made for the registered key.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn certify(&self, request: &CertifyRequest) -> Result<CertifiedChain, CallError> {
        call(&self.socket, Method::POST, "/v1/self/certificate", Some(request)).await
    }

    /// Evidence of purpose `serve` as JSON bytes, passed on unread.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn evidence(&self, request: &EvidenceRequest) -> Result<Vec<u8>, CallError> {
        call_raw(&self.socket, Method::POST, "/v1/self/evidence", Some(request)).await
    }

    /// The node and its verdict.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn node(&self) -> Result<NodeDescription, CallError> {
        call(&self.socket, Method::GET, "/v1/node", None::<&()>).await
    }
}

/// The agent as the controller sees it.
#[derive(Debug, Clone)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    /// The agent behind this socket (`admin.sock`).
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf() }
    }

    /// Logs the start of an enclave, before it is started.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn start_enclave(&self, request: &StartEnclave) -> Result<(), CallError> {
        call_raw(&self.socket, Method::POST, "/v1/enclaves", Some(request)).await.map(drop)
    }

    /// Says which process the enclave's facade is.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn bind_process(&self, id: &EnclaveId, request: &BindProcess) -> Result<(), CallError> {
        let path = format!("/v1/enclaves/{id}/process");
        call_raw(&self.socket, Method::PUT, &path, Some(request)).await.map(drop)
    }

    /// Logs the end of an enclave.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn stop_enclave(&self, id: &EnclaveId, request: &StopEnclave) -> Result<(), CallError> {
        let path = format!("/v1/enclaves/{id}/stop");
        call_raw(&self.socket, Method::POST, &path, Some(request)).await.map(drop)
    }

    /// The node and its verdict.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn node(&self) -> Result<NodeDescription, CallError> {
        call(&self.socket, Method::GET, "/v1/node", None::<&()>).await
    }
}
