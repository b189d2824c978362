//! Errors as `application/problem+json` (RFC 9457) with a stable code and the request's id.
//!
//! The wire form is [`api::Problem`]; this is the small value that handlers return.

use api::problem::TYPE_PREFIX;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// What a client reads when something went wrong. The text is for people; `code` never changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    request_id: String,
}

impl Problem {
    /// A problem with this status, stable code and public sentence; never an internal cause.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), detail: detail.into(), request_id: String::new() }
    }

    /// The same with the id under which the server logged the request.
    #[must_use]
    pub fn with_request_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.request_id);
        self
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let problem = api::Problem {
            type_: format!("{TYPE_PREFIX}{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.clone(),
            detail: self.detail.clone(),
            request_id: self.request_id.clone(),
            factors: Vec::new(),
            validation: None,
        };
        // Texts and a number always have a JSON form.
        serde_json::to_vec(&problem).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}
