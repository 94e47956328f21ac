//! A clock and a network interface over [`REGISTER`].

use core::cell::RefCell;
use core::task::{Context, Waker};

use critical_section::Mutex;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_time_queue_utils::Queue;

use crate::board::REGISTER;

struct Clock(Mutex<RefCell<Queue>>);

embassy_time_driver::time_driver_impl!(
    static CLOCK: Clock = Clock(Mutex::new(RefCell::new(Queue::new())))
);

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        u64::from(REGISTER.read()) << 32 | u64::from(REGISTER.read())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let queue = &mut *self.0.borrow_ref_mut(cs);
            if queue.schedule_wake(at, waker) {
                REGISTER.write(queue.next_expiration(self.now()) as u32);
            }
        });
    }
}

pub(crate) struct Nic;

pub(crate) struct Frame;

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        let mut bytes = [0; 64];
        bytes.fill_with(|| REGISTER.read() as u8);
        f(&mut bytes)
    }
}

impl TxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = [0; 1514];
        let result = f(&mut bytes[..len.min(1514)]);
        bytes.iter().for_each(|byte| REGISTER.write((*byte).into()));
        result
    }
}

impl Driver for Nic {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Frame;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Frame, Frame)> {
        (REGISTER.read() != 0).then_some((Frame, Frame))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Frame> {
        (REGISTER.read() != 0).then_some(Frame)
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        if REGISTER.read() != 0 { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([2, 0, 0, 0, 0, 1])
    }
}
