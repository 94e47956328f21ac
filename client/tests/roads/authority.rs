//! An own authority, and what it issues.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// Who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its private key, in PEM form.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("P-256");
        let certificate = params.self_signed(&key).expect("signed");
        let pem = certificate.pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// For a broker on this machine.
    pub(crate) fn broker(&self) -> Issued {
        self.issue(&["localhost", "127.0.0.1"], |_| {})
    }

    /// For a client.
    pub(crate) fn client(&self, name: &str) -> Issued {
        self.issue(&[], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    pub(crate) fn issue(
        &self,
        names: &[&str],
        shape: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        shape(&mut params);
        let key = KeyPair::generate().expect("P-256");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Valid in these years only.
pub(crate) fn between(from: i32, to: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
    }
}

/// Signed by itself.
pub(crate) fn self_signed() -> Issued {
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("P-256");
    let certificate = params.self_signed(&key).expect("signed");
    Issued { chain: certificate.pem(), key: key.serialize_pem() }
}
