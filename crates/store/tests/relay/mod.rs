//! Stands between the store and PostgreSQL, and ends a connection at a chosen message.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const SOCKET: &str = ".s.PGSQL.5432";

/// Where the next connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The client has sent COMMIT, which does not reach the server.
    Commit,
    /// The server has made the commit, and its answer does not reach the client.
    ReplyToCommit,
    /// The client has sent a query outside of a transaction.
    Read,
}

impl Cut {
    fn is_in(self, message: &[u8]) -> bool {
        let word: &[u8] = match self {
            Self::Commit | Self::ReplyToCommit => b"COMMIT\0",
            Self::Read => b"FROM users WHERE name",
        };
        message.windows(word.len()).any(|window| window == word)
    }
}

pub struct Relay {
    folder: TempDir,
    armed: Arc<Mutex<Option<Cut>>>,
}

impl Relay {
    /// A socket of its own that leads to the server of this URL.
    pub fn before(url: &str) -> Self {
        let server = PathBuf::from(folder_of(url)).join(SOCKET);
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let armed = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&armed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { folder, armed }
    }

    pub fn url(&self, url: &str) -> String {
        url.replace(folder_of(url), &self.folder.path().display().to_string())
    }

    pub fn arm(&self, cut: Cut) {
        *self.armed.lock().unwrap() = Some(cut);
    }

    pub fn has_cut(&self) -> bool {
        self.armed.lock().unwrap().is_none()
    }
}

fn folder_of(url: &str) -> &str {
    url.split("host=").nth(1).unwrap().split('&').next().unwrap()
}

/// Passes messages until one side ends, or the cut is reached. Sessions here are without TLS and their messages small.
async fn pass(mut client: UnixStream, mut server: UnixStream, armed: Arc<Mutex<Option<Cut>>>) {
    let (mut from_client, mut from_server) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let message = &from_client[..length];
                let cut = armed.lock().unwrap().take_if(|cut| cut.is_in(message));
                match cut {
                    Some(Cut::Commit | Cut::Read) => return,
                    Some(Cut::ReplyToCommit) => {
                        server.write_all(message).await.unwrap();
                        let _ = server.read(&mut from_server).await;
                        return;
                    }
                    None => if server.write_all(message).await.is_err() { return },
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() { return }
            }
        }
    }
}
