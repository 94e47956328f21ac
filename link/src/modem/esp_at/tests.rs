//! Whole conversations, on stepped time.

use std::println;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::modem::{Broker, Network};

const SHED: Network<'_> = Network { ssid: "shed", passphrase: "a secret" };
const BARN: Network<'_> = Network { ssid: "barn", passphrase: "" };

struct Trip {
    networks: &'static [Network<'static>],
    broker: Broker<'static>,
}

impl Plan for Trip {
    fn network(&self, number: usize) -> Option<Network<'_>> {
        self.networks.get(number).copied()
    }

    fn broker(&self) -> Broker<'_> {
        self.broker
    }
}

/// A modem at a table: the test is the module.
struct Bench {
    modem: EspAt<[u8; 64]>,
    trip: Trip,
    now: Instant,
    /// What the module was told and has not yet looked at.
    told: String,
    pin: Vec<bool>,
    wait: Option<Instant>,
}

impl Bench {
    fn new() -> Self {
        Self::with(ModemOptions::default())
    }

    fn with(options: ModemOptions) -> Self {
        let trip = Trip { networks: &[SHED, BARN], broker: Broker::tcp("broker.local", 1883) };
        let modem = EspAt::new(options, [0; 64], [0; 64]);
        let now = Instant::from_millis(1);
        Self { modem, trip, now, told: String::new(), pin: Vec::new(), wait: None }
    }

    fn pump(&mut self) {
        for _ in 0..1000 {
            let mut out = [0; 320];
            match self.modem.poll(self.now, &self.trip, &mut out) {
                Output::Send(n) => self.told += std::str::from_utf8(&out[..n]).unwrap(),
                Output::Pin { low } => self.pin.push(low),
                Output::Wait(at) => {
                    self.wait = at;
                    return;
                }
            }
        }
        panic!("it never rests");
    }

    /// It says this, and nothing else since the last look.
    #[track_caller]
    fn expect(&mut self, command: &str) {
        self.pump();
        assert_eq!(std::mem::take(&mut self.told).trim_end_matches("\r\n"), command);
    }

    fn say(&mut self, text: &str) {
        self.modem.receive(self.now, text.as_bytes());
        self.pump();
    }

    /// To this command, that answer.
    #[track_caller]
    fn answer(&mut self, command: &str, text: &str) {
        self.expect(command);
        self.say(text);
    }

    fn ok(&mut self, commands: &[&str]) {
        for command in commands {
            self.answer(command, "\r\nOK\r\n");
        }
    }

    /// Lets the time pass that it waits for.
    fn pass(&mut self) {
        self.pump();
        self.now = self.wait.expect("it waits for some time");
        self.pump();
    }

    fn opens(&mut self) {
        self.modem.open();
        self.answer("AT", "AT\r\r\n\r\nOK\r\n");
        if self.modem.unsure {
            self.pass();
        }
        self.ok(&["ATE0"]);
        self.answer("AT+GMR", "AT version:2.2.0.0(s - ESP8266)\r\nSDK version:v3\r\n\r\nOK\r\n");
        self.ok(&["AT+SYSSTORE=0", "AT+CWMODE=1"]);
    }

    /// From inside the first network to a connection.
    fn connects(&mut self) {
        self.opens();
        self.answer("AT+CWJAP?", "+CWJAP:\"shed\",\"00:00:5e:00:53:01\",6,-50\r\n\r\nOK\r\n");
        self.answer("AT+CIPCLOSE", "\r\nERROR\r\n");
        self.ok(&["AT+CIPMODE=0", "AT+CIPMUX=0", "AT+CIPDINFO=0", "AT+CIPRECVMODE=1"]);
        assert_eq!(self.modem.state(), State::Busy(Step::Resolve));
        self.answer("AT+CIPDOMAIN=\"broker.local\"", "+CIPDOMAIN:192.0.2.7\r\n\r\nOK\r\n");
        assert_eq!(self.modem.state(), State::Busy(Step::Transport));
        self.answer("AT+CIPSTART=\"TCP\",\"192.0.2.7\",1883", "CONNECT\r\n\r\nOK\r\n");
        assert_eq!(self.modem.state(), State::Open);
    }

    fn reads(&mut self) -> String {
        let mut to = [0; 100];
        let n = self.modem.read(&mut to);
        String::from_utf8(to[..n].to_vec()).unwrap()
    }

    #[track_caller]
    fn failed(&self, step: Step, cause: Cause, trouble: Trouble) {
        assert_eq!(self.modem.state(), State::Failed(Fault::new(step, cause)));
        assert_eq!(self.modem.trouble(), Some(trouble));
    }
}

