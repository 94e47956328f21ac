//! An Ethernet cable between two network stacks.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

#[derive(Default)]
struct Cable {
    /// To the first end and to the second.
    frames: [VecDeque<Vec<u8>>; 2],
    wakers: [Option<Waker>; 2],
    plugged: bool,
}

/// A cable, not plugged in.
#[derive(Clone, Default)]
pub(crate) struct Wire(Rc<RefCell<Cable>>);

impl Wire {
    pub(crate) fn plug(&self, plugged: bool) {
        let mut cable = self.0.borrow_mut();
        cable.plugged = plugged;
        cable.wakers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }

    /// One end: 0 or 1.
    pub(crate) fn end(&self, number: usize) -> End {
        End { wire: self.clone(), number }
    }
}

pub(crate) struct End {
    wire: Wire,
    number: usize,
}

pub(crate) struct Rx(Vec<u8>);
pub(crate) struct Tx(Wire, usize);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl TxToken for Tx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        let mut cable = self.0.0.borrow_mut();
        if cable.plugged {
            let peer = 1 - self.1;
            cable.frames[peer].push_back(frame);
            if let Some(waker) = cable.wakers[peer].take() {
                waker.wake();
            }
        }
        result
    }
}

impl Driver for End {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Rx, Tx)> {
        let mut cable = self.wire.0.borrow_mut();
        cable.wakers[self.number] = Some(cx.waker().clone());
        let frame = cable.frames[self.number].pop_front()?;
        Some((Rx(frame), Tx(self.wire.clone(), self.number)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Tx> {
        Some(Tx(self.wire.clone(), self.number))
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        let mut cable = self.wire.0.borrow_mut();
        cable.wakers[self.number] = Some(cx.waker().clone());
        if cable.plugged { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([2, 0, 0, 0, 0, self.number as u8])
    }
}
