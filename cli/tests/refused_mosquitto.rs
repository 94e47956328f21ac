//! What the broker refuses: exit code 2, and one line that says why.

mod common;

use common::mosquitto::Mosquitto;
use common::{Running, everlink, run_on, run_with_input, words};

/// Made with `mosquitto_passwd`: alice's password is hunter2.
fn password_file() -> String {
    let directory = std::env::temp_dir().join(format!("everlink-passwords-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("passwords");
    let mut command = std::process::Command::new("mosquitto_passwd");
    command.args(["-c", "-b"]).arg(&file).args(["alice", "hunter2"]);
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    assert!(command.status().expect("mosquitto_passwd").success());
    let text = std::fs::read_to_string(&file).expect("the passwords");
    let _ = std::fs::remove_dir_all(directory);
    text
}

fn guarded() -> Mosquitto {
    let options = "allow_anonymous false\npersistence false\npassword_file DIR/passwords\n";
    Mosquitto::with_files(options, &[("passwords", &password_file())])
}

#[test]
fn credentials() {
    let broker = guarded();
    for version in ["5", "311"] {
        for command in ["pub -t a -m b", "sub -t a -C 1", "pub -t a -l"] {
            for user in ["", " -u alice", " -u alice -P wrong", " -u bob -P hunter2"] {
                let line = format!("{command} BROKER -V {version}{user}");
                let mut command = everlink(words(&line, &broker));
                let ran = run_with_input(&mut command, b"1\n");
                assert_eq!(ran.code, Some(2), "{line}: {ran:?}");
                ran.fails(2, "mqtt: refused by the broker: ");
                let words = ["Not authorized", "Bad User Name or Password"];
                assert!(words.iter().any(|w| ran.stderr.contains(w)), "{line}: {ran:?}");
                assert!(!ran.stderr.contains("wrong"), "{ran:?}");
            }
        }
    }
}

#[test]
fn every_way_to_give_a_password() {
    let broker = guarded();
    let file = broker.directory().join("secret");
    std::fs::write(&file, "hunter2\n").expect("a file");
    let port = broker.addr().port();
    for line in [
        "pub BROKER -t a -m b -q 1 -u alice -P hunter2".to_owned(),
        "pub BROKER -t a -m b -q 1 -u alice --pw hunter2".to_owned(),
        "pub BROKER -t a -m b -q 1 -u alice --pw=hunter2".to_owned(),
        format!("pub BROKER -t a -m b -q 1 -u alice --password-file {}", file.display()),
        format!("pub -L mqtt://alice:hunter2@127.0.0.1:{port}/a -m b -q 1"),
        format!("pub -L mqtt://127.0.0.1:{port}/a -m b -q 1 -u alice -Phunter2"),
    ] {
        run_on(&broker, &line).succeeds();
    }
    for line in ["pub BROKER -t a -m b -q 1 -u alice", "pub BROKER -t a -m b -q 1 -d -u alice"] {
        let mut command = everlink(words(line, &broker));
        let ran = run_with_input(command.env("EVERLINK_PASSWORD", "hunter2"), b"");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn who_says_forever_tries_for_ever() {
    let broker = guarded();
    let line = "sub BROKER -t a -W 1 --first-connect forever -u alice -P wrong";
    let ran = run_on(&broker, line);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("trying again"), "{ran:?}");
}

fn with_rights() -> Mosquitto {
    let options = "allow_anonymous true\npersistence false\nacl_file DIR/rights\n";
    let rights = "topic readwrite ok/#\ntopic write seen\n";
    Mosquitto::with_files(options, &[("rights", rights)])
}

#[test]
fn messages() {
    let broker = with_rights();
    for qos in [1, 2] {
        let ran = run_on(&broker, &format!("pub BROKER -t secret -m x -q {qos}"));
        ran.fails(2, "1 of 1 messages rejected: Not authorized");
        let ran = run_on(&broker, &format!("pub BROKER -t secret -m x -q {qos} --json --repeat 3"));
        ran.fails(2, "3 of 3 messages rejected: Not authorized");
        let lines = ran.json();
        let fates: Vec<_> = lines.iter().filter(|l| l["outcome"] == "rejected").collect();
        assert_eq!(fates.len(), 3);
        assert_eq!(fates[0]["reason"], "Not authorized");
        assert_eq!(lines[lines.len() - 1]["summary"]["rejected"], 3);
        // A 3.1.1 broker has no way to say so.
        run_on(&broker, &format!("pub BROKER -t secret -m x -q {qos} -V 311")).succeeds();
        run_on(&broker, &format!("pub BROKER -t ok/a -m x -q {qos}")).succeeds();
    }
}

#[test]
fn some_of_many_messages() {
    let broker = with_rights();
    let mut command = everlink(words("pub BROKER -t secret -l -q 1", &broker));
    let ran = run_with_input(&mut command, b"1\n2\n3\n");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("3 accepted, 0 delivered, 0 expired, 3 rejected"), "{ran:?}");
    assert!(ran.stderr.contains("3 of 3 messages rejected: Not authorized"), "{ran:?}");
}

/// mosquitto grants every subscription and sends nothing; its plugin for rights refuses.
#[test]
fn subscriptions() {
    let plugin = [
        "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
        "/usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so",
        "/usr/lib/mosquitto_dynamic_security.so",
    ];
    let plugin = plugin.iter().find(|p| std::path::Path::new(p).exists());
    let plugin = plugin.expect("mosquitto's plugin for rights is installed");
    let rights = r#"{"defaultACLAccess": {"subscribe": false, "publishClientSend": true},
        "anonymousGroup": "all",
        "groups": [{"groupname": "all", "roles": [{"rolename": "ok"}]}],
        "roles": [{"rolename": "ok", "acls": [
            {"acltype": "subscribePattern", "topic": "ok/#", "allow": true}]}]}"#;
    let options = format!(
        "allow_anonymous true\npersistence false\nplugin {plugin}\n\
         plugin_opt_config_file DIR/rights\n"
    );
    let broker = Mosquitto::with_files(&options, &[("rights", rights)]);
    for version in ["5", "311"] {
        let ran = run_on(&broker, &format!("sub BROKER -t ok/a -t secret/# -V {version}"));
        ran.fails(2, "subscription to \"secret/#\" refused by the broker: ");
        run_on(&broker, &format!("sub BROKER -t ok/a -E -V {version}")).succeeds();
    }
    let sub = Running::start(&mut everlink(words("sub BROKER -t ok/a -i s", &broker)));
    common::wait_subscribed(&broker, "s", 1);
    sub.signal("TERM");
    assert_eq!(sub.end().code, Some(0));
}
