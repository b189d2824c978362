//! `enclave connect`: opens the door, says where it is, and tells what happens until Ctrl-C.

use std::sync::{Arc, Mutex, PoisonError};

use client::connect::{Bridge, Door, Event, Options, Place, default_socket};
use serde::Serialize;

use super::setting::Setting;
use crate::arguments::{ConnectOptions, DoorPlace, Globals};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{fields, print, tame};
use crate::signals::Signals;

/// Where the door is. The secrets are for the user of this process, who alone sees this output.
#[derive(Serialize)]
struct Opened {
    enclave: String,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer: Option<String>,
}

pub(crate) async fn run(globals: &Globals, options: ConnectOptions) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let ConnectOptions { name, place, proof_age, trust } = options;
    let setting = Setting::open(globals)?;
    let trust = setting.trust(&trust)?;
    let gateway = setting.gateway(globals)?;
    let place = match place {
        DoorPlace::DefaultSocket => Place::Unix(default_socket(gateway.profile(), &name)),
        DoorPlace::Socket(path) => Place::Unix(path),
        DoorPlace::Tcp(address) => Place::Tcp(address),
    };
    let shown = name.to_string();
    let bridging = Bridge::to(gateway, Options { name, trust, proof_age }, teller());
    let bridge = tokio::select! {
        bridge = bridging => bridge?,
        () = signals.wait() => return Err(Failure::new(ExitCode::Interrupted, "interrupted")),
    };
    let door = Door::open(&place).await.map_err(client::Error::from)?;
    announce(globals, shown, &door)?;
    bridge.serve(door, signals.wait()).await?;
    eprintln!("connect: closed");
    Ok(())
}

fn announce(globals: &Globals, enclave: String, door: &Door) -> Result<(), Failure> {
    let keys = door.keys();
    let opened = Opened {
        enclave,
        place: door.place(),
        open: keys.map(|keys| keys.open_url().expose().to_owned()),
        bearer: keys.map(|keys| keys.bearer().expose().to_owned()),
    };
    print(globals.output, &opened, || match (&opened.open, &opened.bearer) {
        (Some(open), Some(bearer)) => fields(&[
            ("address", opened.place.clone()),
            ("open once", open.clone()),
            ("bearer", bearer.clone()),
        ]),
        _ => fields(&[
            ("socket", opened.place.clone()),
            ("try", format!("curl --unix-socket {} http://{}/", opened.place, opened.enclave)),
        ]),
    })?;
    eprintln!("connect: open until Ctrl-C; only your own processes get in");
    Ok(())
}

/// Tells each event once; the same one again only after another.
fn teller() -> client::connect::Listener {
    let last = Mutex::new(None);
    Arc::new(move |event| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() != Some(&event) {
            eprintln!("connect: {}", tame(&line(&event)));
            *last = Some(event);
        }
    })
}

fn line(event: &Event) -> String {
    match event {
        Event::Proved { incarnation, level, gaps } => {
            format!("verified: start {incarnation}, level {level}; {gaps} things are not proved")
        }
        Event::Restarted { before, now } => {
            format!("it was started again (start {now}, before {before}): verified again")
        }
        Event::Lost { message, reason } => match reason {
            Some(reason) => {
                format!("not verified any more: {message} [{reason}]; requests are answered with 502")
            }
            None => format!("not verified any more: {message}; requests are answered with 502"),
        },
        Event::TurnedAway(refusal) => format!("turned away: {} [{}]", refusal.detail(), refusal.code()),
    }
}