#[test]
fn from_nothing_to_a_connection_and_back() {
    let mut b = Bench::new();
    b.connects();
    assert_eq!(b.modem.write(b"hello"), 5);
    b.answer("AT+CIPSEND=5", "\r\nOK\r\n> ");
    b.expect("hello");
    assert!(!b.modem.is_flushed());
    b.say("\r\nRecv 5 bytes\r\n\r\nSEND OK\r\n");
    assert!(b.modem.is_flushed());
    b.say("\r\n+IPD,3\r\n");
    b.answer("AT+CIPRECVDATA=64", "+CIPRECVDATA:3,abc");
    assert_eq!(b.reads(), "", "it is not sure yet");
    b.say("\r\nOK\r\n");
    assert_eq!(b.reads(), "abc");
    b.modem.close();
    b.answer("AT+CIPCLOSE", "CLOSED\r\n\r\nOK\r\n");
    assert_eq!(b.modem.state(), State::Idle);
}

/// What the module says in a whole connection, as one text.
const TALK: &str = "AT\r\r\n\r\nOK\r\n\r\nOK\r\nAT version:2.2.0.0(s)\r\n\r\nOK\r\n\r\nOK\r\n\r\nOK\r\n\
    +CWJAP:\"shed\",\"00:00:5e:00:53:01\",6,-50\r\n\r\nOK\r\n\r\nERROR\r\n\r\nOK\r\n\r\nOK\r\n\r\nOK\r\n\r\nOK\r\n\
    +CIPDOMAIN:\"192.0.2.7\"\r\n\r\nOK\r\nCONNECT\r\n\r\nOK\r\n";

#[test]
fn wherever_the_line_cuts_what_it_says() {
    let reply = b"+CIPRECVDATA,19:OK\r\nready\r\n+IPD,3:>\r\nOK\r\n";
    for step in 1..reply.len() {
        let mut b = Bench::new();
        b.connects();
        b.say("\r\n+IPD,19\r\n");
        for part in reply.chunks(step) {
            b.modem.receive(b.now, part);
            b.pump();
        }
        // The data look like words of the module, and are not taken for them.
        assert_eq!(
            (b.modem.state(), &*b.reads()),
            (State::Open, "OK\r\nready\r\n+IPD,3:>"),
            "{step}"
        );
    }
    // A byte at a time, each when it is due.
    let mut b = Bench::new();
    b.modem.unsure = false;
    b.modem.open();
    b.pump();
    let mut rest = TALK.as_bytes();
    while let [byte, more @ ..] = rest {
        b.modem.receive(b.now, &[*byte]);
        b.pump();
        rest = more;
    }
    assert_eq!(b.modem.state(), State::Open);
}

#[test]
fn a_lost_byte_is_noticed_wherever_it_was() {
    let whole = b"+CIPRECVDATA,5:hello\r\nOK\r\n";
    for lost in 0..whole.len() {
        let mut b = Bench::new();
        b.connects();
        b.say("\r\n+IPD,5\r\n");
        b.expect("AT+CIPRECVDATA=64");
        let mut said = whole.to_vec();
        said.remove(lost);
        b.modem.receive(b.now, &said);
        // What was lost is noticed at once or when the rest does not come.
        for _ in 0..3 {
            b.pump();
            b.now = b.now + Duration::from_secs(2);
        }
        let read = b.reads();
        let is_end = lost == whole.len() - 2;
        // The length may have become another one, which nothing contradicts only if it is the last
        // carriage return that was lost.
        assert!(read.is_empty() || (is_end && read == "hello"), "{lost}: {read:?}");
        assert!(is_end || matches!(b.modem.state(), State::Ended(Some(_))), "{lost}");
    }
}

#[test]
fn bytes_the_module_did_not_get_are_noticed() {
    for (said, trouble) in [
        ("\r\nRecv 4 bytes\r\n\r\nSEND OK\r\n", Trouble::Nonsense),
        ("\r\nSEND OK\r\n", Trouble::Nonsense),
        ("\r\nRecv 5 bytes\r\n\r\nSEND FAIL\r\n", Trouble::Send),
        ("\r\nERROR\r\n", Trouble::Send),
    ] {
        let mut b = Bench::new();
        b.connects();
        b.modem.write(b"hello");
        b.answer("AT+CIPSEND=5", "\r\nOK\r\n> ");
        b.expect("hello");
        b.say(said);
        assert_eq!(b.modem.state(), State::Ended(Some(Cause::Reset)), "{said}");
        assert_eq!(b.modem.trouble(), Some(trouble), "{said}");
    }
}

