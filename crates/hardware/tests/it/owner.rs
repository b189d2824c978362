//! Lanes, bounds, and what happens when the owner or its device ends.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hardware::owner::LANE_CAPACITY;
use hardware::{
    AkPurpose, Delayed, Device, DeviceError, Lane, OwnerError, Replay, SoftwareTpm, Tpm, TpmError, TpmHandle,
    owner,
};
use tpm2::{Handle, PcrSelection};

use crate::replay::started;
use crate::support::{folder, software_tpm};

/// An owner that is busy until the returned sender is dropped, so that jobs wait in their lanes.
fn busy_owner() -> (TpmHandle, hardware::OwnerThread, mpsc::Sender<()>) {
    let (handle, thread) = owner::start(Tpm::start(Replay::new(vec![started()])).unwrap()).unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (begun, begin) = mpsc::channel::<()>();
    let other = handle.clone();
    std::thread::spawn(move || {
        other.run_blocking(Lane::Log, move |_| {
            begun.send(()).unwrap();
            let _ = released.recv();
        })
    });
    begin.recv().unwrap();
    (handle, thread, release)
}

#[tokio::test]
async fn tasks_and_threads_share_the_tpm() {
    let (_folder, tpm) = software_tpm();
    let (handle, thread) = owner::start(tpm).unwrap();
    let random = handle.run(Lane::Batch, |tpm| tpm.random(8)).await.unwrap().unwrap();
    assert_eq!(random.len(), 8);
    let other = handle.clone();
    let blocking =
        std::thread::spawn(move || other.run_blocking(Lane::Log, |tpm| tpm.read_nv(Handle(0x01ff_fff0))));
    assert_eq!(blocking.join().unwrap().unwrap().unwrap(), None);
    drop(handle);
    thread.join();
}

#[tokio::test]
async fn a_blocking_job_from_a_runtimes_thread_blocks_and_does_not_panic() {
    let (handle, thread) = owner::start(Tpm::start(Replay::new(vec![started()])).unwrap()).unwrap();
    assert_eq!(handle.run_blocking(Lane::Log, |_| 7), Ok(7));
    drop(handle);
    thread.join();
}

#[tokio::test]
async fn higher_lanes_go_first_and_each_lane_in_order() {
    let (handle, thread, release) = busy_owner();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for lane in [Lane::Keylime, Lane::Batch, Lane::Activation, Lane::Log, Lane::Keylime, Lane::Log] {
        let order = Arc::clone(&order);
        let number = waiting.len();
        let mut answer = Box::pin(handle.run(lane, move |_| order.lock().unwrap().push((lane, number))));
        // One poll puts the job into its lane.
        assert!(futures_poll(&mut answer).is_none());
        waiting.push(answer);
    }
    drop(release);
    for answer in waiting {
        answer.await.unwrap();
    }
    let expected = [
        (Lane::Log, 3),
        (Lane::Log, 5),
        (Lane::Activation, 2),
        (Lane::Batch, 1),
        (Lane::Keylime, 0),
        (Lane::Keylime, 4),
    ];
    assert_eq!(*order.lock().unwrap(), expected);
    drop(handle);
    thread.join();
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_full_lane_refuses_and_the_others_do_not() {
    let (handle, thread, release) = busy_owner();
    let mut waiting = Vec::new();
    for _ in 0..LANE_CAPACITY {
        let mut answer = Box::pin(handle.run(Lane::Keylime, |_| ()));
        assert!(futures_poll(&mut answer).is_none());
        waiting.push(answer);
    }
    assert_eq!(handle.run(Lane::Keylime, |_| ()).await, Err(OwnerError::Full(Lane::Keylime)));
    let mut log = Box::pin(handle.run(Lane::Log, |_| ()));
    assert!(futures_poll(&mut log).is_none());
    drop(release);
    log.await.unwrap();
    for answer in waiting {
        answer.await.unwrap();
    }
    drop(handle);
    thread.join();
}

#[tokio::test]
async fn a_job_is_done_even_if_nobody_waits_for_it_any_more() {
    let (handle, thread, release) = busy_owner();
    let (done, ended) = mpsc::channel();
    let mut answer = Box::pin(handle.run(Lane::Log, move |_| done.send(()).unwrap()));
    assert!(futures_poll(&mut answer).is_none());
    drop(answer);
    drop(release);
    drop(handle);
    thread.join();
    ended.recv().unwrap();
}

#[test]
fn a_job_that_panics_ends_the_owner_and_everybody_is_told() {
    let (handle, thread) = owner::start(Tpm::start(Replay::new(vec![started()])).unwrap()).unwrap();
    assert_eq!(handle.run_blocking(Lane::Batch, |_| panic!("a defect")), Err::<(), _>(OwnerError::Gone));
    thread.join();
    assert_eq!(handle.run_blocking(Lane::Log, |_| ()), Err(OwnerError::Gone));
}

#[test]
fn a_software_tpm_that_dies_is_gone_and_stays_gone() {
    let folder = folder();
    let device = SoftwareTpm::start(folder.path()).unwrap();
    let pid = rustix::process::Pid::from_raw(device.pid() as i32).unwrap();
    let mut tpm = Tpm::start(device).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    for _ in 0..3 {
        let error = tpm.extend(13, &[1; 32]).unwrap_err();
        assert!(matches!(error, TpmError::Device(DeviceError::Gone)), "{error:?}");
        assert!(error.is_gone());
    }
}

#[test]
fn the_bench_can_slow_quotes_down_and_nothing_else() {
    const DELAY: Duration = Duration::from_millis(50);
    let folder = folder();
    let device: Box<dyn Device> = Box::new(Delayed::new(SoftwareTpm::start(folder.path()).unwrap(), DELAY));
    let mut tpm = Tpm::start(device).unwrap();
    let key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let began = Instant::now();
    tpm.quote(&key, b"", &PcrSelection::sha256(&[0]).unwrap()).unwrap();
    assert!(began.elapsed() >= DELAY);
}

/// Nobody asks anything of the TPM: its end is noticed all the same.
#[tokio::test]
async fn a_software_tpm_that_is_killed_ends_its_owner() {
    let folder = folder();
    let device = SoftwareTpm::start(folder.path()).unwrap();
    let pid = rustix::process::Pid::from_raw(device.pid() as i32).unwrap();
    let (handle, thread) = owner::start(Tpm::start(device).unwrap()).unwrap();
    let ended = handle.ended();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(handle.run(Lane::Log, |_| ()).await, Err(OwnerError::Gone));
    thread.join();
}
