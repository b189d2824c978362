//! `enclave request`: verified first, then asked over the same connection.

use std::io::Read;
use std::path::Path;

use base64ct::{Base64, Encoding};
use client::attested::AppRequest;
use client::{Answer, EnclaveName, Gateway, Trust};
use http::{HeaderValue, Method as HttpMethod};
use serde::Serialize;

use crate::arguments::{Body, Globals, Method, Output};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{print, write};

/// Largest body that is sent.
const BODY_BYTES: u64 = 64 << 20;

/// What was asked for.
pub(crate) struct Asked {
    pub(crate) name: EnclaveName,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Body,
}

#[derive(Serialize)]
struct Printed {
    level: names::Level,
    status: u16,
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

pub(crate) async fn run(
    globals: &Globals,
    gateway: &mut Gateway,
    asked: Asked,
    trust: &Trust,
) -> Result<(), Failure> {
    let body = read_body(&asked.body)?;
    let method = HttpMethod::from_bytes(asked.method.0.as_bytes())
        .map_err(|error| Failure::new(ExitCode::Usage, "not a method").because(error.to_string()))?;
    let expected = gateway.expected(&asked.name, trust).await?;
    let answered = gateway.ask_enclave(&expected).await?;
    let mut connection = gateway.judge_enclave(answered, &expected)?;
    let level = connection.trusted().level();
    eprintln!(
        "verified: {} at level {level}; {} things are not proved (sealwright enclave verify {})",
        asked.name,
        connection.report().not_proved.len(),
        asked.name
    );
    // The token is asked for only now: nothing is made that an unproved enclave could use.
    let token = gateway.enclave_token(&asked.name).await?;
    let answer = connection.request(&token, AppRequest { method, path: asked.path, body }).await?;
    eprintln!("{}", answer.status);
    show(globals, level, &answer)?;
    match answer.status.as_u16() {
        0..400 => Ok(()),
        _ => Err(Failure::new(ExitCode::Failed, format!("the enclave answers {}", answer.status))),
    }
}

fn show(globals: &Globals, level: names::Level, answer: &Answer) -> Result<(), Failure> {
    if globals.output != Output::Json {
        return write(&answer.body);
    }
    let text = str::from_utf8(&answer.body).ok().map(str::to_owned);
    let printed = Printed {
        level,
        status: answer.status.as_u16(),
        content_type: answer.header("content-type").map(str::to_owned),
        body_base64: text.is_none().then(|| Base64::encode_string(&answer.body)),
        body: text,
    };
    print(globals.output, &printed, String::new)
}

fn read_body(body: &Body) -> Result<Option<(bytes::Bytes, HeaderValue)>, Failure> {
    let (bytes, media_type) = match body {
        Body::Empty => return Ok(None),
        Body::Stdin => (bounded("standard input", std::io::stdin().lock())?, "application/octet-stream"),
        Body::File(path) => {
            let shown = path.display().to_string();
            let file = std::fs::File::open(path).map_err(|error| {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let exit = if missing { ExitCode::NotFound } else { ExitCode::Failed };
                Failure::new(exit, format!("{shown} can't be read")).because(error.to_string())
            })?;
            (bounded(&shown, file)?, media_type(path))
        }
    };
    Ok(Some((bytes.into(), HeaderValue::from_static(media_type))))
}

fn bounded(what: &str, reader: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    reader.take(BODY_BYTES + 1).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(ExitCode::Failed, format!("{what} can't be read")).because(error.to_string())
    })?;
    match bytes.len() as u64 > BODY_BYTES {
        true => Err(Failure::new(ExitCode::Failed, format!("{what} is larger than {BODY_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    }
}
