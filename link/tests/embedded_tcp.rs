//! TCP over embassy-net, between two stacks on a cable.
#![cfg(feature = "embassy-net")]

mod board;
#[path = "board/wire.rs"]
mod wire;

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use board::{Tasks, now, sleep};
use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, ConfigV4, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use everlink_link::embedded::tcp::{Endpoint, TcpCell, TcpLink, TcpPipe};
use everlink_link::{Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Fault, Step};
use wire::Wire;

const BROKER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const PORT: u16 = 1883;

/// What the name server says; nothing at all if `None`.
type Answers = Rc<RefCell<Option<Vec<Ipv4Addr>>>>;

/// A board, a broker's host with a name server, and the cable between them.
struct Net {
    wire: Wire,
    board: Stack<'static>,
    host: Stack<'static>,
    answers: Answers,
}

fn address(last: u8) -> StaticConfigV4 {
    let mut config = StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Addr::new(10, 0, 0, last), 24),
        gateway: None,
        dns_servers: Default::default(),
    };
    config.dns_servers.push(BROKER).expect("room for one");
    config
}

fn net(tasks: &mut Tasks<'static>) -> Net {
    let wire = Wire::default();
    let mut stack = |end, config| {
        let resources = Box::leak(Box::new(StackResources::<6>::new()));
        let (stack, runner) = embassy_net::new(wire.end(end), config, resources, 7);
        let runner = Box::leak(Box::new(runner));
        tasks.spawn(async {
            runner.run().await;
        });
        stack
    };
    let host = stack(0, Config::ipv4_static(address(1)));
    let board = stack(1, Config::default());
    let answers = Answers::default();
    tasks.spawn(name_server(host, answers.clone()));
    Net { wire, board, host, answers }
}

/// Up and configured.
fn up(net: &Net) {
    net.wire.plug(true);
    net.board.set_config_v4(ConfigV4::Static(address(5)));
}

async fn name_server(host: Stack<'static>, answers: Answers) {
    let (mut meta, mut buffer) = ([PacketMetadata::EMPTY; 4], [0; 1024]);
    let (mut meta_out, mut buffer_out) = ([PacketMetadata::EMPTY; 4], [0; 1024]);
    let mut socket = UdpSocket::new(host, &mut meta, &mut buffer, &mut meta_out, &mut buffer_out);
    socket.bind(53).expect("free");
    loop {
        let mut packet = [0; 512];
        let (n, from) = socket.recv_from(&mut packet).await.expect("it fits");
        let Some(addresses) = answers.borrow().clone() else { continue };
        // The question comes back with answers, or with "no such name".
        let mut answer = packet[..n].to_vec();
        answer[2] |= 0x80;
        answer[3] = if addresses.is_empty() { 0x83 } else { 0x80 };
        answer[6..8].copy_from_slice(&(addresses.len() as u16).to_be_bytes());
        for address in addresses {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
        }
        socket.send_to(&answer, from).await.expect("sent");
    }
}

fn cell(board: Stack<'static>, size: usize) -> &'static TcpCell<'static> {
    let [receive, transmit] = [(); 2].map(|()| Box::leak(vec![0; size].into_boxed_slice()));
    Box::leak(Box::new(TcpCell::new(board, receive, transmit)))
}

fn link(net: &Net, host: &'static str, port: u16) -> TcpLink<'static, 'static> {
    let endpoints = Box::leak(Box::new([Endpoint::new(host, port)]));
    TcpLink::new(cell(net.board, 700), endpoints)
}

/// Accepts one connection.
async fn accept(host: Stack<'static>) -> TcpSocket<'static> {
    let [receive, transmit] = [(); 2].map(|()| Box::leak(vec![0; 500].into_boxed_slice()));
    let mut socket = TcpSocket::new(host, receive, transmit);
    socket.accept(PORT).await.expect("a connection");
    socket
}

async fn read(pipe: &mut TcpPipe<'_, '_>) -> Result<Vec<u8>, Cause> {
    let mut buf = [0; 100];
    let n = poll_fn(|cx| pipe.poll_read(cx, &mut buf)).await?;
    Ok(buf[..n].to_vec())
}

async fn write(pipe: &mut TcpPipe<'_, '_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| pipe.poll_write(cx, bytes)).await.expect("open");
        bytes = &bytes[n..];
    }
}

#[test]
fn an_attempt_waits_for_the_link_then_for_an_address() {
    let mut tasks = Tasks::default();
    let net = net(&mut tasks);
    let mut link = link(&net, "10.0.0.1", PORT);
    let progress = Progress::new();
    let (wire, board, host) = (net.wire.clone(), net.board, net.host);
    tasks.spawn(async move {
        let socket = accept(host).await;
        core::mem::forget(socket);
    });
    tasks.block_on(async {
        let steps = async {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(progress.get(), Step::Link);
            wire.plug(true);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(progress.get(), Step::Link);
            board.set_config_v4(ConfigV4::Static(address(5)));
            std::future::pending::<()>().await;
        };
        let mut steps = std::pin::pin!(steps);
        let mut open = std::pin::pin!(link.open(0, &progress));
        let pipe = poll_fn(|cx| {
            assert!(steps.as_mut().poll(cx).is_pending());
            open.as_mut().poll(cx)
        });
        pipe.await.expect("connected");
        assert_eq!(progress.get(), Step::Transport);
    });
}

