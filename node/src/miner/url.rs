//! The address of a node, as `--node` takes it.

use std::fmt;

use axum::http::Uri;

/// Longest address, in bytes: the longest name of a host has 253.
const MAX_LEN: usize = 512;

/// A WebSocket address: `ws://HOST:PORT`, or `wss://` with TLS, and perhaps a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NodeUrl(String);

/// Why an address was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error(
        "nodes are asked over a WebSocket; give ws://HOST:PORT, or wss://HOST:PORT for one with TLS"
    )]
    Scheme,
    /// Not an address at all.
    #[error("not an address; give one such as ws://127.0.0.1:9944")]
    Format,
    /// A user's name, and perhaps a password, which would stand in the log.
    #[error("an address with a user's name is not supported; give ws://HOST:PORT")]
    User,
}

impl NodeUrl {
    /// Checks an address.
    pub(crate) fn new(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_LEN || text.contains(|letter: char| !letter.is_ascii_graphic()) {
            return Err(UrlError::Format);
        }
        // An address without a scheme reads as one that has the host's name for it, or as no address.
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !scheme.is_some_and(|scheme| scheme == "ws" || scheme == "wss") {
            return Err(UrlError::Scheme);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Format)?;
        let authority = uri.authority().ok_or(UrlError::Format)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let host = authority.host();
        let has_good_port = match authority.as_str().strip_prefix(host) {
            Some("") => true,
            Some(rest) => rest
                .strip_prefix(':')
                .is_some_and(|port| port.parse::<u16>().is_ok()),
            None => false,
        };
        if host.is_empty() || !has_good_port {
            return Err(UrlError::Format);
        }
        Ok(NodeUrl(text.to_owned()))
    }

    /// The address.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_address_is_taken_as_it_is() {
        for text in [
            "ws://127.0.0.1:9944",
            "ws://[::1]:9944",
            "wss://node.example",
            "ws://rig-host:9944/path",
        ] {
            assert_eq!(
                NodeUrl::new(text).map(|url| url.to_string()),
                Ok(text.into())
            );
        }
    }

    #[test]
    fn another_scheme_is_refused_with_the_right_one() {
        for text in [
            "http://127.0.0.1:9944",
            "127.0.0.1:9944",
            "localhost",
            "tcp://x",
            "",
            "WS://127.0.0.1:9944",
        ] {
            assert_eq!(NodeUrl::new(text), Err(UrlError::Scheme), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "ws://",
            "ws://:9944",
            "ws://two words",
            "ws://x:",
            "ws://x:port",
            "ws://x:99999",
        ] {
            assert_eq!(NodeUrl::new(text), Err(UrlError::Format), "{text}");
        }
        assert_eq!(NodeUrl::new("ws://a:b@host:1"), Err(UrlError::User));
    }
}
