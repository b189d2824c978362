//! A facade's process tree as the driver follows it: what it says, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Duration;

use sandbox::{Group, Process};
use server::trace::{LINE_BYTES, Record, TraceContext};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use workload::launch::{ACTIVE_LINE, CAUSE_LINE, FacadeExit, READY_LINE, SPAN_LINE, SPANS};

use super::Lease;
use crate::driver::{Exit, Instance, Pending};

/// How long a facade that has ended may still be heard.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// After being asked to end, an enclave is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Longest line that a facade may say on its standard output.
const MAX_LINE: u64 = (LINE_BYTES + SPAN_LINE.len() + 1) as u64;

/// How it ended, where the kernel has killed a process of the app: the end of the app is explained by that.
const fn for_memory(exit: Exit) -> Exit {
    match exit {
        Exit::Facade(FacadeExit::AppEnded | FacadeExit::AppNotStarted | FacadeExit::AppNotListening)
        | Exit::Unknown
        | Exit::OutOfMemory => Exit::OutOfMemory,
        Exit::Facade(_) => exit,
    }
}

/// What a facade says on its standard output.
struct Said {
    ready: Option<oneshot::Sender<()>>,
    active: watch::Sender<Instant>,
    cause: watch::Sender<Option<String>>,
    process: Option<Process>,
    trace: Option<TraceContext>,
    spans: usize,
}

impl Said {
    /// Reads to the end; a line that is not in the contract ends the enclave.
    fn listen(mut self, output: ChildStdout) {
        let mut output = BufReader::new(output);
        loop {
            let mut line = String::new();
            match (&mut output).take(MAX_LINE).read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = line.trim_end();
            if line == ACTIVE_LINE {
                self.active.send_replace(Instant::now());
            } else if let Some(code) = line.strip_prefix(CAUSE_LINE).filter(|code| is_code(code)) {
                self.cause.send_replace(Some(code.to_owned()));
            } else if let Some(span) =
                line.strip_prefix(SPAN_LINE).and_then(|line| own_span(line, self.trace, &mut self.spans))
            {
                server::trace::hand_over(span);
            } else if let (READY_LINE, Some(ready)) = (line, self.ready.take()) {
                ready.send(()).ok();
            } else {
                tracing::error!(line, "a facade broke the launch contract and is ended");
                if let Some(Err(error)) = self.process.map(|process| process.kill()) {
                    tracing::error!(%error, "an enclave was not killed");
                }
                return;
            }
        }
    }
}

/// A span, if it is of the trace that this facade was given, and not one too many. A facade that would write into other people's
/// traces, or for ever, breaks the contract.
fn own_span(line: &str, trace: Option<TraceContext>, spans: &mut usize) -> Option<Record> {
    let record = Record::from_line(line)?;
    *spans += 1;
    let is_own = trace.is_some_and(|trace| trace.trace == record.context.trace);
    (is_own && *spans <= SPANS).then_some(record)
}

fn is_code(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(allowed)
}

/// A facade's process tree.
pub(super) struct Running {
    process: Process,
    stdin: Option<ChildStdin>,
    ready: Option<oneshot::Receiver<()>>,
    exit: watch::Receiver<Option<Exit>>,
    active: watch::Receiver<Instant>,
    cause: watch::Receiver<Option<String>>,
}

impl Running {
    pub(super) fn follow(
        mut child: Child,
        lease: Lease,
        trace: Option<TraceContext>,
    ) -> std::io::Result<Self> {
        let gone = || std::io::Error::new(std::io::ErrorKind::NotFound, "it ended at once");
        let process = Process::of_child(child.id());
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let (say_ready, ready) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        let (say_active, active) = watch::channel(Instant::now());
        let (say_cause, cause) = watch::channel(None);
        let (ready_word, spans) = (Some(say_ready), 0);
        let said = Said { ready: ready_word, active: say_active, cause: say_cause, process, trace, spans };
        let (heard, end_of_words) = std::sync::mpsc::channel::<()>();
        std::thread::Builder::new().name(format!("heard-{}", child.id())).spawn(move || {
            if let Some(output) = stdout {
                said.listen(output);
            }
            drop(heard);
        })?;
        std::thread::Builder::new().name(format!("enclave-{}", child.id())).spawn(move || {
            let status = child.wait();
            // Its last word is why it ended. A stranger who holds its pipe can't delay the end.
            end_of_words.recv_timeout(LAST_WORDS).ok();
            let code = status.ok().and_then(|status| status.code());
            let exit = code.and_then(FacadeExit::from_code).map_or(Exit::Unknown, Exit::Facade);
            let out_of_memory = lease.group.as_ref().is_some_and(Group::ran_out_of_memory);
            drop(lease);
            let exit = if out_of_memory { for_memory(exit) } else { exit };
            ended.send_replace(Some(exit));
        })?;
        Ok(Self { process: process.ok_or_else(gone)?, stdin, ready: Some(ready), exit, active, cause })
    }

    async fn exit(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::Unknown),
            Err(_) => Exit::Unknown,
        }
    }

    fn kill(&self) {
        if let Err(error) = self.process.kill() {
            tracing::error!(pid = self.process.pid, %error, "an enclave was not killed");
        }
    }
}

impl Instance for Running {
    fn process(&self) -> store::Process {
        store::Process { pid: self.process.pid, start_time: self.process.start_time }
    }

    fn ready(&mut self) -> Pending<'_, Result<(), Exit>> {
        Box::pin(async {
            let Some(ready) = self.ready.take() else { return Ok(()) };
            match ready.await {
                Ok(()) => Ok(()),
                // Its output ended without the word: it is ending.
                Err(_) => Err(self.exit().await),
            }
        })
    }

    fn activity(&self) -> watch::Receiver<Instant> {
        self.active.clone()
    }

    fn cause(&self) -> Option<String> {
        self.cause.borrow().clone()
    }

    fn ended(&mut self) -> Pending<'_, Exit> {
        Box::pin(self.exit())
    }

    fn stop(&mut self) -> Pending<'_, ()> {
        Box::pin(async {
            // The end of its standard input asks the facade to end.
            drop(self.stdin.take());
            if tokio::time::timeout(STOP_GRACE, self.exit()).await.is_err() {
                self.kill();
                self.exit().await;
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exit.borrow().is_none() {
            self.kill();
        }
    }
}
