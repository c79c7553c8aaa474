//! User and password of a node: from a file that is read again for each request, so that a restarted node's new cookie works.

use std::fmt;
use std::path::PathBuf;

use hyper::header::HeaderValue;
use tokio::io::AsyncReadExt as _;

use crate::node::NodeError;

/// Most bytes of a credentials file, and of user and password together; longer ones are refused.
pub const CREDENTIALS_BYTES_MAX: usize = 1_024;

/// Where user and password come from. Neither is ever shown: `Debug` names the file only.
#[derive(Clone)]
pub struct Credentials {
    source: Source,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Held(String),
}

impl Credentials {
    /// A file with one line `user:password`: a cookie file of a node, or one of the operator's.
    #[must_use]
    pub const fn file(path: PathBuf) -> Self {
        Self {
            source: Source::File(path),
        }
    }

    /// User and password held in memory.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            source: Source::Held(format!("{user}:{password}")),
        }
    }

    /// The value of the `Authorization` header (RFC 7617).
    ///
    /// # Errors
    /// [`NodeError::Credentials`] if the file cannot be read, or is no `user:password` within the limit.
    pub(crate) async fn header(&self) -> Result<HeaderValue, NodeError> {
        let text = match &self.source {
            Source::File(path) => read(path).await?,
            Source::Held(text) => text.clone(),
        };
        let line = text.trim_end_matches(['\r', '\n']);
        if CREDENTIALS_BYTES_MAX < line.len()
            || !line.contains(':')
            || line.contains(char::is_control)
        {
            return Err(NodeError::Credentials(
                "they are no line of `user:password`",
            ));
        }
        let mut value = HeaderValue::from_str(&format!("Basic {}", base64(line.as_bytes())))
            .map_err(|_| NodeError::Credentials("they are no line of `user:password`"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => write!(f, "Credentials(file {})", path.display()),
            Source::Held(_) => f.write_str("Credentials(held)"),
        }
    }
}

async fn read(path: &std::path::Path) -> Result<String, NodeError> {
    let unreadable = |_| NodeError::Credentials("their file cannot be read");
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut text = String::new();
    let limit = u64::try_from(CREDENTIALS_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    file.take(limit)
        .read_to_string(&mut text)
        .await
        .map_err(unreadable)?;
    Ok(text)
}

/// Standard base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let sextet = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            let is_padding = chunk.len() < usize::try_from(place).unwrap_or(0);
            let digit = DIGITS.get(sextet).copied().filter(|_| !is_padding);
            text.push(char::from(digit.unwrap_or(b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("u:p?>~", "dTpwPz5+"),
        ];
        for (plain, encoded) in table {
            assert_eq!(base64(plain.as_bytes()), encoded, "{plain}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let held = Credentials::new("alice", "hunter2");
        assert_eq!(format!("{held:?}"), "Credentials(held)");
    }
}
