//! Registers of the LAN9118 (at 0x4020_0000), by programmed I/O.

use crate::reg::Reg;

/// Largest frame without its checksum.
pub(super) const MTU: usize = 1514;
/// A buffer for one frame, in whole words.
pub(super) const FRAME: usize = 1536;

const BASE: usize = 0x4020_0000;
const RX_DATA: Reg = Reg::at(BASE);
const TX_DATA: Reg = Reg::at(BASE + 0x20);
const RX_STATUS: Reg = Reg::at(BASE + 0x40);
const TX_STATUS: Reg = Reg::at(BASE + 0x48);
const IRQ_CFG: Reg = Reg::at(BASE + 0x54);
const INT_STS: Reg = Reg::at(BASE + 0x58);
const INT_EN: Reg = Reg::at(BASE + 0x5c);
const BYTE_TEST: Reg = Reg::at(BASE + 0x64);
const FIFO_INT: Reg = Reg::at(BASE + 0x68);
const RX_CFG: Reg = Reg::at(BASE + 0x6c);
const TX_CFG: Reg = Reg::at(BASE + 0x70);
const HW_CFG: Reg = Reg::at(BASE + 0x74);
const RX_FIFO_INF: Reg = Reg::at(BASE + 0x7c);
const TX_FIFO_INF: Reg = Reg::at(BASE + 0x80);
const MAC_COMMAND: Reg = Reg::at(BASE + 0xa4);
const MAC_DATA: Reg = Reg::at(BASE + 0xa8);

/// `INT_STS`, `INT_EN`: a frame was received.
const RX_LEVEL: u32 = 1 << 3;
/// `INT_STS`, `INT_EN`: the PHY has something to say.
const PHY: u32 = 1 << 18;

/// Registers of the MAC, behind `MAC_COMMAND`.
const MAC_CONTROL: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;
const MII_ACCESS: u32 = 6;
const MII_DATA: u32 = 7;

/// Registers of the PHY, behind `MII_ACCESS`.
const PHY_STATUS: u32 = 1;
const PHY_INTERRUPT: u32 = 29;
const PHY_MASK: u32 = 30;

/// Resets the chip and switches it on. Returns its address; `None` when there is no chip.
pub(super) fn start() -> Option<[u8; 6]> {
    const SOFT_RESET: u32 = 1;
    // A bit that must be set, and 5 KiB of the memory for sending.
    const TX_FIFO_5K: u32 = 0x0005_0000;
    const TX_ON: u32 = 1 << 1;
    const FULL_DUPLEX: u32 = 1 << 20;
    const TX_ENABLE: u32 = 1 << 3;
    const RX_ENABLE: u32 = 1 << 2;
    // Push-pull, active high, enabled.
    const IRQ_PIN: u32 = (1 << 8) | (1 << 4) | 1;
    if BYTE_TEST.read() != 0x8765_4321 {
        return None;
    }
    HW_CFG.write(SOFT_RESET);
    while HW_CFG.read() & SOFT_RESET != 0 {}
    HW_CFG.write(TX_FIFO_5K);
    let low = mac_read(MAC_ADDRESS_LOW).to_le_bytes();
    let high = mac_read(MAC_ADDRESS_HIGH).to_le_bytes();
    RX_CFG.write(0);
    TX_CFG.write(TX_ON);
    mac_write(MAC_CONTROL, FULL_DUPLEX | TX_ENABLE | RX_ENABLE);
    // Level 0: interrupt for every frame.
    FIFO_INT.write(0);
    // Link down; autonegotiation complete, which is how a link comes up.
    mii_write(PHY_MASK, (1 << 4) | (1 << 6));
    INT_STS.write(u32::MAX);
    IRQ_CFG.write(IRQ_PIN);
    listen();
    Some([low[0], low[1], low[2], low[3], high[0], high[1]])
}

/// Lets the chip interrupt for the next frame or a change of the cable.
pub(super) fn listen() {
    INT_STS.write(RX_LEVEL);
    INT_EN.write(RX_LEVEL | PHY);
}

