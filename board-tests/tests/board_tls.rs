//! The client on the board over TLS 1.3, against a real broker: messages pass, also after the broker was
//! restarted, and only the right certificate will do.

use std::fs;
use std::time::Duration;

use board_tests::{Board, Broker, Firmware, Setup, TempDir, Wire};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const PATIENCE: Duration = Duration::from_secs(60);

/// An authority, and a broker to which it gave a certificate for `name`.
struct Site {
    broker: Broker,
    wire: Wire,
    dir: TempDir,
}

impl Site {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("P-256");
        let authority = params.self_signed(&key).expect("signed");
        let issuer = Issuer::new(params, key);

        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("P-256");
        let certificate = params.signed_by(&key, &issuer).expect("signed");

        let (wire, dir) = (Wire::new(), TempDir::new());
        wire.set_name("broker.test", Some(Board::HOST));
        fs::write(dir.join("ca"), authority.der()).expect("a fresh directory can be written");
        let broker = Broker::with_tls(&certificate.pem(), &key.serialize_pem());
        Self { broker, wire, dir }
    }

    /// A board that trusts the authority of `trusted`.
    fn board(&self, trusted: &Self) -> Setup {
        Board::with(&Firmware::build("tls"))
            .arg("host", "broker.test")
            .arg("port", self.broker.tls_port())
            .arg("ca", trusted.dir.join("ca").display())
            .wire(&self.wire)
    }
}

#[test]
fn messages_pass_between_the_board_and_a_broker_over_tls() {
    let mut site = Site::new("broker.test");
    let board = site.board(&site).arg("count", 60).start();
    board.wait_for("back 10", PATIENCE);
    site.broker.stop();
    board.wait_for("fault=", PATIENCE);
    site.broker.restart();
    let memory = board.wait_for("memory", PATIENCE);
    println!("{}", memory.text);
    board.wait_for("verdict right", PATIENCE);
}

#[test]
fn a_board_does_not_talk_to_a_broker_with_the_wrong_certificate() {
    let (site, other) = (Site::new("broker.test"), Site::new("elsewhere.test"));
    // Issued by somebody else; then for somebody else.
    for (broker, trusted) in [(&site, &other), (&other, &other)] {
        let board = broker.board(trusted).start();
        board.wait_for("fault=tls", PATIENCE);
        board.wait_for("fault=tls", PATIENCE);
        assert!(!board.lines().iter().any(|line| line.text.contains("state up")));
    }
}
