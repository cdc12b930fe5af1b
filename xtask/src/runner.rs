//! What test runners print, read: their counts, the tests that they left out, and what failed and why.

use std::collections::VecDeque;

/// How many names of failed tests are told again.
const NAMED: usize = 6;

/// How many of the last lines are kept for the case that no runner says what failed.
const LAST: usize = 30;

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
    fn of_summary(line: &str) -> Option<Self> {
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

/// What came of one suite of the harness in one proxy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InProxy {
    /// The suite.
    pub(crate) suite: String,
    /// The proxy, with its version.
    pub(crate) proxy: String,
    /// Its tests.
    pub(crate) count: Count,
    /// From the first one's beginning to the last one's end.
    pub(crate) seconds: f32,
}

impl InProxy {
    /// Reads `suite vectors in nginx-1.22.1: 3 passed, 0 failed, 1 skipped, 0.4 s`, as the harness ends.
    fn of_line(line: &str) -> Option<Self> {
        let (what, numbers) = line.strip_prefix("suite ")?.split_once(": ")?;
        let (suite, proxy) = what.split_once(" in ")?;
        let mut numbers = numbers.split(", ").map(|part| part.split_once(' ').unwrap_or((part, "")));
        let mut next = |word: &str| numbers.next().filter(|(_, unit)| *unit == word).map(|(number, _)| number);
        let (passed, failed, skipped) = (next("passed")?, next("failed")?, next("skipped")?);
        let count =
            Count { passed: passed.parse().ok()?, failed: failed.parse().ok()?, skipped: skipped.parse().ok()? };
        Some(Self { suite: suite.into(), proxy: proxy.into(), count, seconds: next("s")?.parse().ok()? })
    }
}

/// What the runners of one step said.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// All runners together.
    pub(crate) count: Count,
    /// Tests that were left out, with the reason where there is one.
    pub(crate) ignored: Vec<String>,
    /// What suites of the harness came to in each proxy.
    pub(crate) in_proxies: Vec<InProxy>,
    failed: Vec<String>,
    /// What failed tests said.
    details: Vec<String>,
    /// The list that is being read: runners end with two, what failed tests said and then their names.
    list: Option<Vec<String>>,
    last: VecDeque<String>,
}

impl Transcript {
    /// Takes the next line.
    pub(crate) fn read(&mut self, line: &str) {
        let text = plain(line);
        let text = text.trim_end();
        self.ignored.extend(ignored_test(text));
        self.in_proxies.extend(InProxy::of_line(text));
        if let Some(found) = Count::of_summary(text) {
            self.count.add(found);
            self.failed.extend(self.list.take().into_iter().flatten().map(|name| name.trim().to_owned()));
        } else if text == "failures:" {
            self.details.extend(self.list.replace(Vec::new()).into_iter().flatten());
        } else if let Some(list) = self.list.as_mut().filter(|_| !text.is_empty()) {
            list.push(text.to_owned());
        }
        if !text.is_empty() {
            self.last.push_back(text.to_owned());
            if self.last.len() > LAST {
                self.last.pop_front();
            }
        }
    }

    /// Why the step failed, in at most `most` lines: the tests by name and the end of what they said; the `problem` and
    /// the last lines where no test failed.
    pub(crate) fn reason(&self, problem: &str, most: usize) -> Vec<String> {
        let mut reason: Vec<_> = self.failed.iter().take(NAMED).cloned().collect();
        if let Some(more @ 1..) = self.failed.len().checked_sub(NAMED) {
            reason.push(format!("and {more} more"));
        }
        let said: Vec<_> = if self.failed.is_empty() {
            reason.push(problem.to_owned());
            self.last.iter().collect()
        } else {
            self.details.iter().collect()
        };
        let room = most.saturating_sub(reason.len());
        reason.extend(said.iter().skip(said.len().saturating_sub(room)).map(|line| (*line).clone()));
        reason
    }
}

/// The name of a test that its runner left out, with the reason where it gives one.
fn ignored_test(line: &str) -> Option<String> {
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
    fn failed_tests_are_named_with_what_they_said() {
        let mut transcript = Transcript::default();
        let printed = "running 3 tests\ntest a ... ok\ntest b ... FAILED\ntest c ... ignored, no Envoy\n\nfailures:\n\n\
            ---- b ----\nstatus 500\n    at the upstream\n\n\nfailures:\n    b\n\n\
            test result: \x1b[31mFAILED\x1b[0m. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        printed.lines().for_each(|line| transcript.read(line));
        assert_eq!(transcript.count, Count { passed: 3, failed: 1, skipped: 1 });
        assert_eq!(transcript.ignored, ["c, no Envoy"]);
        assert_eq!(transcript.reason("ended with 101", 15), ["b", "---- b ----", "status 500", "    at the upstream"]);
        assert_eq!(transcript.reason("ended with 101", 2), ["b", "    at the upstream"]);
    }

    #[test]
    fn a_runner_that_never_came_to_its_tests_is_told_by_its_last_lines() {
        let mut transcript = Transcript::default();
        (0..99).for_each(|number| transcript.read(&format!("error {number}")));
        assert_eq!(transcript.reason("ended with 101", 3), ["ended with 101", "error 97", "error 98"]);
    }

    #[test]
    fn what_a_suite_came_to_in_a_proxy_is_read() {
        let line = "suite vectors in own-nginx-1.22.1: 3 passed, 2 failed, 1 skipped, 0.4 s";
        let count = Count { passed: 3, failed: 2, skipped: 1 };
        let expected = InProxy { suite: "vectors".into(), proxy: "own-nginx-1.22.1".into(), count, seconds: 0.4 };
        assert_eq!(InProxy::of_line(line), Some(expected));
        for other in ["suite vectors in nginx", "suite a in b: 3 passed, 1 skipped, 0.4 s", "a suite in b: c"] {
            assert_eq!(InProxy::of_line(other), None, "{other}");
        }
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
