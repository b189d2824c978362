//! The software TPM: `swtpm` as a child process that speaks over one end of a socket pair.
//!
//! The child gets its end as standard input, so that no descriptor is ever inheritable in this process and no other
//! child can get hold of it; since swtpm does not take descriptors below 3, a shell moves it there and becomes swtpm.
//! When our end closes, however we die, swtpm reads the end of the stream and exits. That is not enough where a command
//! waits unread in the stream: swtpm 0.7 answers it and then waits for ever, with the state locked. So the kernel also
//! sends it SIGTERM when we die, on which it writes its state and exits.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use tpm2::command::{DictionaryAttackLockReset, GetRandom, Shutdown};
use tpm2::frame::{self, HEADER};
use tpm2::session::Authorization;

use crate::device::{Device, DeviceError, stated_length};
use crate::factory::{self, Anchors};

/// The longest that any command may take: an RSA key is a search for primes.
const ANSWER: Duration = Duration::from_secs(120);
/// How long we wait for a predecessor that lost its socket to let go of the state.
const START: Duration = Duration::from_secs(10);
const START_STEP: Duration = Duration::from_millis(20);
const STOP: Duration = Duration::from_secs(3);
/// Who started it is the first argument: if that one died before the parent-death signal was set, nobody sends it.
const LAUNCH: &str = r#"[ "$PPID" = "$1" ] || exit 1; shift; exec "$@" 3<&0 </dev/null"#;
const LOG: &str = "swtpm.log";
/// What swtpm says when another one has the state.
const LOCKED: &str = "Could not lock";

/// A running software TPM.
pub struct SoftwareTpm {
    stream: Option<UnixStream>,
    child: Child,
    anchors: Anchors,
    gone: bool,
    // Held, not used: the folder is ours, and the child's parent thread lives, as long as this does.
    _lock: File,
    _parent: ParentThread,
}

/// Ends the thread that started the child when it is dropped: a parent-death signal is sent when the *thread* that
/// spawned ends, prctl(2).
struct ParentThread {
    _alive: mpsc::Sender<()>,
}

impl SoftwareTpm {
    /// Starts the software TPM whose files are in `folder`, and makes it first if the folder has none.
    pub fn start(folder: &Path) -> Result<Self, DeviceError> {
        let swtpm = factory::program("swtpm", "swtpm")?;
        let setpriv = factory::program("setpriv", "util-linux")?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(DeviceError::open(folder))?;
        let folder = folder.canonicalize().map_err(DeviceError::open(folder))?;
        let lock = lock(&folder)?;
        let machine = factory::machine(&folder)?;
        let began = Instant::now();
        loop {
            let (stream, command) = prepare(&setpriv, &swtpm, &folder, &machine.state)?;
            let (child, parent) = spawn(command)?;
            let lock = lock.try_clone().map_err(DeviceError::open(&folder))?;
            let anchors = machine.anchors.clone();
            let mut tpm =
                Self { stream: Some(stream), child, anchors, gone: false, _lock: lock, _parent: parent };
            let hello = frame::encode(&GetRandom(1), &[]).map_err(|_| DeviceError::Gone)?;
            match tpm.transact(&hello) {
                Ok(_) => {
                    tpm.forget_failed_tries()?;
                    return Ok(tpm);
                }
                Err(DeviceError::Gone) => {}
                Err(error) => return Err(error),
            }
            let output = fs::read_to_string(folder.join(LOG)).unwrap_or_default();
            // A predecessor may still hold the state while it ends.
            if !output.contains(LOCKED) || began.elapsed() > START {
                let status = tpm.child.wait().map_err(DeviceError::io("wait for swtpm"))?;
                return Err(DeviceError::Software { program: "swtpm", status, output });
            }
            thread::sleep(START_STEP);
        }
    }

