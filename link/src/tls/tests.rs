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
