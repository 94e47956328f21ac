//! The core alone: time is an argument, the world around it a list.

mod delivery;
mod hostile;
mod publication;
mod restart;
mod supervision;
mod world;
