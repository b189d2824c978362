//! Which name leads to which facade: a plain table, replaced whole each time the controller sends it.
//!
//! Invariant: a name is in the table exactly as the controller wrote it; nothing is matched by prefix or wildcard.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::v1::controller_client::ControllerClient;
use proto::v1::{RouteTable, WatchRoutesRequest};
use tokio::sync::watch;
use tracing::{info, warn};

/// Routes that one edge accepts from its controller.
pub const MAX_ROUTES: usize = 100_000;

// How long to wait before the controller is asked again: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// The route table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(HashMap<String, PathBuf>);

impl Routes {
    /// The facade's socket behind an exact name.
    #[must_use]
    pub fn socket(&self, host: &str) -> Option<&Path> {
        self.0.get(host).map(PathBuf::as_path)
    }
}

impl FromIterator<(String, PathBuf)> for Routes {
    fn from_iter<I: IntoIterator<Item = (String, PathBuf)>>(routes: I) -> Self {
        Self(routes.into_iter().collect())
    }
}

impl From<RouteTable> for Routes {
    fn from(table: RouteTable) -> Self {
        table.routes.into_iter().take(MAX_ROUTES).map(|route| (route.host, route.socket.into())).collect()
    }
}

/// Follows the controller's table for as long as somebody reads it. While the controller is away the last table
/// stays: a tunnel does not need the controller.
pub async fn follow(mut controller: ControllerClient<proto::Channel>, table: watch::Sender<Routes>) {
    let mut pause = FIRST_PAUSE;
    while !table.is_closed() {
        match one_stream(&mut controller, &table).await {
            Ok(0) => {}
            Ok(_) => pause = FIRST_PAUSE,
            Err(status) => {
                warn!(code = %status.code(), message = status.message(), "route table out of reach")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = table.closed() => {}
        }
        pause = LAST_PAUSE.min(pause * 2);
    }
}

/// Reads one stream to its end; how many tables came.
async fn one_stream(
    controller: &mut ControllerClient<proto::Channel>,
    table: &watch::Sender<Routes>,
) -> Result<u64, tonic::Status> {
    let mut stream = controller.watch_routes(WatchRoutesRequest {}).await?.into_inner();
    let mut tables = 0;
    while let Some(received) = stream.message().await? {
        let routes = Routes::from(received);
        info!(routes = routes.0.len(), "route table");
        table.send_replace(routes);
        tables += 1;
    }
    Ok(tables)
}
