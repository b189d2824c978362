//! Each call of the API: its path, what goes in, what comes out.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use ::http::{HeaderValue, Method, Request};
use ::names::Digest;
use api::apps::{App, AppList, BlobDigests, MissingBlobs, PublishApp};
use api::enclaves::{CreateEnclave, Enclave, EnclaveEvents, EnclaveList, EnclaveToken, ExtendEnclave, Stage};
use api::paths;
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio_util::io::ReaderStream;
use workload::{AppName, AppVersion};

use super::{As, Call, Gateway, LIST_ROWS, asks_for_refresh, bearer, page};
use crate::enclaves::Lifetimes;
use crate::error::{AnswerError, Error, InputError};
use crate::http::{Answer, Body, Events, whole};
use crate::names::EnclaveName;
use crate::profile::Session;

/// Bytes that are read from a file at a time.
const CHUNK: usize = 64 << 10;

impl Gateway {
    /// `GET /v1/apps`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn apps(&mut self) -> Result<AppList, Error> {
        let mut all = AppList { apps: Vec::new(), next_cursor: None };
        loop {
            let path = page(paths::APPS, all.next_cursor.as_deref());
            let next: AppList = self.json(Call::new(Method::GET, &path, As::User)).await?;
            all.apps.extend(next.apps);
            all.next_cursor = next.next_cursor;
            if all.next_cursor.is_none() || all.apps.len() >= LIST_ROWS {
                return Ok(all);
            }
        }
    }

    /// `GET /v1/apps/{name}`, the newest version.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn app(&mut self, name: &AppName) -> Result<App, Error> {
        self.json(Call::new(Method::GET, &format!("{}/{name}", paths::APPS), As::User)).await
    }

    /// `GET /v1/apps/{name}?version=`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn app_version(&mut self, name: &AppName, version: &AppVersion) -> Result<App, Error> {
        // Of the characters of a version only `+` means something else in a query.
        let version = version.as_str().replace('+', "%2B");
        self.json(Call::new(Method::GET, &format!("{}/{name}?version={version}", paths::APPS), As::User))
            .await
    }

    /// `POST /v1/blobs/missing`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn missing_blobs(&mut self, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let mut missing = Vec::new();
        for some in digests.chunks(api::bounds::MISSING_DIGESTS) {
            let question = BlobDigests { digests: some.to_vec() };
            let call = Call::new(Method::POST, paths::BLOBS_MISSING, As::User).with_json(&question)?;
            let answer: MissingBlobs = self.json(call).await?;
            missing.extend(answer.missing.into_iter().filter(|digest| some.contains(digest)));
        }
        Ok(missing)
    }

    /// `PUT /v1/blobs/{sha256}`, streamed from the file.
    ///
    /// # Errors
    /// [`Error::Input`] where the file can't be read, and what the gateway says.
    pub async fn put_blob(&mut self, digest: &Digest, source: &Path) -> Result<(), Error> {
        let path = format!("{}/{digest}", paths::BLOBS);
        let call = Call::new(Method::PUT, &path, As::User);
        // The session is refreshed before the upload: a body of a file can't be sent twice.
        let session = self.fresh_session().await?;
        let input = |error| Error::Input { path: source.to_owned(), source: InputError::Io(error) };
        let file = tokio::fs::File::open(source).await.map_err(input)?;
        let size = file.metadata().await.map_err(input)?.len();
        let frames =
            futures_util::TryStreamExt::map_ok(ReaderStream::with_capacity(file, CHUNK), Frame::data);
        let body: Body = StreamBody::new(frames).boxed();
        let token = bearer(&session.access_token).ok_or_else(|| self.not_logged_in())?;
        let request = Request::put(&path)
            .header(HOST, self.context.gateway.to_string())
            .header(AUTHORIZATION, token)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .header(CONTENT_LENGTH, size)
            .body(body)
            .map_err(|error| call.unreadable(AnswerError::Json(error.to_string())))?;
        let answer = self.exchange(request).await?;
        self.judge(&call, answer).map(drop)
    }

    /// `POST /v1/apps`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn publish(&mut self, app: &PublishApp) -> Result<App, Error> {
        self.json(Call::new(Method::POST, paths::APPS, As::User).with_json(app)?).await
    }

    /// `POST /v1/enclaves`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn create_enclave(
        &mut self,
        name: &EnclaveName,
        app: &AppName,
        version: &AppVersion,
        lifetimes: Lifetimes,
    ) -> Result<Enclave, Error> {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        let question = CreateEnclave {
            name: name.to_string(),
            app: app.clone(),
            version: Some(version.clone()),
            idle_timeout: seconds(lifetimes.idle),
            max_age: seconds(lifetimes.age),
        };
        self.json(Call::new(Method::POST, paths::ENCLAVES, As::User).with_json(&question)?).await
    }

    /// `GET /v1/enclaves`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn enclaves(&mut self) -> Result<EnclaveList, Error> {
        let mut all = EnclaveList { enclaves: Vec::new(), next_cursor: None };
        loop {
            let path = page(paths::ENCLAVES, all.next_cursor.as_deref());
            let next: EnclaveList = self.json(Call::new(Method::GET, &path, As::User)).await?;
            all.enclaves.extend(next.enclaves);
            all.next_cursor = next.next_cursor;
            if all.next_cursor.is_none() || all.enclaves.len() >= LIST_ROWS {
                return Ok(all);
            }
        }
    }

    /// `GET /v1/enclaves/{name}`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn enclave(&mut self, name: &EnclaveName) -> Result<Enclave, Error> {
        self.json(Call::new(Method::GET, &format!("{}/{name}", paths::ENCLAVES), As::User)).await
    }

    /// `POST /v1/enclaves/{name}/stop`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn stop_enclave(&mut self, name: &EnclaveName) -> Result<(), Error> {
        self.done(Call::new(Method::POST, &format!("{}/{name}/stop", paths::ENCLAVES), As::User)).await
    }

    /// `POST /v1/enclaves/{name}/start`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn start_enclave(&mut self, name: &EnclaveName) -> Result<(), Error> {
        self.done(Call::new(Method::POST, &format!("{}/{name}/start", paths::ENCLAVES), As::User)).await
    }

    /// `POST /v1/enclaves/{name}/extend`: it is not stopped by itself for so long from now.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn extend_enclave(&mut self, name: &EnclaveName, by: Duration) -> Result<Enclave, Error> {
        let path = format!("{}/{name}/extend", paths::ENCLAVES);
        let question = ExtendEnclave { seconds: by.as_secs() };
        self.json(Call::new(Method::POST, &path, As::User).with_json(&question)?).await
    }

    /// `POST /v1/enclaves/{name}/cancel`: gives up a start or a queue place.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn cancel_enclave(&mut self, name: &EnclaveName) -> Result<(), Error> {
        self.done(Call::new(Method::POST, &format!("{}/{name}/cancel", paths::ENCLAVES), As::User)).await
    }

    /// `GET /v1/enclaves/{name}/events`: what has happened after the event of this number.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn enclave_events(&mut self, name: &EnclaveName, after: u64) -> Result<EnclaveEvents, Error> {
        let path = format!("{}/{name}/events?after={after}", paths::ENCLAVES);
        self.json(Call::new(Method::GET, &path, As::User)).await
    }

    /// `DELETE /v1/enclaves/{name}`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn delete_enclave(&mut self, name: &EnclaveName) -> Result<(), Error> {
        self.done(Call::new(Method::DELETE, &format!("{}/{name}", paths::ENCLAVES), As::User)).await
    }

    /// `GET /v1/enclaves/{name}/logs`: what the app printed, as bytes.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn enclave_logs(&mut self, name: &EnclaveName) -> Result<Vec<u8>, Error> {
        let path = format!("{}/{name}/logs", paths::ENCLAVES);
        Ok(self.call(&Call::new(Method::GET, &path, As::User)).await?.body)
    }

    /// `POST /v1/enclaves/{name}/token`: for this enclave only, bound to this user's certificate.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn enclave_token(&mut self, name: &EnclaveName) -> Result<EnclaveToken, Error> {
        self.json(Call::new(Method::POST, &format!("{}/{name}/token", paths::ENCLAVES), As::User)).await
    }

    /// `GET /v1/enclaves/{name}/stages`: hands on each stage until the enclave is ready.
    ///
    /// # Errors
    /// [`Error::StillStarting`] after `at_most`, [`Error::DidNotStart`], and what the gateway says.
    pub async fn follow(
        &mut self,
        name: &EnclaveName,
        at_most: Duration,
        on_stage: impl FnMut(&Stage),
    ) -> Result<(), Error> {
        match tokio::time::timeout(at_most, self.follow_stages(name, on_stage)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::StillStarting { name: name.to_string(), waited: at_most }),
        }
    }

    async fn follow_stages(
        &mut self,
        name: &EnclaveName,
        mut on_stage: impl FnMut(&Stage),
    ) -> Result<(), Error> {
        let path = format!("{}/{name}/stages", paths::ENCLAVES);
        let call = Call::new(Method::GET, &path, As::User);
        let mut session = self.fresh_session().await?;
        let mut refreshed = false;
        loop {
            match self.stages_once(&call, &session, &mut on_stage).await? {
                Events::Broken(Ok(last)) if last.name == "ready" => return Ok(()),
                Events::Broken(Ok(last)) => {
                    let Stage { message, reason, .. } = last;
                    return Err(Error::DidNotStart { name: name.to_string(), message, reason });
                }
                Events::Broken(Err(source)) => return Err(call.unreadable(source)),
                Events::Ended => return Err(call.unreadable(AnswerError::Stream("ended early"))),
                Events::Refused(answer) if asks_for_refresh(&answer) && !refreshed => {
                    session = self.refresh(&session).await?;
                    refreshed = true;
                }
                Events::Refused(answer) => return self.refused(&call, answer),
            }
        }
    }

    async fn stages_once(
        &mut self,
        call: &Call<'_>,
        session: &Session,
        on_stage: &mut impl FnMut(&Stage),
    ) -> Result<Events<Result<Stage, AnswerError>>, Error> {
        let token = bearer(&session.access_token).ok_or_else(|| self.not_logged_in())?;
        let request = Request::get(call.path)
            .header(HOST, self.context.gateway.to_string())
            .header(ACCEPT, HeaderValue::from_static("text/event-stream"))
            .header(AUTHORIZATION, token)
            .body(whole(Bytes::new()))
            .map_err(|error| call.unreadable(AnswerError::Json(error.to_string())))?;
        let on_data = |data: &str| match serde_json::from_str::<Stage>(data) {
            Err(error) => ControlFlow::Break(Err(AnswerError::Json(error.to_string()))),
            Ok(stage) => {
                on_stage(&stage);
                match stage.name.as_str() {
                    "ready" | "failed" => ControlFlow::Break(Ok(stage)),
                    _ => ControlFlow::Continue(()),
                }
            }
        };
        // An answer that is not read to its end leaves a connection that can't be used again: it is not kept.
        let mut channel = self.open().await.map_err(|source| self.unreachable(source))?;
        channel.events(request, on_data).await.map_err(|source| self.unreachable(source))
    }

    fn refused(&self, call: &Call<'_>, answer: Answer) -> Result<(), Error> {
        match self.judge(call, answer) {
            Ok(_) => Err(call.unreadable(AnswerError::Stream("has a wrong status"))),
            Err(error) => Err(error),
        }
    }
}
