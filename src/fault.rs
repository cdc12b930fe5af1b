//! What is said of a panic. It should not happen; if it does, its message may quote what it was about (a slice of text
//! that is cut inside a character does), so hosts replace the standard hook by one that writes this line.

use alloc::format;
use alloc::string::String;
use core::panic::Location;

/// Where in the code it was, and nothing of what it was about.
#[must_use]
pub fn line(location: Option<&Location<'_>>) -> String {
    match location {
        Some(place) => format!("secure_callbacks: a fault inside, at {place}"),
        None => "secure_callbacks: a fault inside".into(),
    }
}
