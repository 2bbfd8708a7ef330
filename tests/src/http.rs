//! HTTP/1.1 by hand over TCP or a Unix socket: requests that a library would refuse to send can be sent, and many
//! requests can be pipelined on one connection.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{Outcome, log::Log};

/// Longest wait for an answer; a large product on one thread is the slowest.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Longest body that is read: larger than any product the tests ask for.
const MAX_BODY: usize = 256 << 20;

/// Anything bytes go to and come from.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a server.
pub struct Http {
    stream: BufReader<Box<dyn Stream>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Where a process serves its metrics, as its log says.
pub fn metrics_address(log: &Log) -> Outcome<SocketAddr> {
    let address = log.after_last("Prometheus exporter started at ", &[' ', '\n'])?;
    let address = address.ok_or("the log names no exporter")?;
    Ok(address.trim().parse()?)
}

/// The metrics that a process serves now, at the address that its log names.
pub async fn metrics(log: &Log) -> Outcome<String> {
    let mut http = Http::tcp(metrics_address(log)?).await?;
    http.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await?;
    Ok(http.answer().await?.ok_or("no metrics")?.text())
}

impl Http {
    /// Connects over TCP.
    pub async fn tcp(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
        })
    }

    /// Connects over a Unix socket.
    pub async fn unix(path: &Path) -> Outcome<Self> {
        Ok(Self {
            stream: BufReader::new(Box::new(UnixStream::connect(path).await?)),
        })
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will be sent.
    pub async fn end(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Sends a request without waiting for its answer.
    pub async fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> io::Result<()> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).await
    }

    /// Reads the next answer; `None` if the server has closed the connection instead.
    pub async fn answer(&mut self) -> Outcome<Option<Answer>> {
        timeout(ANSWER_LIMIT, self.read_answer())
            .await
            .map_err(|_| "no answer over HTTP in time")?
    }

    /// A request and its answer.
    pub async fn exchange(
        &mut self,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Outcome<Answer> {
        // A server that refuses by the head alone may close before it has read the body: its answer still counts.
        let sent = self.post(path, content_type, body).await;
        match self.answer().await? {
            Some(answer) => Ok(answer),
            None => {
                Err(format!("the server closed the connection without an answer ({sent:?})").into())
            }
        }
    }

    async fn read_answer(&mut self) -> Outcome<Option<Answer>> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => other?,
        };
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| format!("not a status line: {line:?}"))?;
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("not a header field: {line:?}"))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status,
            fields,
            body: Vec::new(),
        };
        if answer
            .field("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            self.read_chunks(&mut answer.body).await?;
        } else {
            let length = answer
                .field("content-length")
                .map_or(Ok(0), str::parse::<usize>)?;
            self.read_piece(&mut answer.body, length).await?;
        }
        Ok(Some(answer))
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> Outcome {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let length = usize::from_str_radix(line.trim_end(), 16)?;
            self.read_piece(body, length).await?;
            self.stream.read_line(&mut line).await?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    async fn read_piece(&mut self, body: &mut Vec<u8>, length: usize) -> Outcome {
        let start = body.len();
        if start + length > MAX_BODY {
            return Err(format!("an answer of over {MAX_BODY} bytes").into());
        }
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..]).await?;
        Ok(())
    }
}
