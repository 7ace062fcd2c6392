//! As much of HTTP/1.1 as a scraper needs: one request a connection.

use super::{CONTENT_TYPE, PATH};

/// A request's head may have so many bytes.
pub const MAX_HEAD: usize = 8 * 1_024;

const MAX_HEADERS: usize = 64;

/// What to do with the bytes that have come.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait for more.
    Incomplete,
    /// Answer with this.
    Answer(Vec<u8>),
}

/// Answers a request, with `page` if that is what it asks for.
pub fn answer(received: &[u8], page: impl FnOnce() -> String) -> Step {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head_only = |request: &httparse::Request<'_, '_>| request.method == Some("HEAD");
    Step::Answer(match request.parse(received) {
        Ok(httparse::Status::Partial) if received.len() < MAX_HEAD => return Step::Incomplete,
        Ok(httparse::Status::Partial) => plain(
            "431 Request Header Fields Too Large",
            "The request is too long.\n",
        ),
        Err(error) => plain("400 Bad Request", &format!("This is no HTTP request: {error}.\n")),
        Ok(httparse::Status::Complete(_)) => match (request.method, request.path.map(without_query)) {
            (Some("GET" | "HEAD"), Some(PATH)) => {
                response("200 OK", CONTENT_TYPE, &page(), head_only(&request))
            }
            (Some("GET" | "HEAD"), _) => plain("404 Not Found", "The metrics are at /metrics.\n"),
            _ => plain("405 Method Not Allowed", "Only GET is answered.\n"),
        },
    })
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn plain(status: &str, words: &str) -> Vec<u8> {
    response(status, "text/plain; charset=utf-8", words, false)
}

fn response(status: &str, content_type: &str, body: &str, head_only: bool) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let body = if head_only { "" } else { body };
    [head.as_bytes(), body.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str) -> String {
        match answer(request.as_bytes(), || "page".to_owned()) {
            Step::Incomplete => "more".to_owned(),
            Step::Answer(bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                let status = text.split(' ').nth(1).unwrap().to_owned();
                if text.ends_with("page") {
                    status + " page"
                } else {
                    status
                }
            }
        }
    }

    #[test]
    fn requests_are_answered() {
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        for (request, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200 page"),
            ("GET /metrics?name=x HTTP/1.0\r\n\r\n", "200 page"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("GET /met", "more"),
            ("\u{16}\u{3}\u{1} hello\r\n\r\n", "400"),
            (&long, "431"),
        ] {
            assert_eq!(status(request), expected, "{:.40}", request);
        }
    }
}
