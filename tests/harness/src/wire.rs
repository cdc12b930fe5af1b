//! The HTTP/1.1 wire as both ends of the harness read it: heads, and bodies by length, chunks or end of stream.
use anyhow::{Context, Result, anyhow, bail};
use bytes::{Buf, BytesMut};

/// Header fields in the order they came, names in lower case, every copy kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, Vec<u8>)>);

impl Fields {
    /// Adds one field.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    /// Every value of `name`, which is compared in any case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// The first value of `name`.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// The first value of `name` as text, with what is not UTF-8 replaced.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn from_parsed(parsed: &[httparse::Header<'_>]) -> Self {
        let mut fields = Self::default();
        for header in parsed {
            fields.push(header.name, header.value);
        }
        fields
    }
}

impl std::fmt::Debug for Fields {
    /// As text: lists of bytes tell nobody anything.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_map()
            .entries(self.0.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

/// More header fields than any suite sends.
const MAX_FIELDS: usize = 128;

/// The head of a request, taken from the front of the buffer.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// `POST` and so on.
    pub method: String,
    /// The request target as it was written.
    pub path: String,
    /// The header fields.
    pub headers: Fields,
}

impl RequestHead {
    /// Takes a whole head off `buffer`; `None` when it has not all come yet.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>> {
        let mut parsed = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut parsed);
        let length = match request.parse(buffer).context("a request head")? {
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(length) => length,
        };
        let head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: request.path.unwrap_or_default().to_owned(),
            headers: Fields::from_parsed(request.headers),
        };
        buffer.advance(length);
        Ok(Some(head))
    }
}

/// The head of a response, taken from the front of the buffer.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Fields,
}

impl ResponseHead {
    /// Takes a whole head off `buffer`; `None` when it has not all come yet.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>> {
        let mut parsed = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut parsed);
        let length = match response.parse(buffer).context("a response head")? {
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(length) => length,
        };
        let head = Self { status: response.code.unwrap_or(0), headers: Fields::from_parsed(response.headers) };
        buffer.advance(length);
        Ok(Some(head))
    }
}

/// What a sender in a hurry needs to know of a reply: read without a copy of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The status code.
    pub status: u16,
    /// Whether the proxy closes the connection now.
    pub closes: bool,
    /// The length of the whole reply.
    pub length: usize,
}

impl Glance {
    /// The reply at the start of `bytes`, if it is there whole. It must say how long its body is.
    pub fn at(bytes: &[u8]) -> Result<Option<Self>> {
        let mut parsed = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut parsed);
        let httparse::Status::Complete(end) = head.parse(bytes)? else { return Ok(None) };
        let named = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        let body = named("content-length").context("a reply without a length")?;
        let length = end + std::str::from_utf8(body.value)?.parse::<usize>().context("Content-Length")?;
        let closes = named("connection").is_some_and(|header| header.value.eq_ignore_ascii_case(b"close"));
        let reply = Self { status: head.code.context("a reply without a status")?, closes, length };
        Ok((bytes.len() >= length).then_some(reply))
    }
}

/// A body as it comes in.
#[derive(Debug)]
pub struct BodyReader {
    remaining: Remaining,
    /// What has come so far.
    pub body: Vec<u8>,
    /// The trailers, when they have come.
    pub trailers: Fields,
}

#[derive(Debug)]
enum Remaining {
    Length(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    UntilClose,
    Nothing,
}

impl BodyReader {
    /// The body of a request: none unless the head announces one.
    pub fn of_request(headers: &Fields) -> Result<Self> {
        Self::new(headers, Remaining::Nothing)
    }

