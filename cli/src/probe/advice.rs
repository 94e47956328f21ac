//! What a person should check.

use everlink::{Cause, Fault, ReasonCode, Step, Version};

use crate::args::ConnectionArgs;
use crate::target::Target;

/// For a fault on the way to the broker.
pub(super) fn advice(fault: &Fault, target: &Target, args: &ConnectionArgs) -> String {
    let (broker, version) = (target.name(), args.version);
    let before_proxy = matches!(fault.step, Step::Resolve | Step::Transport);
    if before_proxy && args.road.proxy.is_some() {
        return "the proxy: is the address in --proxy right, does it run, is the network up?"
            .into();
    }
    match (fault.step, fault.cause) {
        (Step::Resolve, Cause::UnknownHost) => {
            format!("is {broker} spelled right? `getent hosts` asks the same resolver")
        }
        (Step::Resolve, _) => {
            "the resolver: is the network up, what does /etc/resolv.conf say?".into()
        }
        (Step::Link, Cause::NotFound) => "is the path right, is the device plugged in?".into(),
        (Step::Link, Cause::Denied) => "the permissions of the device or socket file".into(),
        (Step::Link, _) => "the device, and whether another program uses it".into(),
        (Step::Transport, Cause::Refused) => format!(
            "nothing listens at {broker}: does the broker run, is the port right (1883, with TLS \
             8883), does it listen on this address?"
        ),
        (Step::Transport, Cause::Unreachable) => {
            "no way there: is the network up? `ip route get` tells which way it would go".into()
        }
        (Step::Transport, Cause::OpenTimeout) => {
            "nothing answers: a firewall that drops, a wrong address, or the host is off".into()
        }
        (Step::Proxy, Cause::Denied) => "user and password of the proxy, in --proxy".into(),
        (Step::Proxy, _) => "the proxy's address, and whether it may reach the broker".into(),
        (Step::Tls, Cause::Denied) => "our certificate and key: --cert, --key".into(),
        (Step::Tls, Cause::Tls) => {
            "the broker's certificate, --cafile for an authority of your own, --server-name, and \
             the clock here"
                .into()
        }
        (Step::Tls, _) => "is this the port with TLS? 1883 mostly is not, 8883 is".into(),
        (Step::WebSocket, _) => {
            "port and path of the broker's WebSocket listener (ws://HOST:PORT/mqtt)".into()
        }
        (Step::Handshake, Cause::RefusedByBroker(reason)) => refusal(reason),
        (Step::Handshake, Cause::Protocol(_) | Cause::WrongProtocol) => {
            "something else than an MQTT broker answers here: is the port right?".into()
        }
        (Step::Handshake, Cause::NoConnack | Cause::Eof | Cause::Reset) => format!(
            "is this an MQTT broker's port, without TLS? does it speak MQTT {}? -V {} tries the \
             other version",
            if version == Version::V5 { "5" } else { "3.1.1" },
            if version == Version::V5 { "311" } else { "5" }
        ),
        _ => "try again, and see more with -d".into(),
    }
}

fn refusal(reason: ReasonCode) -> String {
    match reason {
        ReasonCode::BAD_USER_NAME_OR_PASSWORD => {
            "user name and password: -u, --password-file".into()
        }
        ReasonCode::NOT_AUTHORIZED => {
            "the account: -u, --password-file; brokers that let nobody in without one say this too"
                .into()
        }
        ReasonCode::CLIENT_IDENTIFIER_NOT_VALID => "the Client Identifier: -i".into(),
        ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => "the other version: -V 311 or -V 5".into(),
        ReasonCode::SERVER_BUSY | ReasonCode::SERVER_UNAVAILABLE => {
            "the broker's load and log; it may do better later".into()
        }
        _ => "the broker's log says why".into(),
    }
}
