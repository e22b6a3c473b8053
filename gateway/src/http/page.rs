//! The page, out of the binary itself.

use super::problem::Problem;
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

/// One file of the built page.
struct PageFile {
    path: &'static str,
    content_type: &'static str,
    /// Quoted, as the header wants it.
    etag: &'static str,
    bytes: &'static [u8],
}

// Written by build.rs from what npm has built: `static FILES: &[PageFile]`, by path.
include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// Anything that no other route takes.
pub(super) async fn page(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if method != Method::GET && method != Method::HEAD {
        let allow = [(header::ALLOW, HeaderValue::from_static("GET,HEAD"))];
        return Ok((allow, Problem::method_not_allowed()).into_response());
    }
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        let detail = if FILES.is_empty() && path == "index.html" {
            "this gateway was built without its page: run `npm ci && npm run build` in ui/, and \
             build it again"
        } else {
            "there is nothing at this address"
        };
        return Err(Problem::not_found(detail));
    };
    // Bundled files have their content's hash in their name, the rest is asked for anew.
    let cache = if file.path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .any(|tag| tag.trim().trim_start_matches("W/") == file.etag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = Body::from(Bytes::from_static(file.bytes));
        let content_type = HeaderValue::from_static(file.content_type);
        ([(header::CONTENT_TYPE, content_type)], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::ETAG, HeaderValue::from_static(file.etag));
    Ok(response)
}

/// A known address with another method.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}
