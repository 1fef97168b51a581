//! Makes a call: one signed POST with a time-out, its answer no larger than allowed. What the answer means, others judge.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, InvalidHeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, Request, Url};
use stemma_chain_format::hash::Link;
use stemma_chain_format::keys::PublicKey;

use super::signature::{content_digest, sign};
use crate::role::{BackOfficeCall, CallStep};

/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a call had no answer. Errors of the HTTP client come without the address: it may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address or the client cannot be used.
    #[error("it cannot be called")]
    Build(#[source] reqwest::Error),
    /// The address cannot be called.
    #[error("{0}")]
    Address(&'static str),
    /// A header cannot be sent.
    #[error("a header of the call cannot be sent")]
    Header(#[source] InvalidHeaderValue),
    /// No whole answer came in time.
    #[error("it cannot be reached, broke off or took too long")]
    Http(#[source] reqwest::Error),
    /// The answer is too large.
    #[error("its answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// What a call was answered.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A call that came to its end.
#[derive(Debug)]
pub struct Heard {
    /// The instruction that it was about.
    pub key: Link,
    /// Which call it was.
    pub step: CallStep,
    /// What came of it.
    pub answer: Result<HttpAnswer, ClientError>,
}

/// Calls an institution's own system.
pub struct HttpClient {
    http: reqwest::Client,
    /// The address below which its calls lie, without a slash at the end.
    base: String,
    key: SigningKey,
    key_id: String,
    /// The only clock here: calls are signed with the time.
    now_ms: fn() -> u64,
}

impl std::fmt::Debug for HttpClient {
    /// Leaves key and address out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client of the system at an address, whose calls the member's key signs and which wait for so long.
    ///
    /// # Errors
    /// [`ClientError`] where the address cannot be called.
    pub fn new(url: &str, timeout: Duration, key: SigningKey, now_ms: fn() -> u64) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("stemma-node/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(build)?;
        let address = Url::parse(url).map_err(|_| ClientError::Address("its address is none"))?;
        if address.query().is_some() || address.fragment().is_some() {
            return Err(ClientError::Address("its address has a query or a fragment"));
        }
        if !address.username().is_empty() || address.password().is_some() {
            return Err(ClientError::Address("its address holds a user: calls are signed, and need none"));
        }
        // What else is wrong with an address shows only where a call is made of it.
        http.post(address.clone()).build().map_err(build)?;
        let key_id = PublicKey::of(&key).to_string();
        Ok(Self { http, base: address.as_str().trim_end_matches('/').to_owned(), key, key_id, now_ms })
    }

    /// Makes one call, and returns when it is answered or given up.
    pub async fn call(&self, call: BackOfficeCall) -> Heard {
        let (key, step) = (call.key, call.step);
        Heard { key, step, answer: self.answer(call).await }
    }

    async fn answer(&self, call: BackOfficeCall) -> Result<HttpAnswer, ClientError> {
        let broken = |e: reqwest::Error| ClientError::Http(e.without_url());
        let mut answer = self.http.execute(self.request(call)?).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(ClientError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status, body })
    }

    /// The call with its headers, signed anew each time it is made.
    fn request(&self, call: BackOfficeCall) -> Result<Request, ClientError> {
        let address = format!("{}{}", self.base, call.path);
        let mut request = self.http.post(&address).build().map_err(build)?;
        // As it is sent: this is what the other side sees.
        let target = Url::as_str(request.url()).to_owned();
        let digest = content_digest(&call.body);
        // A string of a structured field (RFC 8941).
        let idempotency_key = format!("\"{}\"", call.idempotency_key);
        let signed = sign(
            &self.key,
            &self.key_id,
            (self.now_ms)().div_euclid(1_000),
            &[
                ("@method", Method::POST.as_str()),
                ("@target-uri", &target),
                ("idempotency-key", &idempotency_key),
                ("content-digest", &digest),
            ],
        );
        *request.headers_mut() = headers([
            (CONTENT_TYPE.as_str(), "application/json"),
            ("idempotency-key", &idempotency_key),
            ("content-digest", &digest),
            ("signature-input", &signed.input),
            ("signature", &signed.signature),
        ])?;
        *request.body_mut() = Some(call.body.into());
        Ok(request)
    }
}

fn headers<const N: usize>(pairs: [(&'static str, &str); N]) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::with_capacity(N);
    for (name, value) in pairs {
        headers.insert(name, HeaderValue::from_str(value).map_err(ClientError::Header)?);
    }
    Ok(headers)
}

fn build(e: reqwest::Error) -> ClientError {
    ClientError::Build(e.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<HttpClient, ClientError> {
        HttpClient::new(url, Duration::from_secs(1), SigningKey::from_bytes(&[1; 32]), || 1_618_884_473_999)
    }

    #[test]
    fn a_call_is_signed_for_its_address() {
        let call = BackOfficeCall {
            key: Link([1; 32]),
            step: CallStep::Execution,
            path: "/executions".to_owned(),
            idempotency_key: "abc".to_owned(),
            body: b"{}".to_vec(),
        };
        let request = client("http://127.0.0.1:8080/office/").unwrap().request(call).unwrap();
        assert_eq!(request.url().as_str(), "http://127.0.0.1:8080/office/executions");
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let key_id = PublicKey::of(&SigningKey::from_bytes(&[1; 32]));
        assert_eq!(
            header("signature-input"),
            format!(
                "stemma=(\"@method\" \"@target-uri\" \"idempotency-key\" \"content-digest\")\
                 ;created=1618884473;keyid=\"{key_id}\";alg=\"ed25519\""
            )
        );
        assert_eq!(header("idempotency-key"), "\"abc\"");
        assert!(header("signature").starts_with("stemma=:"));
    }

    #[test]
    fn an_address_that_cannot_be_called_is_told_at_once() {
        for wrong in ["http://", "office", "https://x/?a=1", "https://x/#a", "https://user@x/", "https://u:secret@x/"] {
            let e = client(wrong).unwrap_err();
            assert!(!crate::error::chain(&e).contains("secret"), "{e}");
        }
    }
}