#[test]
fn sending_may_take_long_once_the_module_has_all() {
    let mut b = Bench::new();
    b.connects();
    b.modem.write(b"hello");
    b.answer("AT+CIPSEND=5", "\r\nOK\r\n> ");
    b.expect("hello");
    b.say("\r\nRecv 5 bytes\r\n");
    b.now = b.now + Duration::from_secs(14);
    b.say("busy s...\r\nSEND OK\r\n");
    assert_eq!((b.modem.state(), b.modem.is_flushed()), (State::Open, true));
}

#[test]
fn a_module_that_waits_for_more_is_reset_or_rinsed() {
    for has_reset_pin in [false, true] {
        let mut b = Bench::with(ModemOptions { has_reset_pin, ..ModemOptions::default() });
        b.connects();
        b.modem.write(b"hello");
        b.answer("AT+CIPSEND=5", "\r\nOK\r\n> ");
        b.expect("hello");
        // One of them was lost.
        b.pass();
        assert_eq!(b.modem.state(), State::Ended(Some(Cause::Silent)));
        b.modem.open();
        if has_reset_pin {
            b.pass();
            assert_eq!((&b.pin[..], &*b.told), (&[true, false][..], ""));
            b.answer("", "\u{0}garbage\r\nready\r\n");
        } else {
            for _ in 0..3 {
                b.expect("AT");
                b.pass();
            }
            let rinsed = std::mem::take(&mut b.told);
            assert_eq!(rinsed.len(), 2048 + 4);
            b.told = "AT\r\n".into();
        }
        b.answer("AT", "\r\nOK\r\n");
        b.pass();
        b.expect("ATE0");
    }
}

#[test]
fn half_a_message_is_sent_to_its_end_before_anything_else() {
    let mut b = Bench::new();
    b.connects();
    b.modem.write(b"hello");
    b.expect("AT+CIPSEND=5");
    b.modem.abandon();
    b.modem.open();
    b.say("\r\nOK\r\n> ");
    b.answer("hello", "\r\nRecv 5 bytes\r\n\r\nSEND OK\r\n");
    b.answer("AT", "\r\nOK\r\n");
    b.pass();
    b.expect("ATE0");
}

#[test]
fn a_busy_module_is_told_again_and_not_for_ever() {
    let mut b = Bench::new();
    b.opens();
    for _ in 0..5 {
        b.answer("AT+CWJAP?", "busy p...\r\n");
        b.pass();
    }
    b.answer("AT+CWJAP?", "No AP\r\n\r\nOK\r\n");
    b.expect("AT+CWJAP=\"shed\",\"a secret\"");
    for _ in 0..1000 {
        b.say("busy p...\r\n");
        if b.modem.state() != State::Busy(Step::Link) {
            break;
        }
        b.pass();
    }
    b.told.clear();
    b.failed(Step::Link, Cause::Silent, Trouble::Busy);
    // Not even when it is only asked whether it is there.
    b.modem.cycle(Depth::Link);
    for _ in 0..1000 {
        b.say("busy s...\r\n");
        if b.modem.state() == State::Idle {
            return;
        }
        b.pass();
    }
    panic!("for ever");
}

#[test]
fn networks_in_turn_and_what_each_refusal_means() {
    for (said, cause, trouble) in [
        ("+CWJAP:1\r\n\r\nFAIL\r\n", Cause::OpenTimeout, Trouble::NetworkSilent),
        ("+CWJAP:2\r\n\r\nFAIL\r\n", Cause::Denied, Trouble::Passphrase),
        ("+CWJAP:3\r\n\r\nERROR\r\n", Cause::Unreachable, Trouble::NetworkAway),
        ("\r\nFAIL\r\n", Cause::Refused, Trouble::NetworkRefused),
    ] {
        let mut b = Bench::new();
        b.opens();
        b.answer("AT+CWJAP?", "No AP\r\n\r\nOK\r\n");
        b.answer("AT+CWJAP=\"shed\",\"a secret\"", "WIFI DISCONNECT\r\n+CWJAP:3\r\n\r\nFAIL\r\n");
        b.answer("AT+CWJAP=\"barn\",\"\"", said);
        b.failed(Step::Link, cause, trouble);
    }
}

