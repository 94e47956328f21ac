//! Stories of the MQTT-SN node: one behaviour to a test, on fake time, the gateway played by hand.

mod connecting;
mod discovery;
mod limits;
mod publishing;
mod random_faults;
mod receiving;
mod retries;
mod sleeping;
mod subscribing;
mod support;
mod wills;
