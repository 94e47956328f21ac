//! The listener: accepts, refuses, and never loses its port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Live, Shared, connection};

type Command = (bool, oneshot::Sender<io::Result<()>>);

pub(super) struct Listener {
    pub(super) addr: SocketAddr,
    commands: mpsc::UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let addr = socket.local_addr()?;
        let door = Door { addr, open: None, reserve: Some(socket) }.opened()?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(accept(door, inbox, shared));
        Ok(Self { addr, commands, task })
    }

    pub(super) async fn refuse(&self, on: bool) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        // the task lives as long as `self`; if it panicked there is no answer either
        let _ = self.commands.send((on, reply));
        answer.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }
}

/// The port. A second socket, bound but not listening, keeps it while the door is shut: otherwise
/// another program could get it, or a connect could pick it as its own source port and so connect
/// to itself.
struct Door {
    addr: SocketAddr,
    open: Option<TcpListener>,
    reserve: Option<TcpSocket>,
}

impl Door {
    fn opened(mut self) -> io::Result<Self> {
        self.open()?;
        Ok(self)
    }

    fn open(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            let socket = match self.reserve.take() {
                Some(socket) => socket,
                None => bind(self.addr)?,
            };
            // Linux lets two sockets with SO_REUSEADDR share a port while neither listens.
            self.reserve = Some(bind(self.addr)?);
            self.open = Some(socket.listen(1024)?);
        }
        Ok(())
    }

    fn shut(&mut self) {
        self.open = None;
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

async fn accept(mut door: Door, mut inbox: mpsc::UnboundedReceiver<Command>, shared: Arc<Shared>) {
    loop {
        let accepted = async {
            match &door.open {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = inbox.recv() => {
                let Some((refuse, reply)) = command else { return };
                let result = if refuse { door.shut(); Ok(()) } else { door.open() };
                let _ = reply.send(result); // who asked may have stopped waiting
            }
            accepted = accepted => match accepted {
                Ok((client, _)) => admit(client, &shared),
                // out of file descriptors, or the peer went away: neither is ours to mend
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
        }
    }
}

fn admit(client: tokio::net::TcpStream, shared: &Arc<Shared>) {
    let (kill, killed) = oneshot::channel();
    let (up, to_broker) = mpsc::unbounded_channel();
    let (down, to_client) = mpsc::unbounded_channel();
    let mut state = shared.state();
    state.counters.accepted += 1;
    let number = state.counters.accepted;
    state.live.insert(number, Live { kill, inject: [up, down] });
    drop(state);
    let inject = [to_broker, to_client];
    tokio::spawn(connection::run(number, client, killed, inject, shared.clone()));
}
