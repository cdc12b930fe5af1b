//! Durations and sizes as people write them.

use alloc::string::ToString;

use crate::problem::Problem;

/// A year: beyond it a duration is a mistake, and sums of durations stay far from overflow.
const LONGEST_SECONDS: u64 = 365 * 24 * 60 * 60;

/// A body that is held whole in a proxy's memory; callbacks have less than 4 KiB.
const LARGEST_BYTES: u64 = 1 << 30;

/// What is no size.
pub(super) const A_SIZE: Problem = Problem::Expected("a size such as `64KiB` or `1MiB`");

/// `300s`, `5m`, `24h`, in seconds.
pub(super) fn seconds(text: &str) -> Result<i64, Problem> {
    const EXPECTED: Problem = Problem::Expected("a duration such as `300s`, `5m` or `24h`");
    let (count, factor) = split(text, &[("s", 1), ("m", 60), ("h", 3600)]).ok_or(EXPECTED)?;
    let seconds = count.checked_mul(factor).filter(|seconds| *seconds <= LONGEST_SECONDS);
    seconds
        .and_then(|seconds| i64::try_from(seconds).ok())
        .ok_or(Problem::OutOfRange { least: 0, most: LONGEST_SECONDS })
}

/// `64KiB`, `1MiB`, `1GiB`, `64k`, `1m`, `1g`, or a plain number, in bytes.
pub(super) fn bytes(text: &str) -> Result<u64, Problem> {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    const GIB: u64 = 1024 * MIB;
    // Small and capital, as nginx takes them.
    const UNITS: [(&str, u64); 10] = [
        ("KiB", KIB),
        ("MiB", MIB),
        ("GiB", GIB),
        ("k", KIB),
        ("K", KIB),
        ("m", MIB),
        ("M", MIB),
        ("g", GIB),
        ("G", GIB),
        ("", 1),
    ];
    let (count, factor) = split(text, &UNITS).ok_or(A_SIZE)?;
    let size = count.checked_mul(factor).filter(|size| (1..=LARGEST_BYTES).contains(size));
    size.ok_or(Problem::OutOfRange { least: 1, most: LARGEST_BYTES })
}

/// A decimal number and the factor of the unit behind it.
fn split(text: &str, units: &[(&str, u64)]) -> Option<(u64, u64)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    // Too many digits for u64 are as far out of range as the largest.
    if number.is_empty() { None } else { Some((number.parse().unwrap_or(u64::MAX), *factor)) }
}

/// A size that came as a number.
pub(super) fn bytes_from_number(number: u64) -> Result<u64, Problem> {
    bytes(&number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [("300s", 300), ("5m", 300), ("24h", 86_400), ("0s", 0)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in
            ["", "300", "s", "5 m", "-5m", "5min", "1d", "9999999999h", "99999999999999999999999s", "+5s", "5ms"]
        {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("1GiB", 1 << 30),
            ("64k", 65_536),
            ("64K", 65_536),
            ("1m", 1 << 20),
            ("1M", 1 << 20),
            ("1g", 1 << 30),
            ("1G", 1 << 30),
            ("512", 512),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "0g", "KiB", "2GiB", "2g", "1GB", "1Gi", "1 k", "-1k", "1kb", "99999999999999999999g"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