    /// Each end without an orderly shutdown counts as a failed try of an authorization (Part 1, 19.8.6), because a
    /// dictionary attack could cut the power. Our keys have no authorization value to try, and we die with our TPM: after
    /// a few crashes it would refuse to quote.
    fn forget_failed_tries(&mut self) -> Result<(), DeviceError> {
        let nothing_to_prove = &mut [Authorization::Password(&[])];
        let command =
            frame::encode(&DictionaryAttackLockReset, nothing_to_prove).map_err(|_| DeviceError::Gone)?;
        let response = self.transact(&command)?;
        if let Err(error) = frame::decode(&DictionaryAttackLockReset, nothing_to_prove, &response) {
            tracing::warn!(%error, "the software TPM counts crashes as failed authorizations");
        }
        Ok(())
    }

    /// The CA certificates behind its endorsement certificate.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The process, for who wants to look at it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn lock(folder: &Path) -> Result<File, DeviceError> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(DeviceError::open(&path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DeviceError::InUse(folder.to_owned())),
        Err(error) => Err(DeviceError::Open { path, source: error.into() }),
    }
}

fn prepare(
    setpriv: &Path,
    swtpm: &Path,
    folder: &Path,
    state: &Path,
) -> Result<(UnixStream, Command), DeviceError> {
    let (ours, theirs) = UnixStream::pair().map_err(DeviceError::io("make a socket pair"))?;
    ours.set_read_timeout(Some(ANSWER)).map_err(DeviceError::io("set a timeout"))?;
    let path = folder.join(LOG);
    let log = File::create(&path).map_err(DeviceError::open(&path))?;
    let same_log = log.try_clone().map_err(DeviceError::open(&path))?;
    let mut state_argument = std::ffi::OsString::from("dir=");
    state_argument.push(state);
    let mut command = Command::new(setpriv);
    command
        .args(["--pdeathsig", "TERM", "--", "/bin/sh", "-c", LAUNCH, "sh"])
        .arg(std::process::id().to_string())
        .arg(swtpm)
        .args(["socket", "--tpm2", "--fd", "3", "--flags", "not-need-init,startup-clear", "--tpmstate"])
        .arg(state_argument)
        .env_clear()
        // A Ctrl-C is for us: we end the TPM in order.
        .process_group(0)
        .current_dir(folder)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(log)
        .stderr(same_log);
    Ok((ours, command))
}

fn spawn(mut command: Command) -> Result<(Child, ParentThread), DeviceError> {
    let (alive, until_dropped) = mpsc::channel();
    let (reply, answer) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("swtpm-parent".to_owned()).spawn(move || {
        // Who asked waits for the answer.
        reply.send(command.spawn()).ok();
        // It holds the other end of the stream as well.
        drop(command);
        // Nothing is ever sent: this ends when the other end is dropped.
        until_dropped.recv().ok();
    });
    thread.map_err(DeviceError::io("start a thread"))?;
    let child = answer.recv().map_err(|_| DeviceError::Gone)?.map_err(DeviceError::io("start swtpm"))?;
    Ok((child, ParentThread { _alive: alive }))
}

impl Device for SoftwareTpm {
    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
        if self.gone {
            return Err(DeviceError::Gone);
        }
        let result = match &mut self.stream {
            Some(stream) => exchange(stream, command),
            None => Err(DeviceError::Gone),
        };
        // After an error nobody knows which response belongs to which command.
        self.gone = result.is_err();
        result
    }

    fn has_ended(&mut self) -> bool {
        self.gone || !matches!(self.child.try_wait(), Ok(None))
    }
}

fn exchange(stream: &mut UnixStream, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
    stream.write_all(command).map_err(DeviceError::io("write"))?;
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).map_err(DeviceError::io("read"))?;
    let length = stated_length(&header)?;
    let mut response = header.to_vec();
    response.resize(length, 0);
    stream.read_exact(response.get_mut(HEADER..).unwrap_or_default()).map_err(DeviceError::io("read"))?;
    Ok(response)
}

impl Drop for SoftwareTpm {
    fn drop(&mut self) {
        if let Ok(command) = frame::encode(&Shutdown, &[]) {
            // An orderly end keeps the reset counter honest; if it does not work, the next start is a restart.
            let _ = self.transact(&command);
        }
        self.stream = None;
        let began = Instant::now();
        while began.elapsed() < STOP {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
