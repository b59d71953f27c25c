//! Minimal blocking HTTP client with one connection. It uses little CPU time, so that it does not slow down the
//! measured processes, and supports only the parts of HTTP that the API uses in its responses.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_mins(2);

/// HTTP client with one keep-alive connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    /// Connects to `address`, e.g. `127.0.0.1:8080`.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), line: Vec::new(), body: Vec::new() })
    }

    /// Sends a request and returns the response status; [`Self::body`] returns the body.
    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let status = self.send_streaming(request, |chunk| body.extend_from_slice(chunk));
        self.body = body;
        status
    }

    /// Returns the body of the last response to [`Self::send`].
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Sends a request, passes the response body to `consume` in chunks, and returns the status.
    pub(crate) fn send_streaming(&mut self, request: &[u8], mut consume: impl FnMut(&[u8])) -> io::Result<u16> {
        self.stream.get_mut().write_all(request)?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| invalid_response(&first))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => {
                    length = value.trim().parse().map_err(|_| invalid_response(&line))?;
                }
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        if !chunked {
            self.read_body(length, &mut consume)?;
            return Ok(status);
        }
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| invalid_response(&line))?;
            self.read_body(length, &mut consume)?;
            self.line()?;
            if length == 0 {
                return Ok(status);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line)?;
        let line = self.line.strip_suffix(b"\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    fn read_body(&mut self, mut remaining: usize, consume: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while remaining > 0 {
            let buffered = self.stream.fill_buf()?;
            if buffered.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let length = buffered.len().min(remaining);
            consume(&buffered[..length]);
            self.stream.consume(length);
            remaining -= length;
        }
        Ok(())
    }
}

fn invalid_response(line: &str) -> io::Error {
    io::Error::other(format!("invalid HTTP response: {line}"))
}

/// Returns the bytes of a GET request.
pub(crate) fn get(address: &str, path: &str, token: &str, accept: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n")
        .into_bytes()
}

/// Returns the bytes of a signup request. `key` is sent as the idempotency key and as the external id.
pub(crate) fn signup(address: &str, token: &str, key: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"company_name":"Example {key}","admin_email":"admin-{key}@example.com","home_region":"eu-central-1",
        "external_id":"{key}","labels":{{"source":"website"}}}}"#
    );
    format!(
        "POST /v1/tenants HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads `reader` to its end, discards the data, and returns the number of lines and the number of bytes.
pub(crate) fn drain(mut reader: impl Read) -> io::Result<(usize, usize)> {
    let (mut lines, mut bytes, mut buffer) = (0, 0, vec![0; 64 * 1024]);
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok((lines, bytes));
        }
        bytes += read;
        lines += count_lines(&buffer[..read]);
    }
}

/// Returns the number of newline characters in `text`.
pub(crate) fn count_lines(mut text: &[u8]) -> usize {
    let mut lines = 0;
    loop {
        let previous = text;
        // `skip_until` is fast even in debug builds, because the standard library is compiled with optimisation.
        match text.skip_until(b'\n') {
            Ok(read) if read > 0 => lines += usize::from(previous[read - 1] == b'\n'),
            _ => return lines,
        }
    }
}
