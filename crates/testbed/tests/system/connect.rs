//! `enclave connect` with the real facade, real clients (curl, Python's websockets) and hostile ones.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use testbed::{Door, User, World, binary};

use crate::SOON;

fn with_enclave<'a>(world: &'a World, name: &str) -> User<'a> {
    let user = world.user(name);
    user.sign_up();
    user.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    user.ok(&["enclave", "create", "notes", "--app", "hello"]);
    user
}

/// Status and body of what curl gets, 0 where there is no answer.
fn curl(arguments: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "60", "--noproxy", "*", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn code_of(body: &str) -> (String, Option<String>) {
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    (text("code").unwrap_or_else(|| panic!("{problem}")), text("reason"))
}

fn over_socket<'a>(door: &'a Door, more: &[&'a str]) -> (u16, String) {
    curl(&[&["--unix-socket", door.place(), "http://notes/"], more].concat())
}

fn show(door: &Door) -> String {
    format!("authorization: Bearer {}", door.bearer())
}

/// Debian's Python with its websockets, the client of RFC 6455 that we test with.
fn python(script: &str, arguments: &[&str]) -> std::process::Output {
    let mut python = Command::new("/usr/bin/python3");
    let output = python.arg("-c").arg(script).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("No module named"), "scripts/install.sh test brings it: {stderr}");
    output
}

#[test]
fn every_program_of_the_user_reaches_the_app_over_the_socket() {
    let world = World::new();
    let _up = world.up();
    let alice = with_enclave(&world, "alice");
    let socket = world.path("notes.sock");
    let door = alice.connect(&["notes", "--socket", socket.to_str().unwrap()]);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    door.says("verified: start 1, level simulated");

    let (status, body) = over_socket(&door, &["-H", "authorization: Bearer of-the-guest", "-H", "x-mine: 1"]);
    assert_eq!(status, 200, "{body}");
    assert!(body.starts_with("hi from inside the enclave") && body.contains("x-mine: 1"), "{body}");
    assert!(!body.contains("of-the-guest") && body.contains("x-sealwright-user"), "{body}");

    // Bodies stream both ways, much larger than any buffer, and many at once.
    let file = world.path("large");
    std::fs::write(&file, vec![b'x'; 8 << 20]).unwrap();
    let data = format!("@{}", file.display());
    thread::scope(|scope| {
        let many = (0..12).map(|_| {
            scope.spawn(|| {
                let echo = [
                    "--unix-socket",
                    door.place(),
                    "http://notes/echo",
                    "--data-binary",
                    &data,
                    "-H",
                    "Expect:",
                ];
                let (status, body) = curl(&echo);
                assert_eq!((status, body.len()), (200, 8 << 20));
            })
        });
        many.collect::<Vec<_>>().into_iter().for_each(|one| one.join().unwrap());
    });

    let script = "
import asyncio, sys, websockets
async def main():
    async with websockets.unix_connect(sys.argv[1], 'ws://notes/socket') as socket:
        for message in ['one', 'x' * 60000, b'bytes']:
            await socket.send(message)
            assert await socket.recv() == message
        await (await socket.ping())
asyncio.run(main())
print('echoed')
";
    let spoken = python(script, &[door.place()]);
    assert_eq!(String::from_utf8_lossy(&spoken.stdout), "echoed\n", "{spoken:?}");

    assert_eq!(door.interrupt(), 0);
    assert!(!socket.exists());
}

