//! `auth login --device`: this machine shows a code, and a person says yes where they are logged in (RFC 8628).

use client::{Gateway, Session};

use super::Setting;
use crate::failure::Failure;
use crate::output::tame;

pub(super) async fn log_in(setting: &Setting, gateway: &mut Gateway) -> Result<Session, Failure> {
    let waiting = gateway.begin_device().await?;
    let code = waiting.code();
    eprintln!("Open {} where you are logged in, and enter:", tame(&code.verification_uri));
    eprintln!();
    eprintln!("    {}", tame(&code.user_code));
    eprintln!();
    eprintln!("(or open {})", tame(&code.verification_uri_complete));
    eprintln!("Say yes only if the code there is this one. Waiting; Ctrl-C ends it.");
    Ok(gateway.await_device(&setting.path, waiting).await?)
}
