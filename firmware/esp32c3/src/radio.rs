//! The chip's own radio as everlink wants it.

use embassy_net::Stack;
use esp_hal::peripherals::WIFI;
use esp_println::println;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ConnectionError, WifiController, WifiError,
};
use everlink::Cause;
use everlink_link::embedded::wifi::{Network, Wifi};

/// The radio. Its code allocates, and needs the scheduler of `esp-rtos`.
pub(crate) struct Radio {
    /// None only if it did not start again after a reset.
    controller: Option<WifiController<'static>>,
    stack: Stack<'static>,
}

impl Radio {
    /// `stack` runs over the radio: it knows whether there is a link.
    pub(crate) fn new(controller: WifiController<'static>, stack: Stack<'static>) -> Self {
        Self { controller: Some(controller), stack }
    }

    async fn try_join(&mut self, network: &Network<'_>) -> Result<(), ConnectionError> {
        let controller = self.controller.as_mut().ok_or(WifiError::Other)?;
        let authentication = match network.passphrase {
            "" => AuthenticationMethodConfig::Open,
            passphrase => AuthenticationMethodConfig::Wpa2Personal(passphrase.try_into()?),
        };
        let station = StationConfig::default()
            .with_ssid(network.ssid.try_into()?)
            .with_authentication(authentication);
        controller.set_config(&Config::Station(station))?;
        controller.connect_async().await?;
        Ok(())
    }
}

impl Wifi for Radio {
    /// Dropping the future leaves the attempt going on in the radio; `leave` ends it.
    async fn join(&mut self, network: &Network<'_>) -> Result<(), Cause> {
        self.try_join(network).await.map_err(|error| {
            println!("cannot join {}: {error}", network.ssid);
            match error {
                ConnectionError::Failed(_) => Cause::Refused,
                _ => Cause::Unreachable,
            }
        })
    }

    async fn leave(&mut self) {
        if let Some(controller) = &mut self.controller {
            // It may be in no network; then there is none to leave.
            let _ = controller.disconnect_async().await;
        }
    }

    /// Stops the radio's code and starts it again.
    #[allow(unsafe_code)]
    async fn reset(&mut self) {
        self.controller = None;
        // SAFETY: the controller that had the peripheral is gone.
        let wifi = unsafe { WIFI::steal() };
        self.controller = WifiController::new(wifi, Default::default()).ok();
    }

    fn is_joined(&mut self) -> bool {
        self.stack.is_link_up()
    }
}
