//! Finished spans on their way to the controller, which exports them: a facade has no network, and no part but its agent and its
//! controller knows it.

use std::sync::mpsc::{SyncSender, sync_channel};

use server::trace::{Record, Sink};
use workload::launch::SPAN_LINE;

use crate::say;

/// Spans that may wait for the pipe; more are dropped.
const WAITING: usize = 32;

/// The end at which spans go in. Whoever drops one never waits for the pipe.
pub struct Spans(SyncSender<Record>);

impl Spans {
    /// Starts the thread that writes them.
    ///
    /// # Errors
    /// Where there can't be another thread.
    pub fn start() -> std::io::Result<Self> {
        let (sender, queue) = sync_channel::<Record>(WAITING);
        std::thread::Builder::new().name("spans".to_owned()).spawn(move || {
            for record in queue {
                let Some(line) = record.to_line() else { continue };
                if say(&format!("{SPAN_LINE}{line}")).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(sender))
    }
}

impl Sink for Spans {
    fn take(&self, record: Record) {
        // A span that is lost is no reason to hold anything up.
        self.0.try_send(record).ok();
    }
}
