//! The route table of the edge: which host is at which socket, the whole table at each change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proto::v1::{Route, RouteTable};
use tokio::sync::watch;

/// The table, changed here and watched by the edge.
#[derive(Debug)]
pub(crate) struct Routes {
    table: watch::Sender<BTreeMap<String, PathBuf>>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self { table: watch::channel(BTreeMap::new()).0 }
    }

    pub(crate) fn add(&self, host: &str, socket: PathBuf) {
        self.table.send_modify(|table| drop(table.insert(host.to_owned(), socket)));
    }

    /// Takes a host's route away, if it leads to this socket still: an orphaned enclave's name may be another one's by now.
    pub(crate) fn remove(&self, host: &str, socket: &Path) {
        self.table.send_if_modified(|table| {
            let is_its_own = table.get(host).is_some_and(|route| route == socket);
            is_its_own && table.remove(host).is_some()
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<BTreeMap<String, PathBuf>> {
        self.table.subscribe()
    }
}

/// The table as the edge reads it.
pub(crate) fn message(table: &BTreeMap<String, PathBuf>) -> RouteTable {
    let route = |(host, socket): (&String, &PathBuf)| Route {
        host: host.clone(),
        socket: socket.to_string_lossy().into_owned(),
    };
    RouteTable { routes: table.iter().map(route).collect() }
}
