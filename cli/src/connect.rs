//! From flags to a client, and out again: one connection as every command uses it.

use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use everlink::store::FileStore;
use everlink::{
    Authenticator, Builder, Cause, Client, Driver, Fault, FirstConnect, RoadLink, Step, Version,
    Will,
};
use tokio::task::JoinHandle;

use crate::args::{ConnectionArgs, OwnedProperty, Packet};
use crate::exit::Failure;
use crate::secret::Secret;
use crate::tap::Taps;
use crate::target::Target;
use crate::watch::{Tally, Watchers};

/// How long taking leave may take.
const LEAVE: Duration = Duration::from_secs(5);

/// Further rounds at the first connection when a program has to bring up the link.
const PATIENT: u32 = 3;

/// What a command wants of its connection.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    /// Name of the command.
    pub(crate) command: &'a str,
    /// Topics and filters, which tell one kept session from another.
    pub(crate) topics: &'a [String],
    /// Whether promises depend on a session that outlives a connection.
    pub(crate) needs_session: bool,
    /// Whether the broker may be away at the start.
    pub(crate) patient: bool,
}

/// A running client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Ends with the fault for which the driver gave up, if it did.
    driver: JoinHandle<Option<Fault>>,
    taps: Taps,
    watchers: Watchers,
    /// For messages: the broker's address.
    broker: String,
    /// MQTT 5: how long the broker keeps the session from now on, if DISCONNECT is to say so.
    expires: Option<Duration>,
    /// Whether a refusal that only a person can mend ends the command, if it is the first answer.
    pub(crate) gives_up: bool,
    over: Option<Fault>,
}

impl Connection {
    /// Builds the client and lets it connect.
    pub(crate) fn open(
        args: &ConnectionArgs,
        target: &Target,
        wish: &Wish<'_>,
        store: Option<FileStore>,
        shape: impl FnOnce(Builder) -> Builder,
    ) -> Result<Self, Failure> {
        let broker = target.name();
        let stored = store.as_ref().and_then(|s| s.client_id()).map(str::to_owned);
        let (mut builder, expires) = builder(args, target, wish, stored)?;
        if let Some(store) = store {
            builder = builder.store(store);
        }
        let taps = Taps::open(&args.taps)?;
        let builder = taps.record(shape(builder));
        let failure = |e: everlink::BuildError| Failure::usage(e.to_string());
        let (client, driver) = match taps.is_empty() {
            true => {
                let (client, driver): (Client, Driver<RoadLink>) =
                    builder.build().map_err(failure)?;
                (client, tokio::spawn(async move { driver.run().await.fault }))
            }
            false => {
                let wrap = |link| taps.put_on(link);
                let (client, driver) = builder.build_wrapped(wrap).map_err(failure)?;
                (client, tokio::spawn(async move { driver.run().await.fault }))
            }
        };
        let watchers = Watchers::start(&args.watch, &client)?;
        Ok(Self {
            client,
            driver,
            taps,
            watchers,
            broker,
            expires,
            gives_up: args.first_connect.is_none(),
            over: None,
        })
    }

    /// Waits until there is no hope of a connection. Cancel-safe.
    pub(crate) async fn failed(&mut self) -> Failure {
        let fault = match self.over {
            Some(fault) => fault,
            None => self.fault().await,
        };
        self.over = Some(fault);
        let line = format!("{}: {}", self.broker, self.client.explain(&fault));
        if let Some(why) = self.damage() {
            return Failure::not_done(format!("store: {why}"));
        }
        match fault.cause {
            Cause::RefusedByBroker(_) | Cause::DisconnectedByBroker(_) => {
                Failure::refused(match self.words() {
                    Some(words) => format!("{line} ({words})"),
                    None => line,
                })
            }
            // TLS and the WebSocket are the broker's own, a proxy is not.
            Cause::Denied if [Step::Tls, Step::WebSocket].contains(&fault.step) => {
                Failure::refused(line)
            }
            _ => Failure::not_done(line),
        }
    }

