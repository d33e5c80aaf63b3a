//! Passwords and certificates, in the settings or in files that may change while the program runs.

use std::fmt;
use std::sync::Arc;

/// The beginning of every certificate and key in PEM.
const BEGIN: &[u8] = b"-----BEGIN ";

/// Bytes in the settings, or the path of a file, which is read again for each dial.
#[derive(Clone)]
pub(crate) enum Source {
    Given(Arc<[u8]>),
    File(Arc<str>),
}

impl Source {
    pub(crate) fn text(text: String) -> Self {
        Self::Given(text.into_bytes().into())
    }

    /// The file of a password. It has to be readable now, so that a wrong path is an error at the start.
    pub(super) fn secret(path: String) -> Result<Self, String> {
        let source = Self::File(path.into());
        source.password().map(|_| source)
    }

    /// The file of certificates or of a key, which has to be readable now.
    pub(super) fn pem(path: String) -> Result<Self, String> {
        let source = Self::File(path.into());
        source.certificates().map(|_| source)
    }

    /// Whether a later dial may read other bytes.
    pub(crate) fn may_change(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Reads the password. One line break at the end of a file does not belong to it.
    pub(crate) fn password(&self) -> Result<String, String> {
        let text = String::from_utf8(self.read()?.to_vec());
        let text = text.map_err(|_| format!("{self} is not UTF-8"))?;
        let Self::File(_) = self else { return Ok(text) };
        let text =
            text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() { Err(format!("{self} is empty")) } else { Ok(text.to_owned()) }
    }

    /// Reads the certificates, or the key.
    pub(crate) fn certificates(&self) -> Result<Arc<[u8]>, String> {
        let bytes = self.read()?;
        let is_pem = bytes.windows(BEGIN.len()).any(|window| window == BEGIN);
        if is_pem { Ok(bytes) } else { Err(format!("{self} holds nothing in PEM")) }
    }

    fn read(&self) -> Result<Arc<[u8]>, String> {
        let path = match self {
            Self::Given(bytes) => return Ok(bytes.clone()),
            Self::File(path) => &**path,
        };
        let cannot = |error: &dyn fmt::Display| format!("{self} cannot be read: {error}");
        // Reading a pipe or a device might never end.
        if !std::fs::metadata(path).map_err(|error| cannot(&error))?.is_file() {
            return Err(cannot(&"it is no file"));
        }
        std::fs::read(path).map(Arc::from).map_err(|error| cannot(&error))
    }
}

/// Shows where the bytes come from, never the bytes.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("the text in the settings"),
            Self::File(path) => write!(f, "`{path}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (std::path::PathBuf, Source) {
        let name = crate::entry::EntryId::fresh().expect("randomness").fraction().to_string();
        let path = std::env::temp_dir().join(format!("cache-runtime-{name}"));
        std::fs::write(&path, text).expect("a file can be written");
        let source = Source::File(path.display().to_string().into());
        (path, source)
    }

    #[test]
    fn one_line_break_at_the_end_of_a_file_does_not_belong_to_the_secret() {
        for (text, secret) in [
            ("hunter2", "hunter2"),
            ("hunter2\n", "hunter2"),
            ("hunter2\r\n", "hunter2"),
            (" hunter 2 \n", " hunter 2 "),
            ("hunter2\n\n", "hunter2\n"),
        ] {
            let (path, source) = file(text);
            assert_eq!(source.password().as_deref(), Ok(secret), "{text:?}");
            std::fs::remove_file(path).expect("it is there");
        }
        assert_eq!(Source::text("x\n".to_owned()).password().as_deref(), Ok("x\n"));
    }

    #[test]
    fn a_secret_is_read_again_and_neither_an_empty_file_nor_an_absent_one_is_a_secret() {
        let (path, source) = file("one");
        assert_eq!(source.password().as_deref(), Ok("one"));
        std::fs::write(&path, "two").expect("a file can be written");
        assert_eq!(source.password().as_deref(), Ok("two"));
        std::fs::write(&path, "\n").expect("a file can be written");
        assert!(source.password().unwrap_err().ends_with("is empty"));
        std::fs::remove_file(&path).expect("it is there");
        assert!(source.password().unwrap_err().contains("cannot be read"));
    }
}
