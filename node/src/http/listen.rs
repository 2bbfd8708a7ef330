//! Binds the endpoint's sockets.

use std::{
    io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, UnixListener};

use super::access::is_loopback;

/// Most bytes in the path of a Unix socket, by `sockaddr_un` less its final zero (Linux 107, macOS 103), less what the
/// temporary name of [`unix`] adds.
const MAX_SOCKET_PATH: usize = 103 - TEMPORARY.len();
const TEMPORARY: &str = ".new";

/// Why the endpoint cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens on that path.
    #[error("another node listens on {}; give each its own --gemm-socket", .0.display())]
    SocketInUse(PathBuf),
    /// There is a file that is no socket, which is not ours to remove.
    #[error("{} exists and is not a socket; remove it, or give another --gemm-socket", .0.display())]
    NotASocket(PathBuf),
    /// The system does not take so long a path.
    #[error("{} has more than {MAX_SOCKET_PATH} bytes, too long for a socket; give a shorter --gemm-socket", .0.display())]
    PathTooLong(PathBuf),
    /// Reachable from elsewhere without a token.
    #[error("{0} can be reached by other machines; give a --gemm-token, or listen on 127.0.0.1")]
    NeedsToken(SocketAddr),
    /// The folder of artifacts.
    #[error("{0}; see --artifacts-path")]
    Artifacts(#[from] labora_artifacts::OpenError),
    /// The port is taken.
    #[error("{0} is in use; give another --gemm-listen")]
    PortInUse(SocketAddr),
    /// The system refuses the socket's file.
    #[error("cannot listen on {}: {error}; give another --gemm-socket", .path.display())]
    Socket {
        /// Path of the socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Anything else about an address.
    #[error("cannot listen on {at}: {error}")]
    Io {
        /// The address.
        at: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// Listens on a path, for this user alone.
pub(super) fn unix(path: &Path) -> Result<UnixListener, ListenError> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(ListenError::PathTooLong(path.into()));
    }
    let io = |error| ListenError::Socket {
        path: path.into(),
        error,
    };
    if let Ok(file) = std::fs::symlink_metadata(path) {
        if !file.file_type().is_socket() {
            return Err(ListenError::NotASocket(path.into()));
        }
        // Only a refused connection tells that nobody listens; the file is replaced below.
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            _ => return Err(ListenError::SocketInUse(path.into())),
        }
    }
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    // Under another name first, so that nobody else can connect before the permissions are set.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let _ = std::fs::remove_file(&temporary);
    let listener = UnixListener::bind(&temporary).map_err(io)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)?;
    Ok(listener)
}

/// Whether an address may be listened on: it must be a loopback one unless there is a token.
pub fn permit_tcp(address: SocketAddr, has_token: bool) -> Result<(), ListenError> {
    if !has_token && !is_loopback(address.ip()) {
        return Err(ListenError::NeedsToken(address));
    }
    Ok(())
}

/// Listens on an address that [`permit_tcp`] permits.
pub(super) async fn tcp(address: SocketAddr, has_token: bool) -> Result<TcpListener, ListenError> {
    permit_tcp(address, has_token)?;
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::PortInUse(address),
            _ => ListenError::Io { at: address, error },
        })
}