#[test]
fn a_door_on_a_port_is_for_who_shows_the_secret_and_for_no_page_of_another_site() {
    let world = World::new();
    let _up = world.up();
    let alice = with_enclave(&world, "alice");
    let door = alice.connect(&["notes", "--tcp"]);
    let url = format!("{}/", door.place());
    let secret = show(&door);
    let with = |more: &[&str]| curl(&[&[&url, "-H", &secret][..], more].concat());
    let refused = |(status, body): (u16, String)| (status, code_of(&body).0);

    // CVE-2024-28233 and its kind, DNS rebinding, and no secret at all.
    assert_eq!(refused(curl(&[&url])), (401, "door_secret".into()));
    assert_eq!(refused(curl(&[&url, "-H", "authorization: Bearer guess"])), (401, "door_secret".into()));
    assert_eq!(refused(with(&["-H", "Host: evil.example"])), (421, "door_host".into()));
    assert_eq!(refused(with(&["-H", "Origin: http://evil.example"])), (403, "door_origin".into()));
    assert_eq!(refused(with(&["-H", "Sec-Fetch-Site: cross-site"])), (403, "door_origin".into()));
    let (status, body) = with(&["-H", &format!("Origin: {}", door.place())]);
    assert_eq!(status, 200, "{body}");
    assert!(!body.contains(door.bearer()), "the app never sees the secret: {body}");
    assert!(body.contains("origin: https://notes-alice."), "{body}");

    // A browser's way: the address works once and leaves a cookie, which the app does not see.
    let jar = world.path("jar");
    let jar = jar.to_str().unwrap();
    let (status, body) = curl(&["--location", "--cookie-jar", jar, "--cookie", jar, door.open_url()]);
    assert_eq!(status, 200, "{body}");
    assert!(!body.contains("cookie"), "{body}");
    assert_eq!(refused(curl(&[door.open_url()])), (403, "door_key_used".into()));
    assert_eq!(curl(&["--cookie", jar, &url]).0, 200);

    let script = "
import asyncio, sys, websockets
async def main():
    url, secret = sys.argv[1:]
    for headers in [{}, {'Authorization': 'Bearer guess'}, {'Authorization': secret, 'Origin': 'http://evil.example'}]:
        try:
            await websockets.connect(url, extra_headers=headers)
            sys.exit('it was let in: ' + repr(headers))
        except websockets.InvalidStatusCode as refused:
            assert refused.status_code in (401, 403)
    async with websockets.connect(url, extra_headers={'Authorization': secret}) as socket:
        await socket.send('hello')
        assert await socket.recv() == 'hello'
asyncio.run(main())
print('echoed')
";
    let socket = format!("{}/socket", door.place().replace("http://", "ws://"));
    let spoken = python(script, &[&socket, &format!("Bearer {}", door.bearer())]);
    assert_eq!(String::from_utf8_lossy(&spoken.stdout), "echoed\n", "{spoken:?}");

    // Somebody else on this machine, who even has the secret.
    if rustix::process::geteuid().is_root() {
        let nobody = Command::new("setpriv")
            .args([
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "curl",
                "--silent",
                "--noproxy",
                "*",
            ])
            .args([&url, "-H", &secret])
            .output()
            .unwrap();
        let body = String::from_utf8_lossy(&nobody.stdout);
        assert_eq!(code_of(&body).0, "door_peer");
        door.says("turned away: this door is for another user");
    }
    assert_eq!(door.interrupt(), 0);
}

#[test]
fn another_user_does_not_get_in_by_a_socket_either() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT CHECKED: only root can be another user");
        return;
    }
    let world = World::new();
    let _up = world.up();
    let alice = with_enclave(&world, "alice");
    let socket = world.path("notes.sock");
    let door = alice.connect(&["notes", "--socket", socket.to_str().unwrap()]);
    // Even where somebody opened the file: the kernel says whose the other end is.
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    let nobody = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "--silent"])
        .args(["--unix-socket", door.place(), "http://notes/"])
        .output()
        .unwrap();
    assert_eq!(code_of(&String::from_utf8_lossy(&nobody.stdout)).0, "door_peer");
    assert_eq!(over_socket(&door, &[]).0, 200);
}

#[test]
fn a_door_survives_a_restart_of_the_enclave_and_says_that_it_is_another_start() {
    let world = World::new();
    let _up = world.up();
    let alice = with_enclave(&world, "alice");
    let socket = world.path("notes.sock");
    let door = alice.connect(&["notes", "--socket", socket.to_str().unwrap()]);
    assert_eq!(over_socket(&door, &[]).0, 200);
    alice.ok(&["enclave", "stop", "notes"]);
    let (status, body) = over_socket(&door, &[]);
    assert_eq!((status, code_of(&body).0.as_str()), (502, "enclave_unreachable"), "{body}");
    alice.ok(&["enclave", "start", "notes"]);
    assert_eq!(over_socket(&door, &[]).0, 200);
    door.says("it was started again (start 2, before 1): verified again");
    assert_eq!(door.interrupt(), 0);
}

#[test]
fn a_door_closes_with_the_session() {
    let world = World::new();
    let _up = world.up();
    let alice = with_enclave(&world, "alice");
    let socket = world.path("notes.sock");
    let door = alice.connect(&["notes", "--socket", socket.to_str().unwrap()]);
    assert_eq!(over_socket(&door, &[]).0, 200);
    alice.ok(&["auth", "logout"]);
    assert_eq!(door.ended(), 4);
    assert!(!socket.exists());
}

