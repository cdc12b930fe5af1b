//! A row's request, and how it becomes bytes.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::body::Body;
use crate::expect::Expectation;
use crate::template::Values;
use crate::token::{Algorithm, Edit, Token, members, payload_hash, uuid};

/// How the body goes over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// HTTP/1.1 with `Content-Length`.
    #[default]
    Length,
    /// HTTP/1.1 with neither length nor chunks: no body.
    None,
    /// HTTP/1.1 chunked.
    Chunked,
    /// HTTP/1.1 chunked, then trailers.
    ChunkedTrailers,
    /// HTTP/2 DATA, with `content-length`.
    H2,
    /// HTTP/2 DATA, then trailers; without `content-length`.
    H2Trailers,
    /// HTTP/2 DATA without `content-length`.
    H2NoLength,
    /// HTTP/2, END_STREAM already on HEADERS: no body.
    H2HeadersOnly,
}

impl Framing {
    /// Whether this is HTTP/2.
    #[must_use]
    pub fn is_h2(self) -> bool {
        matches!(self, Self::H2 | Self::H2Trailers | Self::H2NoLength | Self::H2HeadersOnly)
    }

    /// Whether `content-length` is sent.
    #[must_use]
    pub fn has_length(self) -> bool {
        matches!(self, Self::Length | Self::H2)
    }

    /// Whether trailers follow the body.
    #[must_use]
    pub fn has_trailers(self) -> bool {
        matches!(self, Self::ChunkedTrailers | Self::H2Trailers)
    }

    /// Whether no body can follow the head.
    #[must_use]
    pub fn is_bodyless(self) -> bool {
        matches!(self, Self::None | Self::H2HeadersOnly)
    }
}

/// A request of the tables. Everything left out makes it a valid callback for the policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The query, behind a `?`.
    pub query: Option<String>,
    /// The body as sent.
    pub body: Body,
    /// How the body is sent.
    pub framing: Framing,
    /// The size of the pieces the body is sent in; the whole at once if it is 0.
    pub chunk: usize,
    /// More headers, before the token; values are templates.
    pub headers: Vec<(String, String)>,
    /// How many more headers of no meaning.
    pub filler_headers: usize,
    /// The trailers, where the framing has some.
    pub trailers: Vec<(String, String)>,
    /// The token; `null` sends none.
    pub token: Option<TokenSpec>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "POST".into(),
            query: None,
            body: Body::default(),
            framing: Framing::default(),
            chunk: 0,
            headers: Vec::new(),
            filler_headers: 0,
            trailers: vec![("x-checksum".into(), "none".into())],
            token: Some(TokenSpec::default()),
        }
    }
}

/// How a row's token differs from a valid one. Texts are templates (`${now}` and the like).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSpec {
    /// The secret, instead of the policy's first.
    pub secret: Option<String>,
    /// Header parameters to set.
    pub header: Map<String, Value>,
    /// Header parameters to leave out.
    pub remove_header: Vec<String>,
    /// The header's JSON text.
    pub raw_header: Option<String>,
    /// Claims to set.
    pub claims: Map<String, Value>,
    /// Claims to leave out.
    pub remove: Vec<String>,
    /// The claims' JSON text.
    pub raw_claims: Option<String>,
    /// `iat`, as seconds from now.
    pub iat: i64,
    /// `exp`, as seconds from now.
    pub exp: Option<i64>,
    /// `nbf`, as seconds from now.
    pub nbf: Option<i64>,
    /// The body that `payload_hash` is of, instead of the one sent.
    pub payload_hash_of: Option<Body>,
    /// What signs; `alg` follows unless `header` sets it.
    pub signed_with: Algorithm,
    /// Changes to the serialized token.
    pub edits: Vec<Edit>,
    /// The exact length of the serialized token.
    pub length: Option<usize>,
    /// The header that carries it: `authorization` if left out.
    pub header_name: Option<String>,
    /// Its value: `Bearer ${token}` if left out.
    pub header_value: Option<String>,
    /// How often the header is sent; once if left out.
    pub copies: Option<usize>,
}

/// A request ready to be sent. The sender adds `Host`, `Content-Length` and `Transfer-Encoding` as the framing asks.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The method.
    pub method: String,
    /// `/callbacks/` and the unique id, and the query if there is one.
    pub path: String,
    /// The headers in their order, with names as written.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How to send the body.
    pub framing: Framing,
    /// The body in the pieces to send; empty if there is none.
    pub chunks: Vec<Vec<u8>>,
    /// The trailers; empty where the framing has none.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The serialized token, as far as one was made.
    pub token: Option<String>,
    values: Values,
    claims: Map<String, Value>,
}

