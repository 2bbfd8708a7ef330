//! A WebSocket by hand (RFC 6455), for sending what a JSON-RPC library never would.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{Outcome, seed::Random};

/// Longest message that is read: a block in JSON is the largest that the tests ask for.
const MAX_MESSAGE: u64 = 16 << 20;

/// Longest wait for one message.
const MESSAGE_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Kind of a frame (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end.
    Close = 8,
    /// Are you there?
    Ping = 9,
    /// I am.
    Pong = 10,
}

/// A connection.
pub struct WebSocket {
    stream: BufReader<TcpStream>,
    masks: Random,
}

impl WebSocket {
    /// Connects and shakes hands.
    pub async fn connect(address: SocketAddr, masks: Random) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let hello = format!(
            "GET / HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(hello.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(MESSAGE_LIMIT, stream.read_u8()).await??);
        }
        // The answer to the example key of the RFC's section 1.3.
        let head = String::from_utf8_lossy(&head).into_owned();
        if !head.starts_with("HTTP/1.1 101") || !head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
            return Err(format!("no WebSocket handshake: {head}").into());
        }
        Ok(Self { stream, masks })
    }

    /// Sends one whole frame, masked as a client's must be.
    pub async fn send(&mut self, kind: Kind, payload: &[u8]) -> Outcome {
        let mut frame = vec![0x80 | kind as u8];
        match payload.len() {
            short @ 0..=125 => frame.push(0x80 | short as u8),
            middle @ 126..=0xFFFF => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        let mask = (self.masks.bits() as u32).to_be_bytes();
        frame.extend_from_slice(&mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        self.stream.write_all(&frame).await?;
        Ok(())
    }

    /// Sends bytes that need not be a frame.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Outcome {
        self.stream.write_all(bytes).await?;
        Ok(())
    }

    /// The next text or binary message; `None` once the server has closed. Answers pings on the way.
    pub async fn receive(&mut self) -> Outcome<Option<Vec<u8>>> {
        loop {
            let Some((kind, payload)) = timeout(MESSAGE_LIMIT, self.frame()).await?? else {
                return Ok(None);
            };
            match kind {
                9 => self.send(Kind::Pong, &payload).await?,
                10 => {}
                8 => return Ok(None),
                _ => return Ok(Some(payload)),
            }
        }
    }

    /// One frame; the servers tested do not split messages.
    async fn frame(&mut self) -> Outcome<Option<(u8, Vec<u8>)>> {
        let Ok(first) = self.stream.read_u8().await else {
            return Ok(None);
        };
        let length = match self.stream.read_u8().await? & 0x7F {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        if length > MAX_MESSAGE {
            return Err(format!("a message of {length} bytes, above {MAX_MESSAGE}").into());
        }
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok(Some((first & 0x0F, payload)))
    }
}
