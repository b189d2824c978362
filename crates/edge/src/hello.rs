//! Reads the server name out of a TLS ClientHello, in pieces as they arrive, and keeps the bytes for the upstream.
//!
//! Invariant: a name is returned only from a hello that is complete, well-formed and carries exactly one host name
//! in its one exact spelling. Nothing is repaired: rustls' own `Acceptor` lower-cases names, which is why it is only
//! the oracle of this module's tests. No I/O here, and nothing panics on any input.

/// Bytes of a whole ClientHello with its record headers. A post-quantum key share fits several times.
pub const MAX_HELLO: usize = 16 * 1024;

// RFC 8446 5.1: ContentType handshake, and the largest fragment.
const RECORD_HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 5;
const MAX_FRAGMENT: usize = 1 << 14;
// RFC 8446 4: HandshakeType client_hello.
const CLIENT_HELLO: u8 = 1;
// RFC 6066 3: extension server_name, NameType host_name.
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_HOST: u8 = 0;
// RFC 1035 2.3.4.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Why there is no name to route by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The first bytes are not a TLS handshake record: plain HTTP, for example.
    #[error("not TLS")]
    NotTls,
    /// A TLS record, but not a well-formed ClientHello.
    #[error("malformed ClientHello")]
    Malformed,
    /// More than [`MAX_HELLO`] bytes without an end.
    #[error("ClientHello too large")]
    TooLarge,
    /// No server name in it.
    #[error("no server name")]
    Unnamed,
    /// Upper case, a trailing dot, or anything else that is not the exact spelling of a host name.
    #[error("server name not in its exact spelling")]
    NotExact,
}

impl HelloError {
    /// The alert that answers it (RFC 8446 6.2, RFC 6066 3); `None` for who does not speak TLS.
    #[must_use]
    pub const fn alert(self) -> Option<u8> {
        match self {
            Self::NotTls => None,
            Self::Malformed | Self::TooLarge => Some(ALERT_DECODE_ERROR),
            Self::Unnamed | Self::NotExact => Some(ALERT_UNRECOGNIZED_NAME),
        }
    }
}

/// `decode_error`, RFC 8446 6.2.
pub const ALERT_DECODE_ERROR: u8 = 50;
/// `internal_error`, RFC 8446 6.2.
pub const ALERT_INTERNAL_ERROR: u8 = 80;
/// `unrecognized_name`, RFC 6066 3.
pub const ALERT_UNRECOGNIZED_NAME: u8 = 112;

/// A fatal alert as the one plaintext record that it is before any key exists.
#[must_use]
pub const fn alert_record(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}

/// A ClientHello in the making.
#[derive(Debug, Default)]
pub struct Hello {
    raw: Vec<u8>,
    /// Where in `raw` the first record starts that is not in `message` yet.
    next_record: usize,
    message: Vec<u8>,
}

impl Hello {
    /// Takes the next bytes from the wire. `Some(name)` once the hello is complete.
    ///
    /// # Errors
    /// [`HelloError`], as early as it can be known.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<String>, HelloError> {
        self.raw.extend_from_slice(bytes);
        while let Some(fragment) = next_fragment(self.raw.get(self.next_record..).unwrap_or_default())? {
            self.message.extend_from_slice(fragment);
            self.next_record += RECORD_HEADER + fragment.len();
            if let Some(body) = whole_message(&self.message)? {
                return server_name(body).map(Some);
            }
        }
        if self.raw.len() >= MAX_HELLO { Err(HelloError::TooLarge) } else { Ok(None) }
    }

    /// Every byte so far, to be replayed to the upstream.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.raw
    }
}

/// The payload of the record at the front, `None` while it is incomplete.
fn next_fragment(raw: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if raw.first().is_some_and(|kind| *kind != RECORD_HANDSHAKE) {
        return Err(HelloError::NotTls);
    }
    // RFC 8446 5.1: legacy_record_version is 0x0301 or 0x0303 and otherwise ignored; its first byte is always 3.
    if raw.get(1).is_some_and(|major| *major != 3) {
        return Err(HelloError::NotTls);
    }
    let Some(([_, _, _, high, low], rest)) = raw.split_first_chunk::<RECORD_HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length == 0 || length > MAX_FRAGMENT {
        return Err(HelloError::Malformed);
    }
    Ok(rest.get(..length))
}

/// The body of the handshake message, `None` while it is incomplete.
fn whole_message(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(HelloError::Malformed);
    }
    let Some(([_, a, b, c], rest)) = message.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    if length > MAX_HELLO {
        return Err(HelloError::TooLarge);
    }
    match rest.len() {
        have if have < length => Ok(None),
        have if have == length => Ok(Some(rest)),
        // RFC 8446 5.1: nothing may follow a ClientHello in its flight.
        _ => Err(HelloError::Malformed),
    }
}

/// RFC 8446 4.1.2.
fn server_name(body: &[u8]) -> Result<String, HelloError> {
    let mut body = Fields(body);
    body.take(2 + 32)?; // legacy_version, random
    body.vector8()?; // legacy_session_id
    body.vector16()?; // cipher_suites
    body.vector8()?; // legacy_compression_methods
    let mut extensions = Fields(body.vector16()?);
    body.end()?;
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let content = extensions.vector16()?;
        if kind != EXTENSION_SERVER_NAME {
            continue;
        }
        // RFC 8446 4.2: no extension twice.
        if found.replace(content).is_some() {
            return Err(HelloError::Malformed);
        }
    }
    host_name(found.ok_or(HelloError::Unnamed)?)
}

/// RFC 6066 3: a list in which we accept one host name and nothing else.
fn host_name(content: &[u8]) -> Result<String, HelloError> {
    let mut content = Fields(content);
    let mut list = Fields(content.vector16()?);
    content.end()?;
    if list.take(1)? != [NAME_HOST] {
        return Err(HelloError::Malformed);
    }
    let name = list.vector16()?;
    list.end()?;
    let name = core::str::from_utf8(name).map_err(|_| HelloError::NotExact)?;
    let exact = name.len() <= MAX_NAME && name.split('.').all(is_label);
    if exact { Ok(name.to_owned()) } else { Err(HelloError::NotExact) }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty()
        && label.len() <= MAX_LABEL
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// What is left of a structure; every read is checked.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number16(&mut self) -> Result<u16, HelloError> {
        let (bytes, rest) = self.0.split_first_chunk::<2>().ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn vector8(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.take(1)?.first().copied().ok_or(HelloError::Malformed)?;
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }

    fn end(&self) -> Result<(), HelloError> {
        if self.0.is_empty() { Ok(()) } else { Err(HelloError::Malformed) }
    }
}

#[cfg(test)]
mod tests;
