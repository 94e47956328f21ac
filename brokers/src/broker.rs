//! Brokers as processes of their own: started in a fresh directory, killed, started again.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use everlink::Version;

/// A virtual machine that has to be started takes its time on a busy host.
const START: Duration = Duration::from_secs(60);

/// Brokers of this process need different directories and ports.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Eclipse Mosquitto, with persistence.
    Mosquitto,
    /// The MQTT plugin of RabbitMQ.
    RabbitMq,
    /// nats-server with JetStream.
    Nats,
    /// The crate `mqtt5`, with its sessions in files.
    Mqtt5,
    /// The crate `rumqttd`.
    Rumqttd,
    /// The package `aedes` of npm, which keeps everything in memory.
    Aedes,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Mosquitto, Self::RabbitMq, Self::Nats, Self::Mqtt5, Self::Rumqttd, Self::Aedes];

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::RabbitMq => "rabbitmq",
            Self::Nats => "nats",
            Self::Mqtt5 => "mqtt5",
            Self::Rumqttd => "rumqttd",
            Self::Aedes => "aedes",
        }
    }

    /// The broker of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// Protocol versions it speaks, in the release that is tested.
    pub fn versions(self) -> &'static [Version] {
        match self {
            Self::Mosquitto | Self::Mqtt5 | Self::Rumqttd => &[Version::V311, Version::V5],
            Self::RabbitMq | Self::Nats | Self::Aedes => &[Version::V311],
        }
    }

    /// How to get it.
    pub fn install(self) -> &'static str {
        match self {
            Self::Mosquitto => "apt-get install mosquitto",
            Self::RabbitMq => "apt-get install rabbitmq-server",
            Self::Nats => "apt-get install nats-server",
            Self::Mqtt5 => "it is built with this program",
            Self::Rumqttd | Self::Aedes => "brokers/install",
        }
    }

    /// Writes its configuration for the ports from `port` on.
    fn prepare(self, dir: &Path, port: u16, saving: Saving) -> io::Result<Vec<Command>> {
        match self {
            Self::Mosquitto => {
                let conf = dir.join("mosquitto.conf");
                // As root, mosquitto would become a user who may not write here.
                let text = format!(
                    "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
                     persistence_location {}/\nmax_queued_messages 0\n{}",
                    dir.display(),
                    match saving {
                        Saving::EachChange => "autosave_on_changes true\nautosave_interval 1\n",
                        Saving::AtExit => "autosave_interval 0\n",
                    }
                );
                fs::write(&conf, text)?;
                let mut command = Command::new("mosquitto");
                command.arg("-c").arg(conf);
                Ok(vec![command])
            }
            Self::RabbitMq => rabbitmq(dir, port),
            Self::Nats => nats(dir, port, &[]),
            Self::Mqtt5 => {
                let mut command = Command::new(server_program()?);
                command.arg("--serve").arg(format!("127.0.0.1:{port}")).arg(dir);
                Ok(vec![command])
            }
            Self::Rumqttd => {
                let conf = dir.join("rumqttd.toml");
                fs::write(&conf, rumqttd(port))?;
                let mut command = Command::new(installed().join("bin/rumqttd"));
                command.arg("-c").arg(conf);
                Ok(vec![command])
            }
            Self::Aedes => {
                let mut command = Command::new("node");
                command.arg(installed().join("aedes.mjs")).arg(port.to_string());
                Ok(vec![command])
            }
        }
    }
}

/// When mosquitto writes its sessions to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saving {
    /// Soon after each change, so that little is lost when it is killed.
    EachChange,
    /// When it is asked to stop.
    AtExit,
}

/// Where `brokers/install` puts what no package of the system has.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/brokers")
}

/// The program of this crate, next to which its tests lie in a directory of their own.
fn server_program() -> io::Result<PathBuf> {
    let mut path = std::env::current_exe()?;
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    Ok(path.join("everlink-brokers"))
}

fn rabbitmq(dir: &Path, port: u16) -> io::Result<Vec<Command>> {
    let (amqp, distribution, names) = (port + 1, port + 2, port + 3);
    let conf = dir.join("rabbitmq.conf");
    let text = format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\n\
         mqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n\
         log.console = true\nlog.console.level = warning\n"
    );
    fs::write(&conf, text)?;
    let plugins = dir.join("enabled_plugins");
    fs::write(&plugins, "[rabbitmq_mqtt].\n")?;
    // Its own name server: one that a node starts would outlive it.
    let mut epmd = Command::new("epmd");
    epmd.arg("-port").arg(names.to_string());
    let mut server = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    server
        .env("HOME", dir)
        .env("ERL_EPMD_PORT", names.to_string())
        .env("RABBITMQ_NODENAME", format!("everlink{port}@localhost"))
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", dir.join("log"))
        .env("RABBITMQ_CONFIG_FILE", conf)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
        .env("RABBITMQ_PID_FILE", dir.join("pid"));
    Ok(vec![epmd, server])
}

/// One server of NATS, alone or in a cluster with those whose cluster ports are `routes`. It
/// listens at `port` for MQTT, at the next two for its own protocol and for the cluster.
pub(crate) fn nats(dir: &Path, port: u16, routes: &[u16]) -> io::Result<Vec<Command>> {
    let conf = dir.join("nats.conf");
    let mut text = format!(
        "server_name: n{port}\nlisten: 127.0.0.1:{}\njetstream {{ store_dir: {:?} }}\n\
         mqtt {{ listen: \"127.0.0.1:{port}\" }}\n",
        port + 1,
        dir.join("jetstream")
    );
    if !routes.is_empty() {
        let routes: Vec<_> = routes.iter().map(|p| format!("nats://127.0.0.1:{p}")).collect();
        text += &format!(
            "cluster {{ name: everlink, listen: \"127.0.0.1:{}\", routes: {routes:?} }}\n",
            port + 2
        );
    }
    fs::write(&conf, text)?;
    let mut command = Command::new("nats-server");
    command.arg("-c").arg(conf);
    Ok(vec![command])
}

