//! Certificates and keys in files, read again when they change.

use std::path::{Path, PathBuf};
use std::string::ToString;
use std::vec::Vec;

use super::{Tls, TlsError};

/// Files that certificates and a key are read from, in PEM form.
///
/// [`changed`](Self::changed) is made for being asked before each connection: a program that runs for
/// years outlives its certificates. Debug output shows paths only.
#[derive(Clone, Default)]
pub struct TlsFiles {
    base: Tls,
    authorities: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    /// What was read last, in the order authorities, certificate, key.
    seen: Option<Vec<Vec<u8>>>,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles")
            .field("authorities", &self.authorities)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl TlsFiles {
    /// No files yet; all else is as in `base`.
    pub fn new(base: Tls) -> Self {
        Self { base, ..Self::default() }
    }

    /// Trusts only the authorities in this file.
    #[must_use]
    pub fn authorities(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities = Some(path.into());
        self
    }

    /// Shows the certificate in `chain`, with the private key in `key`, which may be the same file.
    #[must_use]
    pub fn identity(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    /// The options, if a file has changed since the last call that succeeded; the first call always
    /// gives them. Reads the files, so it blocks for a moment.
    ///
    /// # Errors
    /// If a file cannot be read or used. The next call tries again: one of two files may have been
    /// replaced, and the other not yet.
    pub fn changed(&mut self) -> Result<Option<Tls>, TlsError> {
        let key = self.identity.as_ref().map(|(chain, key)| [chain, key]);
        let paths = self.authorities.iter().chain(key.into_iter().flatten());
        let read = paths.map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        if self.seen.as_ref() == Some(&read) {
            return Ok(None);
        }
        let tls = self.load(&read)?;
        self.seen = Some(read);
        Ok(Some(tls))
    }

    fn load(&self, read: &[Vec<u8>]) -> Result<Tls, TlsError> {
        let mut tls = self.base.clone();
        let mut read = read.iter();
        if let Some(path) = &self.authorities
            && let Some(pem) = read.next()
        {
            tls = tls.authorities(pem).map_err(|e| e.within(&path.display().to_string()))?;
        }
        if let Some((chain, key)) = &self.identity
            && let (Some(certificate), Some(secret)) = (read.next(), read.next())
        {
            tls = tls.identity(certificate, secret).map_err(|error| {
                let about_key = matches!(
                    error,
                    TlsError::NoKey
                        | TlsError::BadKey
                        | TlsError::OtherKey
                        | TlsError::EncryptedKey
                );
                error.within(&if about_key { key } else { chain }.display().to_string())
            })?;
        }
        Ok(tls)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| TlsError::File(path.display().to_string(), crate::words::reason(&error)))
}
