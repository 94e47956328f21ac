//! Who the broker is: the checks of rustls, and what is worth telling when they fail.

use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::name;

/// Who issued the certificate that was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Issuer {
    pub(super) name: Option<String>,
    pub(super) is_itself: bool,
}

/// The checks of rustls; keeps who issued a certificate that was refused.
#[derive(Debug)]
pub(super) struct Checked {
    inner: Arc<WebPkiServerVerifier>,
    refused: Arc<Mutex<Issuer>>,
}

impl Checked {
    pub(super) fn new(inner: Arc<WebPkiServerVerifier>, refused: Arc<Mutex<Issuer>>) -> Self {
        Self { inner, refused }
    }
}

impl ServerCertVerifier for Checked {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        if let Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) = verdict {
            let last = intermediates.last().unwrap_or(end_entity);
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = issuer(last);
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn issuer(certificate: &CertificateDer<'_>) -> Issuer {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(certificate) => Issuer {
            name: name::shown(certificate.issuer()),
            is_itself: certificate.issuer() == certificate.subject(),
        },
        Err(_) => Issuer::default(),
    }
}

/// Believes anybody, but only if they have the key of the certificate they show.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
