//! Request and response (MQTT 5, section 4.10).

use std::time::Duration;

use everlink_proto::wire::{QoS, Version};

use super::error::{PublishError, SubscribeError};
use super::handle::Client;
use super::message::Message;

/// Why a request has no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Only MQTT 5 has response topics.
    #[error("request and response need MQTT 5")]
    NeedsV5,
    /// The response topic could not be subscribed to.
    #[error("response topic: {0}")]
    Subscribe(#[from] SubscribeError),
    /// The request was not delivered.
    #[error("request: {0}")]
    Publish(#[from] PublishError),
    /// No response within the deadline.
    #[error("no response in time")]
    Timeout,
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
}

impl Client {
    /// Publishes a request at QoS 1 and waits for the response, at most `deadline`. The Response
    /// Topic is `response_topic`, below which this client must be allowed to subscribe; responses are
    /// told apart by Correlation Data, so any number of requests can be under way.
    ///
    /// Cancel-safe: the request is withdrawn if not yet accepted, and a late response is dropped.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request(
        &self,
        topic: &str,
        payload: impl AsRef<[u8]>,
        response_topic: &str,
        deadline: Duration,
    ) -> Result<Message, RequestError> {
        if self.version != Version::V5 {
            return Err(RequestError::NeedsV5);
        }
        let exchange = async {
            let mut responses = self.subscribe(response_topic, QoS::AtLeastOnce).await?;
            let correlation = self.shared.change(|_, front, now| front.next_correlation(now));
            let request =
                self.publish(topic, payload.as_ref()).qos(QoS::AtLeastOnce).expiry(deadline);
            let request = request.response_topic(response_topic).correlation_data(&correlation);
            // The response may overtake the acknowledgement.
            let _delivery = request.accepted().await?;
            while let Some(message) = responses.next().await {
                if message.properties().correlation_data.as_deref() == Some(&correlation[..]) {
                    return Ok(message);
                }
            }
            Err(RequestError::Closed)
        };
        tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(RequestError::Timeout))
    }
}
