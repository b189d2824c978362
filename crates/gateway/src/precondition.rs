//! `If-Match` (RFC 9110, 13.1.1): a change is made only to what the caller has seen. The tags are those of [`crate::conditional`].
//!
//! What the caller has seen is compared just before the change, one conditional change of a thing after the other. A change that somebody
//! makes without a condition, or at another gateway, in this very moment is not seen: where that must not be, the route's own rules of
//! state decide, in the database.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use api::Code;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::Mutex;
use tower::ServiceExt;

use crate::certificate::Peer;
use crate::conditional;
use crate::extract::Address;
use crate::refusal::{Refusal, RequestId};

/// Things that have a tag, which their changes are conditional on: all other methods at these paths, and all below them.
pub const THINGS: &[&str] = &["/v1/enclaves/{name}", "/v1/admin/licenses/{id}", "/v1/admin/plans/{code}"];

/// Below them, and no change of the thing.
pub const NO_CHANGES: &[&str] = &["/v1/enclaves/{name}/token"];

/// Changes of different things rarely wait for each other.
const STRIPES: usize = 64;

/// The routes once more, to ask what is there.
pub(crate) struct Routes {
    router: Router,
    stripes: [Mutex<()>; STRIPES],
}

impl Routes {
    pub(crate) fn new(router: Router) -> Self {
        Self { router, stripes: std::array::from_fn(|_| Mutex::new(())) }
    }

    /// Whether the path has the method: it tells its methods to whoever comes with another one.
    async fn has(&self, method: &Method, path: &str) -> bool {
        let Ok(asked) = Request::options(path).body(Body::empty()) else { return true };
        let answered = self.router.clone().oneshot(asked).await.unwrap_or_else(|never| match never {});
        let allowed = answered.headers().get(header::ALLOW).and_then(|line| line.to_str().ok());
        allowed.is_none_or(|line| line.split(',').any(|one| one.trim() == method.as_str()))
    }

    fn stripe(&self, thing: &str) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        thing.hash(&mut hasher);
        &self.stripes[(hasher.finish() % STRIPES as u64) as usize]
    }
}

/// A GET of the thing by the same caller over the same connection.
fn question(request: &Request, thing: &str) -> Result<Request, Refusal> {
    let mut asked = Request::get(thing).body(Body::empty()).map_err(Refusal::internal)?;
    let authorization = request.headers().get_all(header::AUTHORIZATION);
    asked.headers_mut().extend(authorization.iter().map(|value| (header::AUTHORIZATION, value.clone())));
    let (from, to) = (request.extensions(), asked.extensions_mut());
    copy::<Peer>(from, to);
    copy::<Address>(from, to);
    copy::<RequestId>(from, to);
    Ok(asked)
}

fn copy<T: Clone + Send + Sync + 'static>(from: &http::Extensions, to: &mut http::Extensions) {
    if let Some(value) = from.get::<T>() {
        to.insert(value.clone());
    }
}

/// The layer next to the routes.
pub(crate) async fn hold(State(routes): State<Arc<Routes>>, request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let thing = template.and_then(|template| thing(request.method(), template, request.uri().path()));
    let Some(thing) = thing.filter(|_| request.headers().contains_key(header::IF_MATCH)) else {
        return next.run(request).await;
    };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let asked = match question(&request, &thing) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    let _turn = routes.stripe(&thing).lock().await;
    let present = routes.router.clone().oneshot(asked).await.unwrap_or_else(|never| match never {});
    // What is not there, or not the caller's to see, is refused in the same words as without a condition.
    if present.status() != StatusCode::OK {
        return present;
    }
    match conditional::tagged(present).await {
        Some((_, _, tag)) if holds(request.headers(), &tag) => next.run(request).await,
        // A path that has no such method says so first.
        Some(_) if !routes.has(&method, &path).await => next.run(request).await,
        Some(_) => {
            let detail = "it has changed since it was read; look again";
            Refusal::new(Code::PreconditionFailed, detail).into_response()
        }
        None => Refusal::internal(std::io::Error::other("the tag can't be made")).into_response(),
    }
}

/// The path of the thing that a request would change.
fn thing(method: &Method, template: &str, path: &str) -> Option<String> {
    if [Method::GET, Method::HEAD].contains(method) || NO_CHANGES.contains(&template) {
        return None;
    }
    let is_at_or_below = |thing: &&&str| {
        template.strip_prefix(**thing).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let thing = THINGS.iter().find(is_at_or_below)?;
    let parts = thing.split('/').count();
    Some(path.split('/').take(parts).collect::<Vec<_>>().join("/"))
}

/// The strong comparison: a weak tag never matches.
fn holds(headers: &HeaderMap, tag: &str) -> bool {
    let mut lines =
        headers.get_all(header::IF_MATCH).iter().filter_map(|line: &HeaderValue| line.to_str().ok());
    lines.any(|line| line.split(',').map(str::trim).any(|one| one == "*" || one == tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_of_the_thing_that_their_path_begins_with() {
        let check = |template: &str, path: &str, expected: Option<&str>| {
            assert_eq!(thing(&Method::POST, template, path).as_deref(), expected, "{template}");
            assert_eq!(thing(&Method::GET, template, path), None);
        };
        check("/v1/enclaves/{name}", "/v1/enclaves/notes", Some("/v1/enclaves/notes"));
        check("/v1/enclaves/{name}/stop", "/v1/enclaves/notes/stop", Some("/v1/enclaves/notes"));
        check("/v1/enclaves/{name}/token", "/v1/enclaves/notes/token", None);
        check("/v1/enclaves", "/v1/enclaves", None);
        check(
            "/v1/admin/licenses/{id}/users/{name}",
            "/v1/admin/licenses/7/users/a",
            Some("/v1/admin/licenses/7"),
        );
        check("/v1/admin/plans/{code}/retire", "/v1/admin/plans/team/retire", Some("/v1/admin/plans/team"));
        check("/v1/me/totp", "/v1/me/totp", None);
    }

    #[test]
    fn a_weak_tag_is_no_match() {
        let check = |line: &'static str, expected| {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(line))]);
            assert_eq!(holds(&headers, "\"a\""), expected, "{line}");
        };
        check("\"a\"", true);
        check("\"b\", \"a\"", true);
        check("*", true);
        check("W/\"a\"", false);
        check("\"b\"", false);
        check("", false);
    }
}
