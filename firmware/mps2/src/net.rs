//! The network: embassy-net over the NIC, with DHCP at every link.

use embassy_executor::Spawner;
use embassy_net::{Config, DhcpConfig, Runner, Stack, StackResources};
use static_cell::StaticCell;

use crate::args::Args;
use crate::eth::{Frames, Nic, NicControl};
use crate::semihost;

/// Sockets: DHCP, DNS, and two for the program.
const SOCKETS: usize = 4;

/// Starts the NIC and the network; the stack has an address when `wait_config_up` is through.
///
/// Argument: `seed` for local ports and transaction ids, from the host's clocks when absent.
///
/// # Panics
/// When it has been called before.
pub fn start(spawner: Spawner, args: Args) -> Option<(Stack<'static>, NicControl)> {
    static FRAMES: StaticCell<Frames> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let (nic, control) = Nic::start(FRAMES.init_with(Frames::new))?;
    let seed = u64::from(semihost::unix_time()) << 32 | u64::from(semihost::host_clock());
    let resources = RESOURCES.init_with(StackResources::new);
    let config = Config::dhcpv4(DhcpConfig::default());
    let (stack, runner) = embassy_net::new(nic, config, resources, args.parsed("seed", seed));
    // Spawned once, here, and this cannot run twice: the cells above would panic.
    spawner.spawn(run(runner).expect("spawned once"));
    Some((stack, control))
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Nic>) {
    runner.run().await;
}
