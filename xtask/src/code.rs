//! Rust source as a list of words and signs, without comments and the insides of strings: enough to see which names a
//! file uses, and not to be fooled by what its comments say.

/// One piece of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// An identifier, a keyword or a number.
    Word(String),
    /// Any other visible character; a string is one `"`.
    Sign(char),
}

impl Piece {
    /// Whether it is this word.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }
}

/// Takes source apart.
pub(crate) fn pieces(source: &str) -> Vec<Piece> {
    let mut rest = source;
    let mut pieces = Vec::new();
    while let Some(first) = rest.chars().next() {
        rest = if rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") {
            after_block_comment(rest)
        } else if let Some(after) = after_string(rest) {
            pieces.push(Piece::Sign('"'));
            after
        } else if first == '\'' {
            after_quote(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            pieces.push(Piece::Word(word.into()));
            after
        } else {
            if !first.is_whitespace() {
                pieces.push(Piece::Sign(first));
            }
            skip(rest, first.len_utf8())
        };
    }
    pieces
}

/// Block comments nest in Rust.
fn after_block_comment(source: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = source;
    while !rest.is_empty() {
        if rest.starts_with("/*") {
            depth += 1;
            rest = skip(rest, 2);
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            rest = skip(rest, 2);
        } else {
            rest = skip(rest, rest.chars().next().map_or(1, char::len_utf8));
        }
        if depth == 0 {
            break;
        }
    }
    rest
}

/// What follows a string of any kind, or `None` if none begins here.
fn after_string(source: &str) -> Option<&str> {
    let body = source.trim_start_matches(['b', 'c']);
    if source.len() - body.len() > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let open = raw.trim_start_matches('#');
        let hashes = raw.len() - open.len();
        let inside = open.strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(inside.split_once(close.as_str()).map_or("", |(_, after)| after));
    }
    let inside = body.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Some(end.map_or("", |end| skip(inside, end + 1)))
}

/// What follows a character such as `'"'`; a lifetime loses only its quote.
fn after_quote(source: &str) -> &str {
    let inside = skip(source, 1);
    let mut characters = inside.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), Some(escaped)) => {
            let after = skip(inside, 1 + escaped.len_utf8());
            after.split_once('\'').map_or("", |(_, rest)| rest)
        }
        (Some(character), Some('\'')) => skip(inside, character.len_utf8() + 1),
        _ => inside,
    }
}

fn skip(source: &str, bytes: usize) -> &str {
    source.get(bytes..).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        let words = pieces(source).into_iter().filter_map(|piece| match piece {
            Piece::Word(word) => Some(word),
            Piece::Sign(_) => None,
        });
        words.collect()
    }

    #[test]
    fn comments_and_strings_are_left_out() {
        for (source, expected) in [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d */ e", "a e"),
            ("a(\"b \\\" // c\") d", "a d"),
            ("a r#\"b \" c\"# d", "a d"),
            ("a b\"c\" br##\"d\"# e\"## f", "a f"),
            ("'\"' a '\\'' b '\\u{2014}' c 'é' d", "a b c d"),
            ("fn f<'a>(x: &'a str) // y", "fn f a x a str"),
            ("bar cr r b", "bar cr r b"),
        ] {
            assert_eq!(words(source).join(" "), expected, "{source}");
        }
    }
}
