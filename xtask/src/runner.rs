//! What test runners print, read: their counts, and the tests that they left out.

/// What test runners counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests that were not run.
    pub(crate) skipped: u64,
}

impl Count {
    /// Adds what another runner counted.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`, as test runners end.
    pub(crate) fn of_summary(line: &str) -> Option<Self> {
        let line = plain(line);
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut count = Self::default();
        for part in numbers.split(';') {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => count.passed = number.parse().ok()?,
                Some((number, "failed")) => count.failed = number.parse().ok()?,
                Some((number, "ignored")) => count.skipped = number.parse().ok()?,
                _ => {}
            }
        }
        Some(count)
    }
}

/// The name of a test that its runner left out, with the reason where it gives one.
pub(crate) fn ignored_test(line: &str) -> Option<String> {
    let line = plain(line);
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let reason = result.strip_prefix("ignored")?;
    Some(format!("{}{reason}", name.trim_end()))
}

/// A line without the colours that a runner may put into it.
fn plain(line: &str) -> String {
    let mut rest = line;
    let mut text = String::new();
    while let Some((before, colour)) = rest.split_once('\x1b') {
        text.push_str(before);
        rest = colour.split_once('m').map_or("", |(_, after)| after);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_runners_are_read() {
        let line = "test result: ok. 12 passed; 3 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let expected = Some(Count { passed: 12, failed: 3, skipped: 4 });
        assert_eq!(Count::of_summary(line), expected);
        assert_eq!(Count::of_summary(&line.replace("ok", "\x1b[32mok\x1b[0m")), expected);
        assert_eq!(Count::of_summary("test result of something else"), None);
        assert_eq!(Count::of_summary("running 3 tests"), None);
    }

    #[test]
    fn tests_left_out_are_named_with_their_reason() {
        for (line, expected) in [
            ("test a::b ... ignored", Some("a::b")),
            ("test a::b ... ignored, there is no Envoy", Some("a::b, there is no Envoy")),
            ("test a::b ... ok", None),
            ("a ... ignored", None),
        ] {
            assert_eq!(ignored_test(line).as_deref(), expected, "{line}");
        }
    }
}
