//! Finds the final answer after an interim one (RFC 9110 section 15.2) in what an application sends over HTTP/1.1.
//!
//! A proxy that does not know interim answers takes the first head for the answer, and all that follows for its body.
//! There, the final answer's status is still to be read.

/// `HTTP/1.1 200`: what is needed of a status line, and no more is kept of it.
const STATUS_LINE: usize = 12;

/// Reads on after the head of an interim answer, in pieces of any size.
#[derive(Debug, Clone, Copy)]
pub struct FinalStatus {
    /// The beginning of the line.
    line: [u8; STATUS_LINE],
    /// How much of the line has come, carriage returns aside, up to what is kept.
    length: usize,
    /// Whether this is the first line of a head, and not a field.
    is_first: bool,
}

impl FinalStatus {
    /// Where the head of an interim answer has just ended.
    #[must_use]
    pub const fn new() -> Self {
        Self { line: [0; STATUS_LINE], length: 0, is_first: true }
    }

    /// Takes what comes next, until it gives the status of the final answer: 0 if what comes is no answer.
    pub fn read(&mut self, bytes: &[u8]) -> Option<u16> {
        bytes.iter().find_map(|byte| match byte {
            b'\n' => self.end_line(),
            b'\r' => None,
            _ => {
                if let Some(kept) = self.line.get_mut(self.length) {
                    *kept = *byte;
                    self.length += 1;
                }
                // Only the status is waited for, so that it is known even if nothing follows it.
                (self.is_first && self.length == STATUS_LINE).then(|| self.final_status()).flatten()
            }
        })
    }

    fn end_line(&mut self) -> Option<u16> {
        let (is_empty, was_first) = (self.length == 0, self.is_first);
        let whole = self.length == STATUS_LINE;
        self.length = 0;
        // An empty line ends a head, and another one follows.
        self.is_first = is_empty;
        (was_first && !whole).then_some(0)
    }

    /// `None` if it is an interim one again.
    fn final_status(&self) -> Option<u16> {
        match self.status() {
            Some(100 | 102..=199) => None,
            Some(status) => Some(status),
            None => Some(0),
        }
    }

    fn status(&self) -> Option<u16> {
        let status = self.line.strip_prefix(b"HTTP/1.")?.get(2..)?;
        core::str::from_utf8(status)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?
            .parse()
            .ok()
    }
}

impl Default for FinalStatus {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::FinalStatus;

    #[test]
    fn the_final_status_is_found_in_pieces_of_any_size() {
        for (wire, due) in [
            ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", Some(500)),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.0 204\n\n", Some(204)),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 No\r\n", Some(404)),
            ("HTTP/1.1 102\r\n\r\nHTTP/1.1 100 Go\n\nHTTP/1.1 101 Switch\r\n", Some(101)),
            ("HTTP/1.1 103 Early Hints\r\nX: HTTP/1.1 200\r\nHTTP/1.1 200\r\n\r\nHTTP/1.1 503 X", Some(503)),
            ("HTTP/1.1 103 Early Hints\r\nX: y\r\n", None),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", None),
            ("HTTP/1.1 20", None),
            ("", None),
            ("HTTP/2.0 200 OK\r\n", Some(0)),
            ("HTTP/1.1 2xx OK\r\n", Some(0)),
            ("HTTP/1.1 +20 OK\r\n", Some(0)),
            ("HTTP/1.1\r\n", Some(0)),
            ("\r\n", Some(0)),
            ("{\"taken\":true}", Some(0)),
        ] {
            for size in 1..=wire.len().max(1) {
                let mut reading = FinalStatus::new();
                let found = wire.as_bytes().chunks(size).find_map(|piece| reading.read(piece));
                assert_eq!(found, due, "{wire:?} in pieces of {size}");
            }
        }
    }
}
