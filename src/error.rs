//! Few error kinds, chosen by what the caller should do; the cause is kept as `source`.

use std::fmt;

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request or the configuration is wrong; repeating it cannot help.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// It collides with what exists or with another change.
    Conflict,
    /// Too much, too fast; later it will do.
    Throttled,
    /// Nothing was stored; repeat later.
    Unavailable,
    /// Bytes on disk are not what was written.
    Corrupt,
    /// The part that was asked has stopped.
    Closed,
    /// A fault of ours.
    Internal,
}

impl Kind {
    /// Whether the same call may succeed later without anybody changing it.
    pub fn retryable(self) -> bool {
        matches!(self, Kind::Throttled | Kind::Unavailable)
    }
}

/// An error with its kind, a message for a person, and its cause.
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result type of the whole crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`: lower case, no full stop, names the field, the value and the limit.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message alone, without the causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Shorthand for [`Kind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Kind::Invalid, message)
    }

    /// Shorthand for [`Kind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Error::new(Kind::Unavailable, message)
    }

    /// Shorthand for [`Kind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Error::new(Kind::Corrupt, message)
    }

    /// Shorthand for [`Kind::Closed`].
    pub fn closed(message: impl Into<String>) -> Self {
        Error::new(Kind::Closed, message)
    }
}

/// The message, then each cause after a colon: what a log line or a terminal shows.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            // Our own errors print their causes themselves.
            cause = if error.is::<Error>() { None } else { error.source() };
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What lies beneath an error of an AWS SDK ("dispatch failure"), each cause once. The SDK's own `DisplayErrorContext` adds
/// all of it a second time, as `Debug` shows it.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(error.source(), |error| error.source());
    let mut words: Vec<String> = Vec::new();
    for said in chain.map(ToString::to_string) {
        // Some print their cause themselves.
        if words.last().is_none_or(|last| !last.contains(&said)) {
            words.push(said);
        }
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_in_words_and_once() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let outer = Error::unavailable("tcp connect error").because(refused);
        let error = Error::unavailable("dispatch failure").because(outer);
        assert_eq!(causes(&error), "tcp connect error: connection refused");
        assert_eq!(causes(&Error::unavailable("alone")), "alone");
    }
}
