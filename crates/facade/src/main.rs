//! The facade's own binary: a small trusted base, started by the controller as `sealwright-facade --config FILE`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use facade::spans::Spans;
use server::trace::Recorder;
use workload::launch::FacadeExit;

fn main() -> ExitCode {
    sandbox::take_over();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [option, path] = arguments.as_slice() else { return usage() };
    if option != "--config" {
        return usage();
    }
    let recorder = match Spans::start() {
        Ok(spans) => Recorder::into_sink(Arc::new(spans)),
        Err(_) => Recorder::default(),
    };
    server::telemetry::install(Box::new(recorder), "info");
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "runtime");
                return ExitCode::from(FacadeExit::NotServing.code());
            }
        };
    let exit = runtime.block_on(facade::run_file(Path::new(path)));
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}

/// Threads that serve; the main thread waits for the app.
const WORKERS: usize = 2;

fn usage() -> ExitCode {
    eprintln!("usage: sealwright-facade --config FILE");
    ExitCode::from(FacadeExit::BadConfiguration.code())
}