#[test]
fn an_association_must_hold_and_the_one_that_did_comes_first() {
    let mut b = Bench::new();
    b.opens();
    b.answer("AT+CWJAP?", "No AP\r\n\r\nOK\r\n");
    b.answer("AT+CWJAP=\"shed\",\"a secret\"", "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n");
    b.expect("");
    b.say("WIFI DISCONNECT\r\n");
    b.answer("AT+CWJAP=\"barn\",\"\"", "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n");
    b.pass();
    b.expect("AT+CIPCLOSE");
    assert_eq!(b.modem.remembered(), Some(1));
    b.say("\r\nready\r\n");
    b.failed(Step::Link, Cause::Reset, Trouble::Restarted);
    assert_eq!(b.modem.restarts(), 1);
    b.opens();
    b.answer("AT+CWJAP?", "No AP\r\n\r\nOK\r\n");
    b.expect("AT+CWJAP=\"barn\",\"\"");
    // Given up half-way: next time it is the other's turn.
    b.modem.abandon();
    b.opens();
    b.answer("AT+CWJAP?", "No AP\r\n\r\nOK\r\n");
    b.expect("AT+CWJAP=\"shed\",\"a secret\"");
}

#[test]
fn a_module_with_a_network_of_its_own_is_given_time() {
    let mut b = Bench::new();
    b.trip.networks = &[];
    b.opens();
    b.answer("AT+CWJAP?", "No AP\r\n\r\nOK\r\n");
    for _ in 0..3 {
        b.answer("AT+CWJAP?", "No AP\r\n\r\nOK\r\n");
        b.pass();
    }
    b.answer("AT+CWJAP?", "+CWJAP:\"own\",\"00:00:5e:00:53:01\",6,-50\r\n\r\nOK\r\n");
    b.pass();
    b.expect("AT+CIPCLOSE");
}

#[test]
fn nothing_unverified_is_taken_for_verified() {
    let secure = |tls| Broker { host: "broker.local", port: 8883, tls };
    let upto = |b: &mut Bench| {
        b.opens();
        b.answer("AT+CWJAP?", "+CWJAP:\"shed\",\"00:00:5e:00:53:01\",6,-50\r\n\r\nOK\r\n");
        b.ok(&["AT+CIPCLOSE", "AT+CIPMODE=0", "AT+CIPMUX=0", "AT+CIPDINFO=0", "AT+CIPRECVMODE=1"]);
        b.answer("AT+CIPDOMAIN=\"broker.local\"", "+CIPDOMAIN:192.0.2.7\r\n\r\nOK\r\n");
    };
    let mut b = Bench::new();
    b.trip.broker = secure(ModemTls::Verified);
    upto(&mut b);
    b.ok(&["AT+CIPSSLCCONF=2,0,0", "AT+CIPSSLCCN=\"broker.local\""]);
    b.answer("AT+CIPSSLCSNI=\"broker.local\"", "\r\nERROR\r\n");
    b.answer("AT+CIPSTART=\"SSL\",\"broker.local\",8883", "\r\nERROR\r\nCLOSED\r\n");
    b.failed(Step::Tls, Cause::Refused, Trouble::Tls);
    // Whichever of the two it does not know.
    upto(&mut b);
    b.answer("AT+CIPSSLCCONF=2,0,0", "\r\nERROR\r\n");
    b.failed(Step::Tls, Cause::WrongProtocol, Trouble::Unverifiable);
    upto(&mut b);
    b.ok(&["AT+CIPSSLCCONF=2,0,0"]);
    b.answer("AT+CIPSSLCCN=\"broker.local\"", "\r\nERROR\r\n");
    b.failed(Step::Tls, Cause::WrongProtocol, Trouble::Unverifiable);
    // On request only.
    b.trip.broker = secure(ModemTls::Unverified);
    upto(&mut b);
    b.answer("AT+CIPSSLCCONF=0", "\r\nERROR\r\n");
    b.ok(&["AT+CIPSSLCSNI=\"broker.local\""]);
    b.answer("AT+CIPSTART=\"SSL\",\"broker.local\",8883", "CONNECT\r\n\r\nOK\r\n");
    assert_eq!(b.modem.state(), State::Open);
}

#[test]
fn an_idle_connection_is_looked_at() {
    let mut b = Bench::new();
    b.connects();
    // A notice was lost.
    b.pass();
    b.answer("AT+CIPRECVLEN?", "+CIPRECVLEN:2,0,0,0,0\r\n\r\nOK\r\n");
    b.answer("AT+CIPRECVDATA=64", "+CIPRECVDATA:2,hi\r\nOK\r\n");
    assert_eq!(b.reads(), "hi");
    b.pass();
    b.answer("AT+CIPRECVLEN?", "\r\nERROR\r\n");
    assert_eq!(b.modem.state(), State::Open, "a firmware that does not know it is alive");
    b.pass();
    b.expect("AT+CIPRECVLEN?");
    b.pass();
    assert_eq!(b.modem.state(), State::Ended(Some(Cause::Silent)));
}