fn rumqttd(port: u16) -> String {
    let listener = |version: &str, port: u16| {
        format!(
            "[{version}.1]\nname = \"{version}\"\nlisten = \"127.0.0.1:{port}\"\n\
             next_connection_delay_ms = 1\n[{version}.1.connections]\n\
             connection_timeout_ms = 60000\nmax_payload_size = 1048576\n\
             max_inflight_count = 100\ndynamic_filters = true\n"
        )
    };
    format!(
        "id = 0\n[router]\nid = 0\nmax_connections = 1000\nmax_outgoing_packet_count = 200\n\
         max_segment_size = 104857600\nmax_segment_count = 10\n{}{}",
        listener("v4", port),
        listener("v5", port + 1)
    )
}

/// A broker that runs, or that was killed. It is killed, and its directory removed, when dropped.
#[derive(Debug)]
pub struct Broker {
    kind: Kind,
    dir: PathBuf,
    port: u16,
    saving: Saving,
    children: Vec<Child>,
}

impl Broker {
    /// Starts one that lets everybody do everything, with a fresh memory.
    pub fn start(kind: Kind) -> Result<Self, String> {
        Self::saving(kind, Saving::EachChange)
    }

    /// As [`start`](Self::start), if it is mosquitto with this way of saving.
    pub fn saving(kind: Kind, saving: Saving) -> Result<Self, String> {
        let dir = fresh_directory(kind.name()).map_err(|e| format!("no directory: {e}"))?;
        let mut broker = Self { kind, dir, port: 0, saving, children: Vec::new() };
        for _ in 0..20 {
            broker.port = free_ports();
            if broker.launch()? {
                return Ok(broker);
            }
        }
        Err(format!("{} does not start:\n{}", kind.name(), broker.log()))
    }

    /// Which it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it speaks this version of the protocol.
    pub fn addr(&self, version: Version) -> SocketAddr {
        let second = self.kind == Kind::Rumqttd && version == Version::V5;
        (Ipv4Addr::LOCALHOST, self.port + u16::from(second)).into()
    }

    /// It dies as by `kill -9`.
    pub fn kill(&mut self) {
        kill(&mut self.children);
    }

    /// It is killed and started again, with the files it wrote.
    pub fn restart(&mut self) -> Result<(), String> {
        self.kill();
        for _ in 0..5 {
            if self.launch()? {
                return Ok(());
            }
        }
        Err(format!("{} does not start again:\n{}", self.kind.name(), self.log()))
    }

    /// It is asked to stop, so that it saves its sessions, and started again.
    pub fn restart_in_order(&mut self) -> Result<(), String> {
        for child in &mut self.children {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            child.wait().map_err(|e| e.to_string())?;
        }
        self.restart()
    }

    /// The end of what it printed since it was started.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log.txt")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn launch(&mut self) -> Result<bool, String> {
        let commands =
            self.kind.prepare(&self.dir, self.port, self.saving).map_err(|e| e.to_string())?;
        match launch(commands, &self.dir, self.addr(Version::V5)) {
            Ok(children) => self.children = children,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (name, install) = (self.kind.name(), self.kind.install());
                return Err(format!("{name} is not installed ({install})"));
            }
            Err(e) => return Err(format!("{}: {e}", self.kind.name())),
        }
        Ok(!self.children.is_empty())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Starts processes of one broker and waits until it listens; none are left if it does not.
pub(crate) fn launch(
    commands: Vec<Command>,
    dir: &Path,
    addr: SocketAddr,
) -> io::Result<Vec<Child>> {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let log = fs::File::create(dir.join("log.txt"))?;
    let mut children = Vec::new();
    for mut command in commands {
        command.env("PATH", &path).current_dir(dir).stdin(Stdio::null());
        // A group of its own, because scripts leave their broker alive when they are killed.
        command.stdout(log.try_clone()?).stderr(log.try_clone()?).process_group(0);
        match command.spawn() {
            Ok(child) => children.push(child),
            Err(e) => {
                kill(&mut children);
                return Err(e);
            }
        }
    }
    let start = Instant::now();
    while start.elapsed() < START {
        let ended = |c: &mut Child| !matches!(c.try_wait(), Ok(None));
        if children.iter_mut().any(ended) {
            break;
        }
        if TcpStream::connect(addr).is_ok() {
            return Ok(children);
        }
        std::thread::sleep(Duration::from_millis(10)); // nothing announces it
    }
    kill(&mut children);
    Ok(children)
}

/// Ends the groups of these processes at once.
pub(crate) fn kill(children: &mut Vec<Child>) {
    for mut child in children.drain(..) {
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _ = child.wait();
    }
}

/// A directory that nobody else uses.
pub(crate) fn fresh_directory(name: &str) -> io::Result<PathBuf> {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("everlink-brokers-{name}-{}-{number}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The first of four ports that are free, below the range from which the system picks by itself: a
/// broker that is started again is to find them free.
pub(crate) fn free_ports() -> u16 {
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id() * 41 + number * 4) % 22_000;
        let port = port as u16;
        let free = |p: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, p)).is_ok();
        if (port..port + 4).all(free) {
            return port;
        }
    }
}
