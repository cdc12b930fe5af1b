//! The machines that something is built for.

/// What a proxy runs on, and what is built for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// This machine, whatever it is.
    #[default]
    This,
    /// One with 64-bit Arm processors, which this machine emulates.
    Aarch64,
}

impl Machine {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::This, Self::Aarch64];

    /// The folder of what is built for it, below that of what is built for this one.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::This => "",
            Self::Aarch64 => "aarch64",
        }
    }

    /// What tells its directories from this machine's.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::This => "",
            Self::Aarch64 => "-aarch64",
        }
    }
}
