use super::*;

#[test]
fn errors_are_for_a_person() {
    let inner = TlsError::OtherKey.within("own.key");
    assert_eq!(inner.to_string(), "own.key: the private key does not belong to the certificate");
    let missing = TlsFiles::new(Tls::new()).authorities("/does/not/exist").changed().unwrap_err();
    assert_eq!(missing.to_string(), "/does/not/exist: No such file or directory");
}

#[test]
fn without_files_nothing_changes_after_the_first_time() {
    let mut files = TlsFiles::new(Tls::new());
    assert!(files.changed().unwrap().is_some());
    assert!(files.changed().unwrap().is_none());
}

#[test]
fn nonsense_is_refused_without_a_panic() {
    let begin = "-----BEGIN PRIVATE KEY-----\n";
    for (pem, error) in [
        ("", TlsError::NoKey),
        ("\0\u{fffd}", TlsError::NoKey),
        (begin, TlsError::BadPem),
        ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", TlsError::BadPem),
    ] {
        assert_eq!(private_key(pem.as_bytes()).unwrap_err(), error, "{pem:?}");
    }
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(Tls::new().authorities(junk.as_bytes()).unwrap_err(), TlsError::BadAuthority);
}

/// Version 1, as openssl makes certificates when it is not asked for extensions.
const OLD: &str = "-----BEGIN CERTIFICATE-----
MIIBHDCBwwIUc407WhddirAfmJmfoBo//lbSKMswCgYIKoZIzj0EAwIwEjEQMA4G
A1UEAwwHU2hlZCBDQTAgFw0yNjExMjAxODE4MDJaGA8yMTI2MTAyNzE4MTgwMlow
DjEMMAoGA1UEAwwDb2xkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/dTCE0NE
rSYxaTHX+r1nPLQFLq0usyB0HSl29rugUIc8/JsXUYz+Dl1hkrYLakObDxqDgeOj
GSyXDvRTt6p83DAKBggqhkjOPQQDAgNIADBFAiEA69teJsOkx1T8sY/OKB/7JEd9
XWjXahfDF+iNNxjf6R8CIBjTNIimtl70BIzCESpwKUx0tf8XLd3bqnMge+g1fL09
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgItg24P9JBnQx7T15
puC9w/KjlAt/qqfnEwJrbhIrUQyhRANCAAT91MITQ0StJjFpMdf6vWc8tAUurS6z
IHQdKXb2u6BQhzz8mxdRjP4OXWGStgtqQ5sPGoOB46MZLJcO9FO3qnzc
-----END PRIVATE KEY-----
";

#[test]
fn an_old_certificate_will_do_for_a_client() {
    Tls::new().identity(OLD.as_bytes(), OLD.as_bytes()).expect("the broker may judge it");
}
