//! A client that costs next to nothing, so that the cores are left to what is measured: one connection, one request at a
//! time, blocking, and no more of HTTP than the API answers with.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A connection that is kept.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    /// A connection to `address`, such as `127.0.0.1:8080`.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), line: Vec::new(), body: Vec::new() })
    }

    /// Sends a request and answers the status; the body is to be had from [`Self::body`].
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let status = self.ask_for(request, |chunk| body.extend_from_slice(chunk));
        self.body = body;
        status
    }

    /// The body of the latest answer to [`Self::ask`].
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Sends a request, has `take` take the body, some of it at a time, and answers the status.
    pub(crate) fn ask_for(&mut self, request: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<u16> {
        self.stream.get_mut().write_all(request)?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| wrong(&first))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().map_err(|_| wrong(&line))?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        if !chunked {
            self.pass(length, &mut take)?;
            return Ok(status);
        }
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| wrong(&line))?;
            self.pass(length, &mut take)?;
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

    fn pass(&mut self, mut left: usize, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            let there = self.stream.fill_buf()?;
            if there.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let taken = there.len().min(left);
            take(&there[..taken]);
            self.stream.consume(taken);
            left -= taken;
        }
        Ok(())
    }
}

fn wrong(line: &str) -> io::Error {
    io::Error::other(format!("this is no HTTP: {line}"))
}

/// A request without a body.
pub(crate) fn get(address: &str, path: &str, token: &str, accept: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n")
        .into_bytes()
}

/// A signup of a customer of this number.
pub(crate) fn signup(address: &str, token: &str, key: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"company_name":"Example {key}","admin_email":"admin-{key}@example.com","home_region":"eu-central-1","external_id":"{key}","labels":{{"source":"website"}}}}"#
    );
    format!(
        "POST /v1/tenants HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Everything that is read and thrown away; answers how many lines and bytes those were.
pub(crate) fn drain(mut from: impl Read) -> io::Result<(usize, usize)> {
    let (mut lines, mut bytes, mut buffer) = (0, 0, vec![0; 64 * 1024]);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok((lines, bytes));
        }
        bytes += read;
        lines += count_lines(&buffer[..read]);
    }
}

/// How many lines end here.
pub(crate) fn count_lines(mut text: &[u8]) -> usize {
    let mut lines = 0;
    loop {
        let before = text;
        // The standard library's search is a fast one in every build.
        match text.skip_until(b'\n') {
            Ok(read) if read > 0 => lines += usize::from(before[read - 1] == b'\n'),
            _ => return lines,
        }
    }
}
