//! `enclave logs`: what a program printed, and with `-f` what it prints from now on.

use std::io::{self, IsTerminal};
use std::time::Duration;

use client::{EnclaveName, Gateway};

use crate::arguments::Follow;
use crate::failure::Failure;
use crate::output::write;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// What has to be found again in a window that has moved on.
const TAIL: usize = 512;

pub(super) async fn run(gateway: &mut Gateway, name: &EnclaveName, follow: Follow) -> Result<(), Failure> {
    let mut shown = gateway.enclave_logs(name).await?;
    show(&shown)?;
    if follow == Follow::No {
        return Ok(());
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = gateway.enclave_logs(name).await?;
        show(news(&shown, &now))?;
        shown = now;
    }
}

/// What is new in a window of the newest bytes. Where nothing of the old is in it any more, all of it is.
fn news<'a>(before: &[u8], now: &'a [u8]) -> &'a [u8] {
    if let Some(more) = now.strip_prefix(before) {
        return more;
    }
    let tail = before.get(before.len().saturating_sub(TAIL)..).unwrap_or(before);
    let found = now.windows(tail.len().max(1)).rposition(|window| window == tail);
    found.and_then(|at| now.get(at + tail.len()..)).unwrap_or(now)
}

fn show(bytes: &[u8]) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => write(terminal_safe(bytes).as_bytes()),
        false => write(bytes),
    }
}

/// What a program printed, without what moves a cursor or clears a screen.
fn terminal_safe(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apps_output_does_not_drive_the_terminal() {
        assert_eq!(terminal_safe(b"a\tb\n\x1b[2Jc\xff"), "a\tb\n?[2Jc\u{fffd}");
    }

    #[test]
    fn only_what_is_new_is_shown() {
        assert_eq!(news(b"", b"one\n"), b"one\n");
        assert_eq!(news(b"one\n", b"one\ntwo\n"), b"two\n");
        assert_eq!(news(b"one\n", b"one\n"), b"");
        // The window has moved on.
        let long: Vec<u8> = (0..2000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let moved = [&long[3000..], b"new\n"].concat();
        assert_eq!(news(&long, &moved), b"new\n");
        // Another start of the program.
        assert_eq!(news(b"one\n", b"begun again\n"), b"begun again\n");
    }
}
