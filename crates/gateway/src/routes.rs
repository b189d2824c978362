//! The table of routes: each module lists its own, and the list of paths is kept beside the router, which can't tell it.
//!
//! The methods need no list: a path answers 405 to a method that it has not, with those that it has in `Allow`.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::MethodRouter;

use crate::shared::Shared;
use crate::{
    admin, apps, audit, blobs, conditional, device, enclaves, factors, idempotency, licenses, lives, meta,
    oidc, origin, original, page, precondition, refusal, sessions, timeouts, unread, users,
};

/// The routes of one area.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Arc<Shared>>,
    paths: Vec<&'static str>,
}

impl Routes {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// As [`Router::route`].
    pub(crate) fn route(mut self, path: &'static str, methods: MethodRouter<Arc<Shared>>) -> Self {
        self.paths.push(path);
        Self { router: self.router.route(path, methods), paths: self.paths }
    }

    /// As [`Router::merge`].
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        Self { router: self.router.merge(other.router), paths: self.paths }
    }
}

/// Every path that there is; everything else is 404.
fn all() -> Routes {
    Routes::new()
        .merge(meta::routes())
        .merge(users::routes())
        .merge(sessions::routes())
        .merge(factors::routes())
        .merge(device::routes())
        .merge(page::routes())
        .merge(oidc::routes())
        .merge(audit::routes())
        .merge(admin::routes())
        .merge(blobs::routes())
        .merge(apps::routes())
        .merge(enclaves::routes())
        .merge(licenses::routes())
        .merge(original::routes())
        .merge(lives::routes())
}

/// The paths of all routes, as templates.
#[must_use]
pub fn paths() -> Vec<&'static str> {
    all().paths
}

/// What answers requests.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let present = precondition::Routes::new(all().router.with_state(Arc::clone(&shared)));
    all()
        .router
        .fallback(meta::no_such_route)
        .method_not_allowed_fallback(meta::method_not_allowed)
        .layer(from_fn_with_state(Arc::new(present), precondition::hold))
        .layer(from_fn_with_state(Arc::clone(&shared), idempotency::once))
        .layer(from_fn(conditional::tag))
        .layer(from_fn_with_state(Arc::clone(&shared), timeouts::in_time))
        .layer(from_fn(unread::read))
        .layer(from_fn_with_state(Arc::clone(&shared), origin::refuse_cross_site))
        .layer(from_fn(refusal::answer))
        .with_state(shared)
}