#[test]
fn addresses_in_turn_the_one_that_answered_first() {
    let mut tasks = Tasks::default();
    let net = net(&mut tasks);
    up(&net);
    // smoltcp keeps as many as it was built for, which may be one.
    *net.answers.borrow_mut() = Some(vec![NOBODY, BROKER]);
    let mut link = link(&net, "broker.test", PORT);
    let host = net.host;
    tasks.spawn(async move {
        loop {
            let mut socket = accept(host).await;
            socket.write(b"hello").await.expect("written");
            sleep(Duration::from_secs(1)).await;
        }
    });
    let answers = net.answers.clone();
    tasks.block_on(async {
        let several = {
            let progress = Progress::new();
            let open = link.open(0, &progress);
            let open =
                embassy_time::with_timeout(embassy_time::Duration::from_secs(20), open).await;
            matches!(open, Ok(Ok(_)))
        };
        // With room for one address only, the other way round it is.
        if !several {
            *answers.borrow_mut() = Some(vec![BROKER]);
        }
        sleep(Duration::from_secs(2)).await;
        let mut pipe = link.open(0, &Progress::new()).await.expect("connected");
        assert_eq!(read(&mut pipe).await, Ok(b"hello".to_vec()));
        drop(pipe);
        // Now it is the good one, and comes first even when the name server says nothing.
        for answer in [Some(vec![NOBODY, BROKER]), None] {
            if answer.is_some() && !several {
                continue;
            }
            *answers.borrow_mut() = answer;
            sleep(Duration::from_secs(2)).await;
            let before = now();
            let pipe = link.open(0, &Progress::new()).await.expect("connected");
            assert!(now() - before < 6.0, "{} s", now() - before);
            drop(pipe);
        }
    });
}

#[test]
fn what_goes_wrong_is_told_apart() {
    let mut tasks = Tasks::default();
    let net = net(&mut tasks);
    up(&net);
    *net.answers.borrow_mut() = Some(vec![]);
    let mut unknown = link(&net, "broker.test", PORT);
    let mut refused = link(&net, "10.0.0.1", 9);
    let none: &'static [Endpoint<'static>] = &[];
    let mut nowhere = TcpLink::new(cell(net.board, 100), none);
    let answers = net.answers.clone();
    tasks.block_on(async {
        let fault = |step, cause| Some(Fault::new(step, cause));
        let progress = Progress::new();
        let result = unknown.open(0, &progress).await.err();
        assert!(matches!(result, Some(Fault { step: Step::Resolve, .. })), "{result:?}");
        *answers.borrow_mut() = None;
        let before = now();
        let result = unknown.open(0, &progress).await.err();
        assert_eq!(result, fault(Step::Resolve, Cause::ResolverFailed));
        assert!(now() - before < 5.0);
        assert_eq!(refused.open(0, &progress).await.err(), fault(Step::Transport, Cause::Refused));
        assert_eq!(
            nowhere.open(0, &progress).await.err(),
            fault(Step::Resolve, Cause::UnknownHost)
        );
    });
}

#[test]
fn much_data_through_small_buffers_and_an_orderly_end() {
    let mut tasks = Tasks::default();
    let net = net(&mut tasks);
    up(&net);
    let mut link = link(&net, "10.0.0.1", PORT);
    let host = net.host;
    let whole = Rc::new(RefCell::new(Vec::new()));
    let server = whole.clone();
    tasks.spawn(async move {
        let mut socket = accept(host).await;
        let mut buf = [0; 333];
        loop {
            match socket.read(&mut buf).await.expect("no reset overtakes the data") {
                0 => break,
                n => server.borrow_mut().extend_from_slice(&buf[..n]),
            }
            let mut echo = &server.borrow()[server.borrow().len() - 1..].to_vec()[..];
            while !echo.is_empty() {
                let n = socket.write(echo).await.expect("open");
                echo = &echo[n..];
            }
        }
        socket.close();
        sleep(Duration::from_secs(5)).await;
    });
    tasks.block_on(async {
        let mut pipe = link.open(0, &Progress::new()).await.expect("connected");
        let sent: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        write(&mut pipe, &sent).await;
        // What the peer said is read before its end, or dropped by ours.
        let _ = read(&mut pipe).await.expect("an echo");
        poll_fn(|cx| pipe.poll_close(cx)).await;
        drop(pipe);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(*whole.borrow(), sent);
    });
}

#[test]
fn a_dropped_pipe_resets_and_a_dropped_attempt_leaves_nothing() {
    let mut tasks = Tasks::default();
    let net = net(&mut tasks);
    up(&net);
    *net.answers.borrow_mut() = Some(vec![NOBODY]);
    let endpoints = Box::leak(Box::new([
        Endpoint::new("10.0.0.1", PORT),
        Endpoint::new("10.0.0.9", PORT),
        Endpoint::new("broker.test", PORT),
    ]));
    let mut link = TcpLink::new(cell(net.board, 700), endpoints);
    let host = net.host;
    let resets = Rc::new(RefCell::new(0));
    let count = resets.clone();
    tasks.spawn(async move {
        loop {
            let mut socket = accept(host).await;
            while let Ok(1..) = socket.read(&mut [0; 10]).await {}
            *count.borrow_mut() += 1;
        }
    });
    tasks.block_on(async {
        for round in 1..5 {
            // Nobody answers there; given up at different places.
            for endpoint in [1, 2] {
                let time = embassy_time::Duration::from_millis(1 + 700 * (round - 1));
                let progress = Progress::new();
                let open = embassy_time::with_timeout(time, link.open(endpoint, &progress)).await;
                assert!(open.is_err(), "it does not end by itself so soon");
            }
            let mut pipe = link.open(0, &Progress::new()).await.expect("connected");
            write(&mut pipe, b"x").await;
            sleep(Duration::from_millis(10)).await;
            drop(pipe);
            sleep(Duration::from_millis(100)).await;
            assert_eq!(*resets.borrow(), round);
        }
    });
}
