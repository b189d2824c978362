//! Which name leads to which facade: a plain table, made of those of all controllers, each replaced whole when it is sent.
//!
//! Invariant: a name is in the table exactly as a controller wrote it; nothing is matched by prefix or wildcard.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::v1::controller_client::ControllerClient;
use proto::v1::{RouteTable, WatchRoutesRequest};
use tokio::sync::watch;
use tracing::{info, warn};

/// Routes that one edge accepts from each controller.
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

/// The tables of all controllers, and the one that they make together.
///
/// A name is in two tables only while an enclave moves: its old controller is gone and has said no more. So what a controller
/// says that is there counts more than the last word of one that is not, and the later word more than the earlier one.
#[derive(Debug)]
pub struct Tables {
    parts: Mutex<Parts>,
    whole: watch::Sender<Routes>,
}

#[derive(Debug)]
struct Parts {
    tables: Vec<Table>,
    words: u64,
}

#[derive(Debug, Default)]
struct Table {
    routes: Routes,
    is_there: bool,
    /// Which of all words it was.
    word: u64,
}

impl Tables {
    /// Empty tables of so many controllers, and the whole as it changes.
    #[must_use]
    pub fn new(controllers: usize) -> (Self, watch::Receiver<Routes>) {
        let (whole, routes) = watch::channel(Routes::default());
        let tables = std::iter::repeat_with(Table::default).take(controllers).collect();
        (Self { parts: Mutex::new(Parts { tables, words: 0 }), whole }, routes)
    }

    /// A controller has said this.
    pub fn says(&self, number: usize, routes: Routes) {
        let mut parts = self.lock();
        parts.words += 1;
        let word = parts.words;
        if let Some(table) = parts.tables.get_mut(number) {
            *table = Table { routes, is_there: true, word };
        }
        self.publish(&parts);
    }

    /// A controller does not answer any more: its last table stays, because a tunnel does not need it.
    pub fn is_away(&self, number: usize) {
        let mut parts = self.lock();
        if let Some(table) = parts.tables.get_mut(number) {
            table.is_there = false;
        }
        self.publish(&parts);
    }

    fn publish(&self, parts: &Parts) {
        let mut order: Vec<&Table> = parts.tables.iter().collect();
        order.sort_by_key(|table| (table.is_there, table.word));
        let all = order.into_iter().flat_map(|table| table.routes.0.iter());
        let whole = Routes(all.map(|(host, socket)| (host.clone(), socket.clone())).collect());
        self.whole.send_if_modified(|routes| {
            let is_new = *routes != whole;
            *routes = whole;
            is_new
        });
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows one controller's table for as long as somebody reads the whole.
pub async fn follow(mut controller: ControllerClient<proto::Channel>, tables: Arc<Tables>, number: usize) {
    let mut pause = FIRST_PAUSE;
    while !tables.whole.is_closed() {
        match one_stream(&mut controller, &tables, number).await {
            Ok(0) => {}
            Ok(_) => pause = FIRST_PAUSE,
            Err(status) => {
                warn!(number, code = %status.code(), message = status.message(), "route table out of reach")
            }
        }
        tables.is_away(number);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = tables.whole.closed() => {}
        }
        pause = LAST_PAUSE.min(pause * 2);
    }
}

/// Reads one stream to its end; how many tables came.
async fn one_stream(
    controller: &mut ControllerClient<proto::Channel>,
    tables: &Tables,
    number: usize,
) -> Result<u64, tonic::Status> {
    let mut stream = controller.watch_routes(WatchRoutesRequest {}).await?.into_inner();
    let mut count = 0;
    while let Some(received) = stream.message().await? {
        let routes = Routes::from(received);
        info!(number, routes = routes.0.len(), "route table");
        tables.says(number, routes);
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(pairs: &[(&str, &str)]) -> Routes {
        pairs.iter().map(|(host, socket)| ((*host).to_owned(), PathBuf::from(socket))).collect()
    }

    #[test]
    fn an_enclave_that_moved_is_where_the_controller_that_is_there_says() {
        let (tables, whole) = Tables::new(2);
        tables.says(0, routes(&[("a", "/one/a"), ("b", "/one/b")]));
        tables.says(1, routes(&[("c", "/two/c")]));
        assert_eq!(*whole.borrow(), routes(&[("a", "/one/a"), ("b", "/one/b"), ("c", "/two/c")]));
        // The first dies: what it had stays, until the second has taken it over.
        tables.is_away(0);
        assert_eq!(whole.borrow().socket("a"), Some(Path::new("/one/a")));
        tables.says(1, routes(&[("c", "/two/c"), ("a", "/two/a")]));
        assert_eq!(whole.borrow().socket("a"), Some(Path::new("/two/a")));
        // It comes back with nothing.
        tables.says(0, routes(&[]));
        assert_eq!(*whole.borrow(), routes(&[("c", "/two/c"), ("a", "/two/a")]));
        // Between two that are there, the later word counts.
        tables.says(0, routes(&[("a", "/one/a")]));
        assert_eq!(whole.borrow().socket("a"), Some(Path::new("/one/a")));
    }
}