#[test]
fn what_came_before_the_end_is_fetched() {
    let mut b = Bench::new();
    b.connects();
    b.say("\r\n+IPD,2\r\nCLOSED\r\n");
    b.answer("AT+CIPRECVDATA=64", "+CIPRECVDATA:2,hi\r\nOK\r\n");
    assert_eq!((b.modem.state(), &*b.reads()), (State::Ended(None), "hi"));
    // Old firmware has forgotten it.
    b.connects();
    b.say("\r\n+IPD,2\r\nCLOSED\r\n");
    b.answer("AT+CIPRECVDATA=64", "\r\nERROR\r\n");
    assert_eq!((b.modem.state(), &*b.reads()), (State::Ended(None), ""));
}

#[test]
fn it_fits_into_a_small_board() {
    let size = size_of::<EspAt<[u8; 0]>>();
    println!("{size} bytes and its two buffers");
    assert!(size <= 600, "{size}");
}

#[test]
fn rungs_of_the_ladder() {
    let mut b = Bench::new();
    b.connects();
    b.modem.abandon();
    b.modem.cycle(Depth::Link);
    b.answer("AT", "\r\nOK\r\n");
    b.ok(&["ATE0", "AT+GMR", "AT+SYSSTORE=0", "AT+CWMODE=1", "AT+CWQAP"]);
    assert_eq!(b.modem.state(), State::Idle);
    // Without a pin it is told to restart.
    b.modem.cycle(Depth::Device);
    b.ok(&["AT", "AT+RST"]);
    b.say("\u{1}\u{2}\r\n ets Jan  8 2013,rst cause:2\r\nready\r\n");
    assert_eq!((b.modem.state(), b.modem.resets()), (State::Idle, 1));
    // One that hangs does not hear that, but it takes a bounded time.
    let begun = b.now;
    b.modem.cycle(Depth::Device);
    while b.modem.state() != State::Idle {
        b.pass();
    }
    assert!(b.now.since(begun) < Duration::from_secs(5));
    // With one it needs no words.
    let mut b = Bench::with(ModemOptions { has_reset_pin: true, ..ModemOptions::default() });
    b.modem.cycle(Depth::Device);
    b.pass();
    b.pass();
    assert_eq!((b.modem.state(), &b.pin[..], &*b.told), (State::Idle, &[true, false][..], ""));
}

#[test]
fn whatever_it_says_nothing_panics_and_everything_ends() {
    let words = TALK.split_inclusive("\r\n").chain([
        "busy p...\r\n",
        "busy s...\r\n",
        ">",
        "ready\r\n",
        "CLOSED\r\n",
        "WIFI DISCONNECT\r\n",
        "SEND OK\r\n",
        "SEND FAIL\r\n",
        "Recv 5 bytes\r\n",
        "+IPD,4294967295\r\n",
        "+IPD,99999999:",
        "+CIPRECVDATA,5:",
        "+CIPRECVDATA:4294967295,",
        "hello\r\nOK\r\n",
        "No AP\r\n",
        "\u{0}\u{7f}",
        "+CWJAP:77\r\n",
        "+CIPRECVLEN:9\r\n",
        "DNS Fail\r\n",
        "AT version:0.6\r\n",
        "\r\nOK\r\n",
    ]);
    let words: Vec<&str> = words.collect();
    for seed in 1..400_u32 {
        let mut b =
            Bench::with(ModemOptions { has_reset_pin: seed % 2 == 0, ..Default::default() });
        let mut random = seed.wrapping_mul(2_654_435_761);
        for _ in 0..300 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pick = (random >> 16) as usize;
            match pick % 16 {
                0 => b.modem.open(),
                1 => b.modem.cycle(Depth::Device),
                2 => b.modem.cycle(Depth::Link),
                3 => b.modem.abandon(),
                4 => b.modem.close(),
                5 => drop(b.modem.write(b"hello")),
                6 => drop(b.reads()),
                7 | 8 => b.now = b.wait.unwrap_or(b.now).max(b.now),
                9 => b.modem.receive(b.now, &random.to_le_bytes()),
                _ => b.modem.receive(b.now, words[pick / 16 % words.len()].as_bytes()),
            }
            b.pump();
            b.told.clear();
        }
        // Left alone it comes to rest.
        b.modem.abandon();
        b.modem.cycle(Depth::Link);
        let begun = b.now;
        while b.modem.state() != State::Idle {
            b.pass();
        }
        assert!(b.now.since(begun) < Duration::from_secs(30), "seed {seed}");
    }
}