/// Passes bytes on, to where the test says at the moment.
struct Switch {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Switch {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let current = Arc::clone(&target);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(*current.lock().unwrap()) else { continue };
                for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    thread::spawn(move || {
                        std::io::copy(&mut from, &mut to).ok();
                        to.shutdown(std::net::Shutdown::Both).ok();
                    });
                }
            }
        });
        Self { address, target }
    }

    fn turn_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

/// The demo's man in the middle. Ends with its standard input.
struct Middle {
    child: Child,
    address: SocketAddr,
}

impl Middle {
    fn between(host: &str, edge: &str) -> Self {
        let mut command = Command::new(binary("sealwright-middle"));
        let mut child =
            command.args([host, edge]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = Vec::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut byte = [0];
        while stdout.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        Self { child, address: String::from_utf8(line).unwrap().parse().unwrap() }
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

#[test]
fn a_man_in_the_middle_gets_nothing_and_the_guest_a_typed_502() {
    let world = World::new();
    let up = world.up();
    let alice = with_enclave(&world, "alice");
    let edge: SocketAddr = up.place().edge.parse().unwrap();
    let host = alice.json(&["enclave", "show", "notes"])["host"].as_str().unwrap().to_owned();
    let middle = Middle::between(&host, &up.place().edge);
    let switch = Switch::to(edge);
    alice.ok(&["context", "set", "edge", &switch.address.to_string()]);
    let socket = world.path("notes.sock");
    let door = alice.connect(&["notes", "--socket", socket.to_str().unwrap(), "--proof-age", "1s"]);
    assert_eq!(over_socket(&door, &[]).0, 200);

    switch.turn_to(middle.address);
    // The proved connection is still there and still good: it is in use now, so that the next request needs another one.
    let mut first = UnixStream::connect(door.place()).unwrap();
    let head = "POST /echo HTTP/1.1\r\nhost: notes\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
    first.write_all(head.as_bytes()).unwrap();
    let mut begun = [0; 12];
    first.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let (status, body) = over_socket(&door, &[]);
    let (code, reason) = code_of(&body);
    assert_eq!((status, code.as_str()), (502, "enclave_unproved"), "{body}");
    let expected = ["certificate_mismatch", "channel_mismatch", "audience_mismatch"];
    assert!(reason.as_deref().is_some_and(|reason| expected.contains(&reason)), "{body}");
    door.says("not verified any more");

    switch.turn_to(edge);
    assert_eq!(over_socket(&door, &[]).0, 200);
    // Opened through the middle, there is no door at all.
    switch.turn_to(middle.address);
    let other = world.path("other.sock");
    let refused =
        alice.run(&["enclave", "connect", "notes", "--allow-simulated", "--socket", other.to_str().unwrap()]);
    assert_eq!(refused.code, 3, "{refused:#?}");
    assert!(!other.exists());
}

#[test]
fn a_tunnel_is_cut_when_the_enclave_can_not_be_proved_any_more() {
    let world = World::new();
    let up = world.up();
    let alice = with_enclave(&world, "alice");
    let edge: SocketAddr = up.place().edge.parse().unwrap();
    let host = alice.json(&["enclave", "show", "notes"])["host"].as_str().unwrap().to_owned();
    let middle = Middle::between(&host, &up.place().edge);
    let switch = Switch::to(edge);
    alice.ok(&["context", "set", "edge", &switch.address.to_string()]);
    let door = alice.connect(&["notes", "--tcp", "--proof-age", "2s"]);
    let address: SocketAddr = door.place().strip_prefix("http://").unwrap().parse().unwrap();
    let mut tunnel = TcpStream::connect(address).unwrap();
    tunnel.set_read_timeout(Some(SOON)).unwrap();
    let secret = show(&door);
    let handshake = format!(
        "GET /socket HTTP/1.1\r\nhost: {address}\r\n{secret}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    tunnel.write_all(handshake.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        tunnel.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    // The key and its answer are those of RFC 6455, 1.3.
    assert!(String::from_utf8_lossy(&head).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    switch.turn_to(middle.address);
    door.says("not verified any more");
    // The end of the stream, without another byte.
    let mut rest = Vec::new();
    tunnel.read_to_end(&mut rest).ok();
    assert_eq!(rest, Vec::<u8>::new());
}
