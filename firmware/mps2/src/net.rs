//! The network: embassy-net over the NIC, with DHCP at every link.

use embassy_executor::Spawner;
use embassy_net::{
    Config, ConfigV4, DhcpConfig, Ipv4Address, Runner, Stack, StackResources, StaticConfigV4,
};
use static_cell::StaticCell;

use crate::args::Args;
use crate::eth::{Frames, Nic, NicControl};
use crate::semihost;

/// Sockets: DHCP, DNS, and two for the program.
const SOCKETS: usize = 4;

/// Starts the NIC and the network; the stack has an address when `wait_config_up` is through.
///
/// Arguments: `seed` for local ports and transaction ids (from the host's clocks when absent), and
/// `dns`, the address of a name server to ask instead of the one that DHCP names.
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
    // Each task is spawned once, here, and this cannot run twice: the cells above would panic.
    spawner.spawn(run(runner).expect("spawned once"));
    if let Some(server) = args.text("dns") {
        let server = server.parse().expect("argument dns is an IPv4 address");
        spawner.spawn(name_server(stack, server).expect("spawned once"));
    }
    Some((stack, control))
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Nic>) {
    runner.run().await;
}

/// Replaces the name server of every lease. Until the link goes down the address is fixed, so such a
/// board does not renew its lease: good for tests, which are shorter than a lease.
#[embassy_executor::task]
async fn name_server(stack: Stack<'static>, server: Ipv4Address) {
    loop {
        stack.wait_config_up().await;
        if let Some(lease) = stack.config_v4() {
            let mut config = StaticConfigV4 {
                address: lease.address,
                gateway: lease.gateway,
                dns_servers: Default::default(),
            };
            // The list has room for three.
            let _ = config.dns_servers.push(server);
            stack.set_config_v4(ConfigV4::Static(config));
        }
        stack.wait_link_down().await;
        stack.set_config_v4(ConfigV4::Dhcp(DhcpConfig::default()));
        stack.wait_config_down().await;
    }
}
