//! A WiFi module at a serial port of a board: the pump, on stepped time.
#![cfg(all(feature = "modem", feature = "uart"))]

mod board;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use board::{Tasks, now, sleep};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use everlink_link::embedded::relay::Relay;
use everlink_link::modem::{self, Broker, EspAt, ModemOptions, Network, Route};
use everlink_link::{Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Depth, Fault, Step};

/// A module with one network in reach, and somebody behind it who says everything back.
#[derive(Default)]
struct Module {
    /// What it says, and who waits for it.
    says: VecDeque<u8>,
    waker: Option<Waker>,
    line: Vec<u8>,
    /// Bytes that follow a prompt.
    expects: usize,
    joined: bool,
    connected: bool,
    kept: Vec<u8>,
    hung: bool,
    resets: u32,
    told: Vec<String>,
}

#[derive(Clone, Default)]
struct Port(Rc<RefCell<Module>>);

impl Module {
    fn say(&mut self, text: &str) {
        if !self.hung {
            self.says.extend(text.bytes());
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn hear(&mut self, byte: u8) {
        if self.hung {
            return;
        }
        if self.expects > 0 {
            self.line.push(byte);
            if self.line.len() == self.expects {
                self.kept.append(&mut self.line);
                let (sent, kept) = (std::mem::take(&mut self.expects), self.kept.len());
                self.say(&format!("\r\nRecv {sent} bytes\r\n\r\nSEND OK\r\n\r\n+IPD,{kept}\r\n"));
            }
            return;
        }
        self.line.push(byte);
        if byte == b'\n' {
            let line = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
            self.obey(line.trim_end());
        }
    }

    fn obey(&mut self, line: &str) {
        self.told.push(line.to_owned());
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match name {
            "AT+CWJAP?" if self.joined => {
                return self.say("+CWJAP:\"shed\",\"00:00:5e:00:53:01\",6,-50\r\n\r\nOK\r\n");
            }
            "AT+CWJAP?" => return self.say("No AP\r\n\r\nOK\r\n"),
            "AT+CWJAP" if !value.starts_with("\"shed\"") => {
                return self.say("+CWJAP:3\r\n\r\nFAIL\r\n");
            }
            "AT+CWJAP" => self.joined = true,
            "AT+CWQAP" => self.joined = false,
            "AT+CIPDOMAIN" => return self.say("+CIPDOMAIN:\"192.0.2.7\"\r\n\r\nOK\r\n"),
            "AT+CIPSTART" if value.contains(",7") => return self.say("\r\nERROR\r\nCLOSED\r\n"),
            "AT+CIPSTART" => (self.connected, self.kept) = (true, Vec::new()),
            "AT+CIPCLOSE" => self.connected = false,
            "AT+CIPSEND" => {
                self.expects = value.parse().unwrap();
                return self.say("\r\nOK\r\n> ");
            }
            "AT+CIPRECVLEN?" => self.say(&format!("+CIPRECVLEN:{}\r\n", self.kept.len())),
            "AT+CIPRECVDATA" => {
                let n = value.parse::<usize>().unwrap().min(self.kept.len());
                if n == 0 {
                    return self.say("\r\nERROR\r\n");
                }
                let bytes: Vec<u8> = self.kept.drain(..n).collect();
                self.say(&format!("+CIPRECVDATA:{n},"));
                self.says.extend(bytes);
            }
            _ => {}
        }
        self.say("\r\nOK\r\n");
    }

    fn reset(&mut self) {
        let told = std::mem::take(&mut self.told);
        let (waker, resets) = (self.waker.take(), self.resets + 1);
        *self = Self { waker, resets, told, ..Self::default() };
        self.says.extend([0x8c, 0xe0, b'\r', b'\n']);
        self.say("\r\nready\r\n");
    }
}

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl Read for Port {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|cx| {
            let mut module = self.0.borrow_mut();
            let n = module.says.len().min(buf.len());
            if n == 0 {
                module.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            module.says.drain(..n).zip(buf.iter_mut()).for_each(|(byte, to)| *to = byte);
            Poll::Ready(Ok(n))
        })
        .await
    }
}

impl Write for Port {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        buf.iter().for_each(|byte| self.0.borrow_mut().hear(*byte));
        Ok(buf.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

type TestRelay = Relay<'static, CriticalSectionRawMutex>;

const NETWORKS: [Network<'_>; 2] = [
    Network { ssid: "barn", passphrase: "another one" },
    Network { ssid: "shed", passphrase: "a secret" },
];

fn board(tasks: &mut Tasks<'_>, ring: usize) -> (&'static TestRelay, Port) {
    let [up, down] = [(); 2].map(|()| Box::leak(vec![0; ring].into_boxed_slice()));
    let relay: &'static TestRelay = Box::leak(Box::new(Relay::new(up, down)));
    let port = Port::default();
    let (rx, tx, pin) = (port.clone(), port.clone(), port.clone());
    tasks.spawn(async move {
        let options = ModemOptions { has_reset_pin: true, ..ModemOptions::default() };
        let mut modem = EspAt::new(options, [0; 48], [0; 48]);
        let brokers = [Broker::tcp("broker.local", 1883), Broker::tcp("broker.local", 7)];
        let route = Route { networks: &NETWORKS, brokers: &brokers };
        let mut low = false;
        let reset = move |pull: bool| {
            if low && !pull {
                pin.0.borrow_mut().reset();
            }
            low = pull;
        };
        match modem::pump(relay, &mut modem, route, rx, tx, reset).await {}
    });
    (relay, port)
}

async fn write(pipe: &mut impl Pipe, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| pipe.poll_write(cx, bytes)).await.expect("open");
        bytes = &bytes[n..];
    }
}

async fn read(pipe: &mut impl Pipe, want: usize) -> Result<Vec<u8>, Cause> {
    let mut got = Vec::new();
    while got.len() < want {
        let mut buf = [0; 7];
        let n = poll_fn(|cx| pipe.poll_read(cx, &mut buf)).await?;
        if n == 0 {
            return Err(Cause::Eof);
        }
        got.extend_from_slice(&buf[..n]);
    }
    Ok(got)
}

#[test]
fn bytes_both_ways_whatever_the_buffers() {
    for ring in [1, 5, 200] {
        let mut tasks = Tasks::default();
        let (relay, port) = board(&mut tasks, ring);
        tasks.block_on(async {
            let progress = Progress::new();
            let mut pipe = relay.link().open(0, &progress).await.expect("a way");
            assert_eq!(progress.get(), Step::Transport);
            let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
            for part in all.chunks(100) {
                write(&mut pipe, part).await;
                assert_eq!(read(&mut pipe, part.len()).await.unwrap(), part);
            }
            poll_fn(|cx| pipe.poll_close(cx)).await;
            drop(pipe);
            assert!(!port.0.borrow().connected, "closed in order");
            // Again, and it is still in its network.
            let before = now();
            let mut pipe = relay.link().open(0, &Progress::new()).await.expect("a way");
            assert!(now() - before < 1.0);
            write(&mut pipe, b"again").await;
            assert_eq!(read(&mut pipe, 5).await.unwrap(), b"again");
            let told = port.0.borrow().told.iter().filter(|l| l.starts_with("AT+CWJAP=")).count();
            assert_eq!(told, 2, "each network once");
        });
    }
}

#[test]
fn faults_are_told_and_the_pin_brings_it_back() {
    let mut tasks = Tasks::default();
    let (relay, port) = board(&mut tasks, 64);
    tasks.block_on(async {
        let refused = relay.link().open(1, &Progress::new()).await.err();
        assert_eq!(refused, Some(Fault::new(Step::Transport, Cause::Refused)));
        let mut pipe = relay.link().open(0, &Progress::new()).await.expect("a way");
        port.0.borrow_mut().say("\r\nready\r\n");
        assert_eq!(read(&mut pipe, 1).await, Err(Cause::Reset));
        drop(pipe);

        let mut pipe = relay.link().open(0, &Progress::new()).await.expect("a way");
        port.0.borrow_mut().hung = true;
        let before = now();
        assert_eq!(read(&mut pipe, 1).await, Err(Cause::Silent));
        assert!(now() - before < 5.0);
        drop(pipe);
        // A silent module with a pin is reset at once.
        let pipe = relay.link().open(0, &Progress::new()).await.expect("a way");
        assert_eq!(port.0.borrow().resets, 1);
        drop(pipe);
        port.0.borrow_mut().hung = true;
        let before = now();
        relay.link().cycle(Depth::Device).await;
        assert!(now() - before < 4.0);
        assert_eq!(port.0.borrow().resets, 2);
        let mut pipe = relay.link().open(0, &Progress::new()).await.expect("a way");
        write(&mut pipe, b"again").await;
        assert_eq!(read(&mut pipe, 5).await.unwrap(), b"again");
        drop(pipe);
        relay.link().cycle(Depth::Link).await;
        assert!(!port.0.borrow().joined);
    });
}

#[test]
fn an_attempt_may_be_dropped_at_any_time() {
    let mut tasks = Tasks::default();
    let (relay, _port) = board(&mut tasks, 64);
    tasks.block_on(async {
        for millis in (0..3000).step_by(70) {
            let mut link = relay.link();
            let progress = Progress::new();
            let mut open = std::pin::pin!(link.open(0, &progress));
            let _ = poll_fn(|cx| Poll::Ready(open.as_mut().poll(cx).is_ready())).await;
            sleep(Duration::from_millis(millis)).await;
        }
        let mut pipe = relay.link().open(0, &Progress::new()).await.expect("a way");
        write(&mut pipe, b"after all").await;
        assert_eq!(read(&mut pipe, 9).await.unwrap(), b"after all");
    });
}
