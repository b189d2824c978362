//! Requests, and answers that are compared with the API's document.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;

use crate::contract;

pub(super) fn asked(request: &Request<Full<Bytes>>) -> (Method, String) {
    (request.method().clone(), request.uri().path().to_owned())
}

pub(super) fn builder(method: Method, path: &str, token: Option<&str>) -> http::request::Builder {
    let mut builder = Request::builder().method(method).uri(path).header(header::HOST, "gateway");
    if let Some(token) = token {
        builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    builder
}

/// `Null` is no body at all.
pub fn json_request(method: Method, path: &str, token: Option<&str>, body: &Value) -> Request<Full<Bytes>> {
    let builder = builder(method, path, token);
    if body.is_null() {
        return builder.body(Full::default()).unwrap();
    }
    let bytes = Bytes::from(serde_json::to_vec(body).unwrap());
    builder.header(header::CONTENT_TYPE, "application/json").body(Full::new(bytes)).unwrap()
}

pub fn get(path: &str, token: Option<&str>) -> Request<Full<Bytes>> {
    json_request(Method::GET, path, token, &Value::Null)
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Reads it whole, and compares it with what the API's document promises.
    pub async fn read(method: &Method, path: &str, response: http::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        contract::check(method, path, parts.status, &parts.headers, &body);
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{:?}", self.body);
        self.json()
    }

    /// A refusal in full form with this code; its detail comes back.
    #[track_caller]
    pub fn refused(&self, code: &str) -> String {
        let problem = self.json();
        assert_eq!(problem["code"], code, "{} {:?}", self.status, self.body);
        let known = api::Code::parse(code).unwrap();
        assert_eq!(self.status.as_u16(), known.status());
        assert_eq!(problem["status"], known.status());
        assert_eq!(problem["title"], known.title());
        assert_eq!(problem["type"], format!("{}{code}", api::problem::TYPE_PREFIX));
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem["request_id"], self.headers["x-request-id"].to_str().unwrap());
        problem["detail"].as_str().unwrap().to_owned()
    }
}
