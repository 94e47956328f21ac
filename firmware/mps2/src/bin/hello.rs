//! Shows that the board works: flash, network, time. It greets a TCP echo server on the host.
//!
//! Arguments: `port=N` (required), `host=NAME` (default 10.0.2.2, which is the host), `rounds=N`
//! (100), `idle-ms=N` (0), `patience-ms=N` (15000), `flash=FILE`, and those of `net::start`.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_futures::join::join;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::TcpSocket;
use embassy_net::{IpAddress, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use mps2::Board;
use mps2::args::Args;
use mps2::counters::Counters;
use mps2::flash::{FileFlash, FlashError, SECTOR, Settings, WORD};
use mps2::{log, memory, net, semihost};

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(hello(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn hello(spawner: Spawner, board: Board) {
    let result = greet(spawner, board.args).await;
    let memory = memory::usage();
    log!("memory statics={} stack={}", memory.statics, memory.stack_used);
    match result {
        Ok(()) => semihost::exit(0),
        Err(what) => {
            log!("failed: {what}");
            semihost::exit(1)
        }
    }
}

async fn greet(spawner: Spawner, args: Args) -> Result<(), &'static str> {
    if let Some(path) = args.text("flash") {
        let starts = count_start(path, args).await.map_err(|_| "flash")?;
        log!("flash starts={starts}");
    }
    let (stack, _nic) = net::start(spawner, args).ok_or("no NIC")?;
    let patience = Duration::from_millis(args.parsed("patience-ms", 15_000));
    with_timeout(patience, stack.wait_config_up()).await.map_err(|_| "no address by DHCP")?;
    let lease = stack.config_v4().ok_or("lease lost")?;
    log!("dhcp address={} us={}", lease.address, Instant::now().as_micros());

    let address = resolve(stack, args.text("host").unwrap_or("10.0.2.2"), patience).await?;
    let (mut rx, mut tx) = ([0; 1460], [0; 1460]);
    let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
    socket.set_timeout(Some(patience));
    let start = Instant::now();
    socket.connect((address, args.parsed("port", 0u16))).await.map_err(|_| "connect")?;
    log!("connected us={}", start.elapsed().as_micros());
    round_trips(&mut socket, args.parsed("rounds", 100)).await?;
    stream(&mut socket).await?;
    idle(Duration::from_millis(args.parsed("idle-ms", 0))).await;
    socket.close();
    // Waits for the peer to have everything.
    socket.flush().await.map_err(|_| "close")
}

/// Asks the name server unless `host` is an address.
async fn resolve(
    stack: Stack<'_>,
    host: &str,
    patience: Duration,
) -> Result<IpAddress, &'static str> {
    let start = Instant::now();
    let found = with_timeout(patience, stack.dns_query(host, DnsQueryType::A)).await;
    let addresses = found.map_err(|_| "name server silent")?.map_err(|_| "name unknown")?;
    let address = *addresses.first().ok_or("name without address")?;
    log!("dns {host}={address} us={}", start.elapsed().as_micros());
    Ok(address)
}

/// Sends 32 bytes and waits for their echo, `rounds` times.
async fn round_trips(socket: &mut TcpSocket<'_>, rounds: u32) -> Result<(), &'static str> {
    let (mut least, mut most, mut sum) = (u64::MAX, 0, 0);
    for round in 0..rounds {
        let sent = [round as u8; 32];
        let mut back = [0; 32];
        let start = Instant::now();
        socket.write_all(&sent).await.map_err(|_| "write")?;
        socket.read_exact(&mut back).await.map_err(|_| "read")?;
        let took = start.elapsed().as_micros();
        if back != sent {
            return Err("the echo differs");
        }
        (least, most, sum) = (least.min(took), most.max(took), sum + took);
    }
    if rounds > 0 {
        log!("round trips={rounds} min={least} mean={} max={most} us", sum / u64::from(rounds));
    }
    Ok(())
}

/// Sends and receives 256 KiB at the same time.
async fn stream(socket: &mut TcpSocket<'_>) -> Result<(), &'static str> {
    const BYTES: usize = 256 * 1024;
    let start = Instant::now();
    let (mut reader, mut writer) = socket.split();
    let send = async {
        let mut sent = 0usize;
        while sent < BYTES {
            let block: [u8; 256] =
                core::array::from_fn(|index| (sent + index) as u8 ^ (sent >> 8) as u8);
            writer.write_all(&block).await.map_err(|_| "write")?;
            sent += block.len();
        }
        Ok(())
    };
    let receive = async {
        let mut block = [0; 256];
        let mut received = 0usize;
        while received < BYTES {
            reader.read_exact(&mut block).await.map_err(|_| "read")?;
            let right = |(index, &byte): (usize, &u8)| {
                byte == (received + index) as u8 ^ (received >> 8) as u8
            };
            if !block.iter().enumerate().all(right) {
                return Err("the echoed stream differs");
            }
            received += block.len();
        }
        Ok(())
    };
    let (sent, received) = join(send, receive).await;
    sent.and(received)?;
    let micros = start.elapsed().as_micros().max(1);
    log!("stream bytes={BYTES} us={micros} rate={} B/s", BYTES as u64 * 1_000_000 / micros);
    Ok(())
}

/// Does nothing, with a connection open, and says how much the board woke.
async fn idle(time: Duration) {
    if time == Duration::MIN {
        return;
    }
    // Lets acknowledgements on their way pass.
    Timer::after_millis(500).await;
    let before = Counters::read();
    Timer::after(time).await;
    log!("idle {}", Counters::read().since(&before));
}

/// Counts starts in the first sector: one word a start, which is never written twice.
async fn count_start(path: &str, args: Args) -> Result<u32, FlashError> {
    let mut flash = FileFlash::open(path, Settings::from_args(args))?;
    let mut starts = 0;
    for offset in (0..SECTOR as u32).step_by(WORD) {
        let mut word = [0; WORD];
        flash.read(offset, &mut word).await?;
        if word == [0xff; WORD] {
            starts += 1;
            flash.write(offset, &u32::to_le_bytes(starts)).await?;
            return Ok(starts);
        }
        starts = u32::from_le_bytes(word);
    }
    flash.erase(0, SECTOR as u32).await?;
    starts += 1;
    flash.write(0, &u32::to_le_bytes(starts)).await?;
    Ok(starts)
}