    /// The body of a response: until the end of the connection unless the head says how long.
    pub fn of_response(head: &ResponseHead) -> Result<Self> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(Self { remaining: Remaining::Nothing, body: Vec::new(), trailers: Fields::default() });
        }
        Self::new(&head.headers, Remaining::UntilClose)
    }

    fn new(headers: &Fields, otherwise: Remaining) -> Result<Self> {
        let remaining = if headers.text("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            Remaining::ChunkSize
        } else if let Some(length) = headers.text("content-length") {
            Remaining::Length(length.trim().parse().with_context(|| format!("content-length {length:?}"))?)
        } else {
            otherwise
        };
        Ok(Self { remaining, body: Vec::new(), trailers: Fields::default() })
    }

    /// Whether the end of the connection ends this body well.
    #[must_use]
    pub fn ends_with_the_connection(&self) -> bool {
        matches!(self.remaining, Remaining::UntilClose | Remaining::Nothing)
    }

    /// Takes what it can off `buffer`; true when the body is whole.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<bool> {
        loop {
            match self.remaining {
                Remaining::Nothing | Remaining::Length(0) => return Ok(true),
                Remaining::UntilClose => {
                    self.take_up_to(buffer, usize::MAX);
                    return Ok(false);
                }
                Remaining::Length(length) => {
                    self.remaining = Remaining::Length(length - self.take_up_to(buffer, length));
                    if buffer.is_empty() && !matches!(self.remaining, Remaining::Length(0)) {
                        return Ok(false);
                    }
                }
                Remaining::ChunkSize => {
                    let (length, size) = match httparse::parse_chunk_size(buffer) {
                        Ok(httparse::Status::Complete(found)) => found,
                        Ok(httparse::Status::Partial) => return Ok(false),
                        Err(_) => bail!("a chunk size that is none: {:?}", &buffer[..buffer.len().min(32)]),
                    };
                    buffer.advance(length);
                    let size = usize::try_from(size)?;
                    self.remaining = if size == 0 { Remaining::Trailers } else { Remaining::Chunk(size) };
                }
                Remaining::Chunk(size) => {
                    let left = size - self.take_up_to(buffer, size);
                    self.remaining = if left == 0 { Remaining::ChunkEnd } else { Remaining::Chunk(left) };
                    if left > 0 {
                        return Ok(false);
                    }
                }
                Remaining::ChunkEnd => {
                    if buffer.len() < 2 {
                        return Ok(false);
                    }
                    if !buffer.starts_with(b"\r\n") {
                        bail!("a chunk that does not end where it should");
                    }
                    buffer.advance(2);
                    self.remaining = Remaining::ChunkSize;
                }
                Remaining::Trailers => {
                    let mut parsed = [httparse::EMPTY_HEADER; MAX_FIELDS];
                    let end = httparse::parse_headers(buffer, &mut parsed).map_err(|why| anyhow!("trailers: {why}"))?;
                    let httparse::Status::Complete((length, fields)) = end else { return Ok(false) };
                    self.trailers = Fields::from_parsed(fields);
                    buffer.advance(length);
                    self.remaining = Remaining::Nothing;
                }
            }
        }
    }

    fn take_up_to(&mut self, buffer: &mut BytesMut, limit: usize) -> usize {
        let taken = buffer.split_to(buffer.len().min(limit));
        self.body.extend_from_slice(&taken);
        taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_when_it_is_whole() {
        let wire = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nConnection: close\r\n\r\nno";
        for cut in 0..wire.len() {
            assert_eq!(Glance::at(&wire[..cut]).unwrap(), None, "{cut}");
        }
        let reply = Glance { status: 401, closes: true, length: wire.len() };
        assert_eq!(Glance::at(wire).unwrap(), Some(reply));
    }

    #[test]
    fn a_chunked_body_with_trailers_is_read_byte_by_byte() {
        let wire =
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n02;x=y\r\nde\r\n0\r\nT: 1\r\n\r\nGET";
        let (mut buffer, mut reader, mut whole) = (BytesMut::new(), None::<BodyReader>, false);
        for byte in wire {
            buffer.extend_from_slice(&[*byte]);
            if reader.is_none()
                && let Some(head) = RequestHead::take(&mut buffer).unwrap()
            {
                assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/a"));
                reader = Some(BodyReader::of_request(&head.headers).unwrap());
            }
            if let Some(reader) = &mut reader {
                whole = reader.take(&mut buffer).unwrap();
            }
        }
        let reader = reader.unwrap();
        assert!(whole);
        assert_eq!(reader.body, b"abcde");
        assert_eq!(reader.trailers.first("t"), Some(b"1".as_slice()));
        assert_eq!(&buffer[..], b"GET");
    }
}
