//! What a layer took and holds is sent when there is nothing more to write.

use std::task::{Context, Poll, ready};

use everlink::{Cause, Client, Fault, FirstConnect, QoS};
use everlink_link::{Link, Pipe, Progress};

use crate::support::memory::{self, MemoryLink};
use crate::support::model::Model;
use crate::support::{VERSIONS, soon, text};

/// A layer that sends nothing by itself, as TLS and WebSockets do when the socket is full.
struct Holding(MemoryLink);

struct HoldingPipe {
    below: <MemoryLink as Link>::Pipe,
    held: Vec<u8>,
}

impl Link for Holding {
    type Pipe = HoldingPipe;

    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<HoldingPipe, Fault> {
        Ok(HoldingPipe { below: self.0.open(endpoint, progress).await?, held: Vec::new() })
    }
}

impl Pipe for HoldingPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        self.below.poll_read(cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        if !self.held.is_empty() {
            ready!(self.poll_flush(cx))?;
        }
        self.held.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        while !self.held.is_empty() {
            let n = ready!(self.below.poll_write(cx, &self.held))?;
            self.held.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.below.poll_close(cx)
    }
}

#[tokio::test]
async fn nothing_waits_for_the_next_write() {
    for version in VERSIONS {
        let (link, path, listener) = memory::link();
        let _model = Model::start(&path, listener);
        let builder = Client::builder("mqtt://memory").version(version).client_id("client");
        let builder = builder.first_connect(FirstConnect::Forever);
        let (client, driver) = builder.build_over(Holding(link)).expect("the options are valid");
        let running = tokio::spawn(driver.run());
        let mut echo = soon("granted", client.subscribe("t", QoS::ExactlyOnce)).await.unwrap();
        soon("delivered", client.publish("t", "x").qos(QoS::ExactlyOnce)).await.unwrap();
        assert_eq!(text(&soon("back", echo.next()).await.unwrap()), "x");
        client.close();
        soon("the driver", running).await.unwrap();
        assert_eq!(client.stats().attempts, 1);
    }
}
