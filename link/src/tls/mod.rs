//! TLS on a tokio runtime, by rustls: whom to trust, and who we are.
//!
//! The broker must prove that it is who it says: its certificate must be issued by an authority that is
//! trusted, be valid now, and bear the name asked for. Only
//! [`accept_any_certificate`](Tls::accept_any_certificate) changes that. TLS 1.2 and 1.3 are spoken.
//! Session tickets are kept across connections, until the options change.

mod explain;
mod files;
mod layer;
mod name;
mod verify;

use std::fmt;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

pub use files::TlsFiles;
pub(crate) use layer::{TlsLayer, TlsWire};

/// How TLS is spoken. The default trusts the authorities the system trusts and shows no certificate.
#[derive(Clone, Debug)]
pub struct Tls {
    trust: Trust,
    identity: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
    protocols: Vec<Vec<u8>>,
}

/// Whose certificates are believed.
#[derive(Clone, Debug)]
enum Trust {
    System,
    Only(Arc<RootCertStore>),
    Anybody,
}

/// What is wrong with a certificate, a key or a name that was given. It repeats no key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read: its path, and why.
    File(String, String),
    /// There is no certificate in PEM form.
    NoCertificate,
    /// Something in PEM form is damaged.
    BadPem,
    /// A certificate is damaged, or not fit for an authority.
    BadAuthority,
    /// There is no private key in PEM form.
    NoKey,
    /// The private key is encrypted, and nobody knows the password.
    EncryptedKey,
    /// The private key is damaged, or of a kind that is not supported (RSA, ECDSA P-256 and P-384, and
    /// Ed25519 are).
    BadKey,
    /// The private key belongs to another certificate.
    OtherKey,
    /// Not a host name or address.
    BadName,
    /// The name of an application protocol has 1 to 255 bytes.
    BadProtocol,
    /// In this file.
    In(String, Box<TlsError>),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(path, why) => return write!(f, "{path}: {why}"),
            Self::In(path, error) => return write!(f, "{path}: {error}"),
            Self::NoCertificate => "there is no certificate in PEM form",
            Self::BadPem => "it is damaged: not valid PEM",
            Self::BadAuthority => "a certificate is damaged or cannot be an authority's",
            Self::NoKey => "there is no private key in PEM form",
            Self::EncryptedKey => {
                "the private key is encrypted; decrypt it, for instance with openssl pkey"
            }
            Self::BadKey => "the private key is damaged or of a kind that is not supported",
            Self::OtherKey => "the private key does not belong to the certificate",
            Self::BadName => "not a host name or address",
            Self::BadProtocol => "the name of an application protocol has 1 to 255 bytes",
        })
    }
}

impl std::error::Error for TlsError {}

impl TlsError {
    fn within(self, path: &str) -> Self {
        Self::In(path.to_string(), Box::new(self))
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl Tls {
    /// Trusts the authorities the system trusts (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name); they are read at the first connection.
    pub fn new() -> Self {
        Self { trust: Trust::System, identity: None, server_name: None, protocols: Vec::new() }
    }

    /// Trusts only these authorities: certificates in PEM form, one or more.
    ///
    /// # Errors
    /// If there is none, or one is damaged.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem)? {
            roots.add(certificate).map_err(|_| TlsError::BadAuthority)?;
        }
        self.trust = Trust::Only(Arc::new(roots));
        Ok(self)
    }

    /// Shows this certificate to a broker that asks for one: in PEM form, the chain with our own
    /// certificate first, and its private key.
    ///
    /// # Errors
    /// If one is missing or damaged, the key is encrypted, or they do not belong together.
    pub fn identity(mut self, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        self.identity = Some(Arc::new(certified(chain, private_key(key)?)?));
        Ok(self)
    }

    /// The name the broker's certificate must bear, and that it is asked for (SNI), if it is not the
    /// host's.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(name.to_string()).map_err(|_| TlsError::BadName)?;
        self.server_name = Some(name);
        Ok(self)
    }

    /// Offers these application protocols (ALPN), the first one being the most wanted; the default
    /// is to offer none. The registered name of MQTT is `mqtt`. A server that knows ALPN, but none of
    /// them, refuses.
    ///
    /// # Errors
    /// If one is empty or longer than 255 bytes.
    pub fn protocols<P: AsRef<[u8]>>(
        mut self,
        protocols: impl IntoIterator<Item = P>,
    ) -> Result<Self, TlsError> {
        self.protocols = protocols.into_iter().map(|p| p.as_ref().to_vec()).collect();
        match self.protocols.iter().all(|p| matches!(p.len(), 1..=255)) {
            true => Ok(self),
            false => Err(TlsError::BadProtocol),
        }
    }

    /// Believes anybody to be the broker. Whoever is in between can read and change everything,
    /// passwords included: only for tests.
    #[must_use]
    pub fn accept_any_certificate(mut self) -> Self {
        self.trust = Trust::Anybody;
        self
    }

    /// Whether [`accept_any_certificate`](Self::accept_any_certificate) was called.
    pub fn accepts_any_certificate(&self) -> bool {
        matches!(self.trust, Trust::Anybody)
    }
}

/// What [`Tls`] came to on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts {
    /// Protocol version, such as `TLSv1_3`.
    pub version: String,
    /// Cipher suite, by its registered name.
    pub cipher: String,
    /// The application protocol agreed on (ALPN).
    pub protocol: Option<String>,
    /// Whether an earlier session was resumed by its ticket.
    pub resumed: bool,
    /// The broker's certificates in DER form, its own first.
    pub certificates: Vec<Vec<u8>>,
}

impl TlsFacts {
    pub(crate) fn of(connection: &rustls::ClientConnection) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let version = connection.protocol_version().and_then(|v| v.as_str().map(str::to_string));
        let cipher = connection.negotiated_cipher_suite();
        let cipher = cipher.and_then(|c| c.suite().as_str().map(str::to_string));
        let chain = connection.peer_certificates().unwrap_or_default();
        Self {
            version: version.unwrap_or_default(),
            cipher: cipher.unwrap_or_default(),
            protocol: connection.alpn_protocol().map(text),
            resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            certificates: chain.iter().map(|c| c.to_vec()).collect(),
        }
    }
}

/// The one provider of cryptography in this build.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate),
        Ok(found) => Ok(found),
        Err(_) => Err(TlsError::BadPem),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let says = |words: &[u8]| pem.windows(words.len()).any(|w| w == words);
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| match error {
            _ if says(b"BEGIN ENCRYPTED PRIVATE KEY") => TlsError::EncryptedKey,
            pem::Error::NoItemsFound => TlsError::NoKey,
            _ => TlsError::BadPem,
        })
        .and_then(|key| match says(b"Proc-Type: 4,ENCRYPTED") {
            true => Err(TlsError::EncryptedKey),
            false => Ok(key),
        })
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsError> {
    let key = provider().key_provider.load_private_key(key).map_err(|_| TlsError::BadKey)?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::OtherKey)
        }
        // rustls reads version 3 only. Certificates of version 1, as openssl makes them by itself, are
        // the broker's to judge.
        Ok(()) | Err(_) => Ok(identity),
    }
}

#[cfg(test)]
mod tests;