    /// Why there is no hope of a connection, once that is so. Not to be called again then.
    pub(crate) async fn fault(&mut self) -> Fault {
        let client = &self.client;
        let refusal = async {
            if !self.gives_up {
                return std::future::pending().await;
            }
            let mut states = client.watch();
            loop {
                let state = *states.borrow_and_update();
                if let Some(fault) = state.fault.filter(|f| f.cause.is_permanent())
                    && client.stats().connections == 0
                {
                    return fault;
                }
                if states.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            fault = refusal => fault,
            () = crate::store::damaged(client) => Fault::new(Step::Closing, Cause::Requested),
            // Nobody closes the client while this is awaited.
            stopped = &mut self.driver => match stopped {
                Ok(Some(fault)) => fault,
                Ok(None) | Err(_) => Fault::new(Step::Closing, Cause::Requested),
            },
        }
    }

    /// What is wrong with the store, if that cannot get better.
    fn damage(&self) -> Option<String> {
        crate::store::damage(&self.client)
    }

    /// The broker's own words about its last refusal.
    fn words(&self) -> Option<String> {
        self.client.broker_info()?.reason_string
    }

    /// What became of messages that are not the user's. There are no more of them from now on.
    pub(crate) async fn own_messages(&mut self) -> Tally {
        self.watchers.settle().await
    }

    /// Leaves politely; `hasty` allows only a moment for that.
    pub(crate) async fn leave(mut self, hasty: bool) {
        self.watchers.leaving();
        self.own_messages().await;
        match self.expires {
            Some(after) => self.client.close_expiring(after),
            None => self.client.close(),
        }
        if !self.driver.is_finished() {
            let limit = if hasty { Duration::from_millis(300) } else { LEAVE };
            let _ = tokio::time::timeout(limit, self.driver).await;
        }
        self.taps.end().await;
    }
}

fn builder(
    args: &ConnectionArgs,
    target: &Target,
    wish: &Wish<'_>,
    stored: Option<String>,
) -> Result<(Builder, Option<Duration>), Failure> {
    if args.version == Version::V311 {
        if !args.properties.is_empty() {
            return Err(Failure::usage("-D: MQTT 3.1.1 has no properties"));
        }
        if args.session_expiry.is_some() {
            return Err(Failure::usage("-x: MQTT 3.1.1 has no session expiry"));
        }
    }
    check_lengths(args, target)?;
    let first = args.first_connect.unwrap_or(match wish.patient {
        true => FirstConnect::Forever,
        false if args.link.brings_up() => FirstConnect::Retry(PATIENT),
        false => FirstConnect::Fail,
    });
    let mut builder = Client::builder(target.url())
        .version(args.version)
        .credentials(target.credentials(args)?)
        .keep_alive(args.keepalive)
        .response_time(args.response_time)
        .adaptive(args.adaptive)
        .first_connect(first);
    builder = target.road(builder, args)?;
    builder = crate::links::below(builder, &args.link)?;
    if let Some(interval) = args.ping_interval {
        builder = builder.ping_interval(interval);
    }
    if let Some(will) = will(args)? {
        builder = builder.will(will);
    }
    builder = connect_properties(builder, args)?;
    session(builder, args, target, wish, stored)
}

/// What no CONNECT can hold, by the flag it came with.
fn check_lengths(args: &ConnectionArgs, target: &Target) -> Result<(), Failure> {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let secret = |secret: &Option<Secret>| secret.as_ref().map_or(0, |s| s.0.len());
    for (flag, length) in [
        ("-i", text(&args.id)),
        ("-u", text(&args.username)),
        ("-P", secret(&args.password)),
        ("-L: the user", text(&target.user)),
        ("-L: the password", secret(&target.password)),
        ("--will-payload", args.will_payload.as_ref().map_or(0, |p| p.len())),
    ] {
        if length > usize::from(u16::MAX) {
            return Err(Failure::usage(format!("{flag} is longer than 65535 bytes")));
        }
    }
    Ok(())
}

/// How the session begins, how long the broker keeps it, and how it ends.
fn session(
    mut builder: Builder,
    args: &ConnectionArgs,
    target: &Target,
    wish: &Wish<'_>,
    stored: Option<String>,
) -> Result<(Builder, Option<Duration>), Failure> {
    let id = match (&args.id, &args.id_prefix) {
        (Some(id), _) => id.clone(),
        (None, Some(_)) if args.store.directory.is_some() => {
            return Err(Failure::usage("-I: a store needs an identifier that lasts, with -i"));
        }
        (None, None) if stored.is_some() => stored.unwrap_or_default(),
        (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
        (None, None) if args.keeps_session() => {
            let broker = target.name();
            let parts = std::iter::once(broker.as_str());
            let parts: Vec<&str> = parts.chain(wish.topics.iter().map(String::as_str)).collect();
            crate::identity::derived(wish.command, &parts)?
        }
        (None, None) if wish.needs_session => made_up_id(),
        (None, None) => String::new(),
    };
    let made_up = wish.needs_session && args.id.is_none() && args.id_prefix.is_none();
    builder = builder.client_id(id);
    let expiry = expiry(args)?;
    let at_end = args.properties.of(Packet::Disconnect).find_map(|p| match p {
        OwnedProperty::SessionExpiryInterval(seconds) => Some(*seconds),
        _ => None,
    });
    let kept = args.keeps_session() || expiry.is_some_and(|seconds| seconds > 0);
    if at_end.is_some_and(|seconds| seconds > 0) && !kept {
        // What was to end with the connection cannot be prolonged.
        return Err(Failure::usage("-D disconnect session-expiry-interval needs -c or -x"));
    }
    let seconds = |s: u32| Duration::from_secs(s.into());
    if kept {
        let expiry = expiry.unwrap_or(u32::MAX);
        builder = builder.clean_start(!args.keeps_session()).session_expiry(seconds(expiry));
        return Ok((builder.ephemeral(false), at_end.map(seconds)));
    }
    if made_up {
        // There is nothing to clean, and mosquitto up to 2.0 does not write sessions to its disk
        // that began with Clean Start.
        builder = builder.clean_start(false);
    }
    builder = match (wish.needs_session, args.version) {
        // What an outage must not end is to end when we leave, even with messages still held:
        // nobody comes back for them.
        (true, Version::V5) => return Ok((builder.ephemeral(true), Some(Duration::ZERO))),
        (true, Version::V311) => builder.ephemeral(true),
        (false, Version::V5) => builder.session_expiry(Duration::ZERO),
        (false, Version::V311) => builder.clean_reconnect(true),
    };
    Ok((builder, None))
}

/// A Client Identifier nobody else has, no longer than every broker must take `[MQTT-3.1.3-5]`.
fn made_up_id() -> String {
    format!("everlink-{:014x}", fastrand::u64(..1 << 56))
}

/// The Session Expiry Interval asked for, in one way or the other.
fn expiry(args: &ConnectionArgs) -> Result<Option<u32>, Failure> {
    let property = args.properties.of(Packet::Connect).find_map(|p| match p {
        OwnedProperty::SessionExpiryInterval(seconds) => Some(*seconds),
        _ => None,
    });
    if property.is_some() && args.session_expiry.is_some() {
        return Err(Failure::usage("-x and -D connect session-expiry-interval say the same"));
    }
    Ok(args.session_expiry.or(property))
}

fn connect_properties(mut builder: Builder, args: &ConnectionArgs) -> Result<Builder, Failure> {
    use OwnedProperty as P;
    let (mut method, mut data) = (None, None);
    for property in args.properties.of(Packet::Connect) {
        builder = match property {
            P::ReceiveMaximum(messages) => builder.receive_maximum(*messages),
            P::MaximumPacketSize(bytes) => builder.maximum_packet_size(*bytes),
            P::TopicAliasMaximum(aliases) => builder.topic_aliases(32, *aliases),
            P::RequestResponseInformation(true) => builder.request_response_information(),
            P::RequestProblemInformation(false) => builder.no_problem_information(),
            P::UserProperty(name, value) => builder.user_property(name, value),
            P::AuthenticationMethod(name) => {
                method = Some(name.clone());
                builder
            }
            P::AuthenticationData(bytes) => {
                data = Some(bytes.clone());
                builder
            }
            // The rest is the default, or the session's business.
            _ => builder,
        };
    }
    match (method, data) {
        (Some(method), data) => Ok(builder.authenticator(OneStep { method, data })),
        (None, Some(_)) => Err(Failure::usage("-D: authentication-data needs a method")),
        (None, None) => Ok(builder),
    }
}

/// An authentication that has nothing to say beyond CONNECT.
#[derive(Debug)]
struct OneStep {
    method: String,
    data: Option<Secret>,
}

impl Authenticator for OneStep {
    fn method(&self) -> &str {
        &self.method
    }

    fn start(&mut self) -> Vec<u8> {
        self.data.as_ref().map_or_else(Vec::new, |d| d.0.clone())
    }

    fn challenge(&mut self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

fn will(args: &ConnectionArgs) -> Result<Option<Will>, Failure> {
    let Some(topic) = &args.will_topic else {
        if args.properties.of(Packet::Will).next().is_some() {
            return Err(Failure::usage("-D will: there is no --will-topic"));
        }
        return Ok(None);
    };
    let payload = args.will_payload.clone().unwrap_or_default().into_vec();
    let will = Will::new(topic, payload)
        .map_err(|e| Failure::usage(format!("--will-topic: {e}")))?
        .qos(args.will_qos)
        .retain(args.will_retain);
    let properties = args.properties.of(Packet::Will);
    Ok(Some(properties.fold(will, |will, p| will.property(p.borrow()))))
}
