//! Retries and room making, by recorded exchanges.

use hardware::{DeviceError, Exchange, Replay, Tpm, TpmError};
use tpm2::ResponseCode;
use tpm2::command::{GetRandom, Startup};
use tpm2::frame::{Request, encode};

fn answer<R: Request>(request: &R, code: u32, body: &[u8]) -> Exchange {
    let mut response = vec![0x80, 0x01];
    response.extend((10 + body.len() as u32).to_be_bytes());
    response.extend(code.to_be_bytes());
    response.extend(body);
    Exchange { command: encode(request, &[]).unwrap(), response }
}

pub fn started() -> Exchange {
    answer(&Startup, 0, &[])
}

fn random(exchanges: impl IntoIterator<Item = Exchange>) -> Result<Vec<u8>, TpmError> {
    let exchanges = std::iter::once(started()).chain(exchanges).collect();
    Tpm::start(Replay::new(exchanges)).unwrap().random(2)
}

#[test]
fn a_started_tpm_is_not_an_error() {
    Tpm::start(Replay::new(vec![answer(&Startup, 0x100, &[])])).unwrap();
    let refused = Tpm::start(Replay::new(vec![answer(&Startup, 0x101, &[])])).err().unwrap();
    assert_eq!(refused.code(), Some(ResponseCode(0x101)));
}

#[test]
fn retry_yielded_and_testing_are_sent_again() {
    let again = [0x922, 0x908, 0x90a].map(|code| answer(&GetRandom(2), code, &[]));
    let good = answer(&GetRandom(2), 0, &[0, 2, 5, 6]);
    assert_eq!(random(again.into_iter().chain([good])).unwrap(), [5, 6]);
}

#[test]
fn retries_end() {
    let refused = random(std::iter::repeat_n(answer(&GetRandom(2), 0x922, &[]), 13)).unwrap_err();
    assert_eq!(refused.code(), Some(ResponseCode::RETRY));
}

#[test]
fn other_refusals_are_not_repeated() {
    for code in [0x101, 0x921, 0x904, 0x98e] {
        let refused = random([answer(&GetRandom(2), code, &[])]).unwrap_err();
        assert_eq!(refused.code(), Some(ResponseCode(code)));
        assert!(!refused.is_gone());
    }
}

#[test]
fn a_command_that_was_not_recorded_is_an_error_of_the_device() {
    let refused = random([answer(&GetRandom(3), 0, &[])]).unwrap_err();
    assert!(matches!(refused, TpmError::Device(DeviceError::NotRecorded(1))));
}

#[test]
fn a_response_that_is_cut_short_is_refused() {
    let mut short = answer(&GetRandom(2), 0, &[0, 2, 5, 6]);
    for length in 0..short.response.len() {
        short.response.truncate(length);
        assert!(matches!(random([short.clone()]), Err(TpmError::Response { .. })), "{length}");
        short = answer(&GetRandom(2), 0, &[0, 2, 5, 6]);
    }
}
