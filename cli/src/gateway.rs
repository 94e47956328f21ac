//! `everlink gateway`.

use everlink_gateway::runner::{Config, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::GatewayArgs;
use crate::exit::{Exit, Failure, explain_yourself, say};
use crate::signals::Signals;

/// Serves nodes until a signal ends it.
pub(crate) async fn run(args: GatewayArgs) -> Result<Exit, Failure> {
    explain_yourself(args.debug);
    let failed = |error: std::io::Error| Failure::not_done(format!("signals: {error}"));
    let mut signals = Signals::new().map_err(failed)?;
    let mut reload = signal(SignalKind::hangup()).map_err(failed)?;
    let file = args.config.clone();
    let config = match &file {
        Some(path) => Config::read(path).map_err(|error| Failure::usage(error.to_string()))?,
        None => from_flags(args),
    };
    let mut server =
        Server::bind(config).await.map_err(|error| Failure::usage(error.to_string()))?;
    for address in server.addresses() {
        println!("listening at udp://{address}");
    }
    server.on_event(|event| say(event));
    let control = server.control();
    let stop = async {
        loop {
            tokio::select! {
                () = signals.next() => return,
                _ = reload.recv() => match file.as_deref().map(Config::read) {
                    Some(Ok(config)) => {
                        control.reload(config);
                        say("the configuration was read again");
                    }
                    Some(Err(error)) => say(format_args!("{error}; the old one stays")),
                    None => say("there is no configuration file to read again"),
                },
            }
        }
    };
    server.run(stop).await;
    Ok(Exit::Done)
}

fn from_flags(args: GatewayArgs) -> Config {
    // The parser asks for it unless there is a file.
    let mut config = Config::new(args.broker.unwrap_or_default(), args.listen);
    config.state = args.state;
    config.allow = (!args.allow.is_empty()).then_some(args.allow);
    for (id, topic) in args.predefined {
        config.predefined.add(id, topic);
    }
    config
}