impl Rendered {
    /// The whole body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The `jti` of the token, unless the row set another.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.values.jti
    }

    /// `expect` with its placeholders filled and, if the request is forwarded, with every identity header in it: those
    /// that the row does not mention follow from the code and the claims.
    ///
    /// # Panics
    /// On a placeholder that does not exist.
    #[must_use]
    pub fn fill(&self, expect: &Expectation) -> Expectation {
        self.try_fill(expect).unwrap_or_else(|problem| panic!("{problem}"))
    }

    pub(crate) fn try_fill(&self, expect: &Expectation) -> Result<Expectation, String> {
        let mut filled = expect.clone();
        for headers in [&mut filled.upstream_headers, &mut filled.reply_headers] {
            for value in headers.values_mut().flatten() {
                *value = self.values.fill_text(value)?;
            }
        }
        if !expect.forwarded() {
            return Ok(filled);
        }
        let accepted = expect.code.as_deref() == Some("accepted");
        let claim = |name: &str| match self.claims.get(name) {
            Some(Value::String(text)) if accepted => Some(text.clone()),
            Some(Value::Number(number)) if accepted => Some(number.to_string()),
            _ => None,
        };
        let defaults = [
            ("x-callback-verified", expect.code.clone()),
            ("x-callback-api-key", claim("api_key")),
            ("x-callback-application-id", claim("application_id")),
            ("x-callback-jti", claim("jti")),
            ("x-callback-iat", claim("iat")),
            ("x-ssl-client-subject-dn", None),
        ];
        for (name, value) in defaults {
            filled.upstream_headers.entry(name.into()).or_insert(value);
        }
        Ok(filled)
    }
}

impl Request {
    /// The request as sent at `now` under the id `unique`, signed with `secret` unless the row says otherwise.
    pub(crate) fn render(&self, secret: &[u8], now: i64, unique: &str, group: &str) -> Result<Rendered, String> {
        let body = self.body.bytes()?;
        if self.framing.is_bodyless() && !body.is_empty() {
            return Err(format!("framing {:?} can't carry a body", self.framing));
        }
        let mut values = Values { now, iat: now, jti: uuid(unique), group: group.into(), ..Values::default() };
        let mut headers = Vec::new();
        if !body.is_empty() {
            headers.push(("content-type".into(), b"application/json".to_vec()));
        }
        let mut claims = Map::new();
        let mut token_headers = Vec::new();
        if let Some(spec) = &self.token {
            let token = spec.token(&body, secret, &mut values)?;
            values.token = token.try_sign()?;
            claims = token.claims;
            let name = spec.header_name.as_deref().unwrap_or("authorization");
            let value = values.fill(spec.header_value.as_deref().unwrap_or("Bearer ${token}"))?;
            token_headers = vec![(name.to_owned(), value); spec.copies.unwrap_or(1)];
        }
        for (name, value) in &self.headers {
            headers.push((name.clone(), values.fill(value)?));
        }
        headers.extend((0..self.filler_headers).map(|n| (format!("x-filler-{n}"), format!("filler {n}").into_bytes())));
        headers.extend(token_headers);
        let mut trailers = Vec::new();
        for (name, value) in self.trailers.iter().filter(|_| self.framing.has_trailers()) {
            trailers.push((name.clone().into_bytes(), values.fill(value)?));
        }
        let size = if self.chunk == 0 { body.len().max(1) } else { self.chunk };
        Ok(Rendered {
            method: self.method.clone(),
            path: self.query.iter().fold(format!("/callbacks/{unique}"), |path, query| format!("{path}?{query}")),
            headers: headers.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect(),
            framing: self.framing,
            chunks: body.chunks(size).map(<[u8]>::to_vec).collect(),
            trailers,
            token: self.token.is_some().then(|| values.token.clone()),
            values,
            claims,
        })
    }
}

impl TokenSpec {
    fn token(&self, body: &[u8], secret: &[u8], values: &mut Values) -> Result<Token, String> {
        let hashed = self.payload_hash_of.as_ref().map(Body::bytes).transpose()?;
        values.iat = values.now + self.iat;
        values.payload_hash = payload_hash(hashed.as_deref().unwrap_or(body));
        let mut token = Token::valid(body, values.iat)
            .secret(secret)
            .algorithm(self.signed_with)
            .claim("jti", values.jti.as_str())
            .claim("payload_hash", values.payload_hash.as_str());
        for (name, offset) in [("exp", self.exp), ("nbf", self.nbf)] {
            if let Some(offset) = offset {
                token = token.claim(name, values.now + offset);
            }
        }
        for (name, value) in &self.claims {
            token = token.claim(name, filled(value, values)?);
        }
        for (name, value) in &self.header {
            token = token.header(name, filled(value, values)?);
        }
        for name in &self.remove {
            token.claims.remove(name).ok_or_else(|| format!("remove: there is no claim {name:?}"))?;
        }
        for name in &self.remove_header {
            token.header.remove(name).ok_or_else(|| format!("remove_header: there is no {name:?}"))?;
        }
        if let Some(secret) = &self.secret {
            token = token.secret(values.fill(secret)?);
        }
        values.header = members(&token.header);
        values.claims = members(&token.claims);
        token.raw_header = self.raw_header.as_ref().map(|text| values.fill(text)).transpose()?;
        token.raw_claims = self.raw_claims.as_ref().map(|text| values.fill(text)).transpose()?;
        token.edits = self.edits.clone();
        token.length = self.length;
        Ok(token)
    }
}

fn filled(value: &Value, values: &Values) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => values.fill_text(text)?.into(),
        other => other.clone(),
    })
}