/// Forbids all interrupts of the chip.
pub(super) fn hush() {
    INT_EN.write(0);
}

/// The PHY has noticed a change since this was last asked.
pub(super) fn cable_changed() -> bool {
    let changed = INT_STS.read() & PHY != 0;
    if changed {
        // Reading the cause clears it.
        mii_read(PHY_INTERRUPT);
        INT_STS.write(PHY);
    }
    changed
}

pub(super) fn has_cable() -> bool {
    const LINK: u32 = 1 << 2;
    mii_read(PHY_STATUS) & LINK != 0
}

pub(super) fn frame_waiting() -> bool {
    (RX_FIFO_INF.read() >> 16) & 0xff != 0
}

/// Takes the oldest frame; returns its length without the checksum. What is longer than `buffer` is
/// cut.
pub(super) fn receive(buffer: &mut [u8; FRAME]) -> usize {
    const CHECKSUM: usize = 4;
    let length = (RX_STATUS.read() >> 16) as usize & 0x3fff;
    let mut words = buffer.chunks_exact_mut(4);
    for _ in 0..length.div_ceil(4) {
        let word = RX_DATA.read();
        if let Some(target) = words.next() {
            target.copy_from_slice(&word.to_le_bytes());
        }
    }
    length.saturating_sub(CHECKSUM).min(FRAME)
}

/// There is room for a frame of any length.
pub(super) fn has_room() -> bool {
    TX_FIFO_INF.read() & 0xffff >= FRAME as u32 + 64
}

/// Sends the first `length` bytes of `buffer`.
pub(super) fn send(buffer: &[u8; FRAME], length: usize) {
    // The frame is one segment: the first and the last.
    const ONLY_SEGMENT: u32 = (1 << 13) | (1 << 12);
    TX_DATA.write(ONLY_SEGMENT | length as u32);
    TX_DATA.write(length as u32);
    for word in buffer[..length.next_multiple_of(4)].chunks_exact(4) {
        TX_DATA.write(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    while (TX_FIFO_INF.read() >> 16) & 0xff != 0 {
        TX_STATUS.read();
    }
    nudge_host();
}

/// Turns the emulator's main loop once.
///
/// The network behind the emulated NIC (slirp) looks at a socket that a frame made it open only when
/// that loop turns, up to a second later on an idle board. Any timer that is set turns it; this one
/// is of no other use and its interrupt is off, so the board sleeps on.
fn nudge_host() {
    const DUAL_TIMER: usize = 0x4000_2000;
    const LOAD: Reg = Reg::at(DUAL_TIMER);
    const CONTROL: Reg = Reg::at(DUAL_TIMER + 8);
    // Enabled, 32 bits, once.
    CONTROL.write(0);
    LOAD.write(crate::clock::SYSTEM_HZ / 1000);
    CONTROL.write((1 << 7) | (1 << 1) | 1);
}

const BUSY: u32 = 1 << 31;

fn mac_write(register: u32, value: u32) {
    MAC_DATA.write(value);
    MAC_COMMAND.write(BUSY | register);
    while MAC_COMMAND.read() & BUSY != 0 {}
}

fn mac_read(register: u32) -> u32 {
    const READ: u32 = 1 << 30;
    MAC_COMMAND.write(BUSY | READ | register);
    while MAC_COMMAND.read() & BUSY != 0 {}
    MAC_DATA.read()
}

/// The PHY inside the chip has address 1.
const PHY_ADDRESS: u32 = 1 << 11;
const MII_BUSY: u32 = 1;

fn mii_read(register: u32) -> u32 {
    mac_write(MII_ACCESS, PHY_ADDRESS | (register << 6) | MII_BUSY);
    while mac_read(MII_ACCESS) & MII_BUSY != 0 {}
    mac_read(MII_DATA)
}

fn mii_write(register: u32, value: u32) {
    const WRITE: u32 = 1 << 1;
    mac_write(MII_DATA, value);
    mac_write(MII_ACCESS, PHY_ADDRESS | (register << 6) | WRITE | MII_BUSY);
    while mac_read(MII_ACCESS) & MII_BUSY != 0 {}
}
