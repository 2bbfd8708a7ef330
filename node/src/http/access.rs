//! Who may use the endpoint over TCP: with a token whoever sends it, without one only this machine's own programs.
//!
//! The Unix socket needs neither, since its file belongs to the node's user alone.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Refusal;

/// Shortest token, in characters: 16 random ones of base 64 have 96 bits.
const MIN_TOKEN_LEN: usize = 16;
/// Longest token, in bytes; a header line of it is far below what HTTP servers take.
const MAX_TOKEN_LEN: usize = 1024;

/// A secret that clients send. Only its hash is kept.
#[derive(Clone, Eq, PartialEq)]
pub struct Token(blake3::Hash);

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Too short or too long, or has characters that no header may have.
    #[error(
        "a token is {MIN_TOKEN_LEN} to {MAX_TOKEN_LEN} printable ASCII characters without spaces; `openssl rand -hex 32` makes a good one"
    )]
    Format,
    /// The file could not be read.
    #[error("the token file cannot be read: {0}")]
    File(#[from] std::io::Error),
}

impl Token {
    /// Checks length and characters.
    pub fn new(secret: &str) -> Result<Self, TokenError> {
        let is_long_enough = (MIN_TOKEN_LEN..=MAX_TOKEN_LEN).contains(&secret.len());
        if is_long_enough && secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(blake3::hash(secret.as_bytes())))
        } else {
            Err(TokenError::Format)
        }
    }

    /// Reads the first line of a file.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        Self::new(&Self::secret_in(path)?)
    }

    /// The token itself, for whoever is to send it.
    pub fn secret_in(path: &Path) -> Result<String, TokenError> {
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(path)?
            .take(2 * MAX_TOKEN_LEN as u64)
            .read_to_string(&mut text)?;
        let secret = text.lines().next().unwrap_or_default().trim();
        Self::new(secret)?;
        Ok(secret.to_owned())
    }

    /// Compares hashes, which `blake3` does in constant time.
    fn is(&self, secret: &str) -> bool {
        self.0 == blake3::hash(secret.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// What each request over TCP has to pass.
pub(super) struct Check {
    token: Option<Token>,
}

impl Check {
    pub fn new(token: Option<Token>) -> Self {
        Self { token }
    }

    fn verdict(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match &self.token {
            Some(token) => {
                let sent = headers
                    .get(header::AUTHORIZATION)
                    .and_then(|value| value.to_str().ok());
                let secret = sent.and_then(|value| value.strip_prefix("Bearer "));
                if secret.is_some_and(|secret| token.is(secret)) {
                    Ok(())
                } else {
                    Err(Refusal::Token)
                }
            }
            // A web page may reach a loopback port through a name of its own that resolves to it (DNS rebinding); its
            // requests bear that name.
            None if names_this_machine(headers) => Ok(()),
            None => Err(Refusal::Host),
        }
    }
}

pub(super) async fn check(
    State(check): State<Arc<Check>>,
    request: Request,
    next: Next,
) -> Response {
    match check.verdict(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        // HTTP/1.0 and bare tools; a browser always sends one.
        return true;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let is_loopback = |ip: IpAddr| ip == Ipv6Addr::LOCALHOST || ip.to_canonical().is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

/// Whether only programs on this machine can reach an address.
pub(super) fn is_loopback(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[0] == Ipv4Addr::LOCALHOST.octets()[0],
        IpAddr::V6(ip) => ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a valid header"))])
    }

    #[test]
    fn without_a_token_only_loopback_hosts_pass() {
        let check = Check::new(None);
        for host in [
            "localhost:9955",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:9955",
            "127.8.8.8",
        ] {
            assert!(
                check.verdict(&headers(header::HOST, host)).is_ok(),
                "{host}"
            );
        }
        for host in [
            "evil.example:9955",
            "10.0.0.1",
            "localhost.evil.example",
            "[::2]",
            "127.0.0.1.evil.example",
        ] {
            assert!(
                check.verdict(&headers(header::HOST, host)).is_err(),
                "{host}"
            );
        }
    }

    #[test]
    fn with_a_token_only_the_token_passes() {
        let secret = "0123456789abcdef";
        let check = Check::new(Some(Token::new(secret).expect("long enough")));
        let sends = |value: &str| {
            check
                .verdict(&headers(header::AUTHORIZATION, value))
                .is_ok()
        };
        assert!(sends("Bearer 0123456789abcdef"));
        for wrong in [
            "Bearer 0123456789abcdeg",
            "Bearer ",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!sends(wrong), "{wrong}");
        }
        assert!(check.verdict(&headers(header::HOST, "localhost")).is_err());
    }

    #[test]
    fn short_and_unprintable_tokens_are_refused() {
        for secret in [
            "",
            "short",
            "has a space in it",
            "has\ttab-0123456789",
            "ümlaut-0123456789",
        ] {
            assert!(Token::new(secret).is_err(), "{secret}");
        }
        assert!(Token::new(&"x".repeat(MAX_TOKEN_LEN + 1)).is_err());
    }
}
