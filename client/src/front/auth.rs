//! Enhanced authentication (MQTT 5, section 4.12).

use std::fmt::Debug;

/// The client's side of an authentication method such as SCRAM.
///
/// The methods run inside the driver and must be quick.
pub trait Authenticator: Debug + Send {
    /// Authentication Method, as the broker knows it.
    fn method(&self) -> &str;

    /// A new authentication begins, with each connection and with each re-authentication. Gives
    /// the first Authentication Data, possibly empty.
    fn start(&mut self) -> Vec<u8>;

    /// The broker's Authentication Data. Gives the answer; `None` refuses and ends the connection.
    fn challenge(&mut self, data: &[u8]) -> Option<Vec<u8>>;

    /// The broker accepts; `data` is its last word, empty if it has none. Returning `false`,
    /// because the broker did not prove who it is, ends the connection.
    fn finish(&mut self, data: &[u8]) -> bool {
        let _ = data;
        true
    }
}
