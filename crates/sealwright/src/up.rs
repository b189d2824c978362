//! `sealwright up`: all parts in this process, until Ctrl-C.

use ensemble::{Ensemble, Options, Settings, TpmChoice};
use store::DatabaseUrl;

use crate::arguments::{ServiceMode, Tpm, UpOptions};
use crate::failure::Failure;
use crate::signals::Signals;

/// Starts everything, says where it is, and stops it on Ctrl-C or SIGTERM.
pub(crate) async fn run(options: UpOptions) -> Result<(), Failure> {
    let mut config: Settings = match &options.config {
        Some(path) => crate::services::read(path)?,
        None => Settings::default(),
    };
    // Flags come before the file.
    config.database = options.database.clone().or(config.database);
    config.listen = options.listen.or(config.listen);
    if options.mode == ServiceMode::CheckConfig {
        return crate::services::show(&config);
    }
    let observed = observe::init("warn", &config.observe);
    if options.database.as_ref().is_some_and(DatabaseUrl::holds_password) {
        eprintln!(
            "up: every user of this machine can read a password in a flag: use `password_file=PATH` in the URL, or `database:` in --config"
        );
    }
    if let Err(error) = sandbox::keep_secrets() {
        eprintln!("up: core dumps of this process are possible: {error}");
    }
    let mut signals = Signals::listen()?;
    let wanted = Options {
        data: options.data.clone(),
        database: config.database,
        listen: config.listen,
        tpm: match &options.tpm {
            Tpm::Software => TpmChoice::Software,
            Tpm::Device(path) => TpmChoice::Device(path.clone()),
        },
        public_origin: config.public_origin,
        providers: config.providers,
        gateway: config.gateway,
        controller: config.controller,
        facade: config.facade,
        endorsement: ensemble::EndorsementAnchors {
            anchors: config.endorsement_anchors,
            intermediates: config.endorsement_intermediates,
        },
        dangerous_unisolated_apps: config.dangerous_unisolated_apps,
        dangerous_failpoint: config.dangerous_failpoint,
    };
    // Dropping the start, as an interruption does, ends what it had started.
    let ensemble = tokio::select! {
        started = ensemble::start(wanted, |line| eprintln!("up: {line}")) => started?,
        () = signals.wait() => return Ok(()),
    };
    if let Some(address) = ensemble.show(&config.observe, observed).await? {
        eprintln!("up: monitoring at http://{address}/metrics and /readyz");
    }
    announce(&ensemble, &options)?;
    tell_manager(observe::notify::ready());
    let ended = tokio::select! {
        () = signals.wait() => Ok(()),
        ended = ensemble.tpm_ended() => Err(anyhow::Error::from(ended).into()),
    };
    tell_manager(observe::notify::stopping());
    eprintln!("up: stopping; the enclaves are started again by the next `up` on this folder");
    if !ensemble.stop().await {
        eprintln!("up: something did not end in time and was cut off");
    }
    ended
}

fn announce(ensemble: &Ensemble, options: &UpOptions) -> Result<(), Failure> {
    let ready = ensemble.ready();
    if let Some(path) = &options.ready_file {
        ready.write(path)?;
    }
    eprintln!("up: gateway {}, edge {}, level {}", ready.url, ready.edge, ensemble.level());
    let context = ensemble.context();
    match client::Context::make_current(context) {
        Ok(_) => eprintln!("up: ready. Next: sealwright auth signup NAME   (Ctrl-C ends it)"),
        Err(error) => {
            eprintln!("up: ready, but this user's context is another one ({error})");
            eprintln!("up: next: sealwright --context {} auth signup NAME", context.display());
        }
    }
    Ok(())
}

/// A service manager that does not listen is no reason to stop.
fn tell_manager(told: std::io::Result<()>) {
    if let Err(error) = told {
        eprintln!("up: the service manager was not told: {error}");
    }
}
