//! Who the broker is.

use embedded_tls::pki::CertVerifier;
use embedded_tls::{
    Aes128GcmSha256, Certificate, CertificateEntryRef, CertificateRef, CertificateVerifyRef,
    CryptoProvider, CryptoRngCore, Sha256, TlsClock, TlsError, TlsVerifier,
};

/// Bytes of certificates that are kept during the handshake.
const CERTIFICATES: usize = 2048;

/// The authority whose certificates are trusted.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a>(&'a [u8]);

impl<'a> Authority<'a> {
    /// The authority with this certificate, in DER form: `openssl x509 -in ca.crt -outform DER`.
    pub const fn new(certificate: &'a [u8]) -> Self {
        Self(certificate)
    }
}

/// What one handshake needs.
pub(super) struct Provider<'a, C: TlsClock, R> {
    random: R,
    verifier: Direct<'a, C>,
}

impl<'a, C: TlsClock, R> Provider<'a, C, R> {
    pub(super) fn new(authority: Authority<'a>, random: R) -> Self {
        let inner = CertVerifier::new(Certificate::X509(authority.0));
        Self { random, verifier: Direct { authority, inner } }
    }
}

impl<C: TlsClock, R: CryptoRngCore> CryptoProvider for Provider<'_, C, R> {
    type CipherSuite = Aes128GcmSha256;
    // We never sign.
    type Signature = [u8; 0];

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.random
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.verifier)
    }
}

/// Accepts only what the authority itself has issued: embedded-tls would let any certificate of the
/// authority issue further ones.
struct Direct<'a, C: TlsClock> {
    authority: Authority<'a>,
    inner: CertVerifier<'a, Aes128GcmSha256, C, CERTIFICATES>,
}

impl<C: TlsClock> TlsVerifier<Aes128GcmSha256> for Direct<'_, C> {
    fn set_hostname_verification(&mut self, hostname: &str) -> Result<(), TlsError> {
        self.inner.set_hostname_verification(hostname)
    }

    fn verify_certificate(
        &mut self,
        transcript: &Sha256,
        mut chain: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        // Brokers often send the authority's certificate along.
        let authority = |c: &CertificateEntryRef<'_>| matches!(c, CertificateEntryRef::X509(c) if *c == self.authority.0);
        while chain.entries.len() > 1 && chain.entries.last().is_some_and(authority) {
            chain.entries.pop();
        }
        match chain.entries.len() {
            1 => self.inner.verify_certificate(transcript, chain),
            _ => Err(TlsError::InvalidCertificate),
        }
    }

    fn verify_signature(&mut self, verify: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        self.inner.verify_signature(verify)
    }
}
