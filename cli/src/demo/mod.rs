//! `everlink demo`: a broker in this process, a path that breaks in many ways, and an account of
//! every message.

#![allow(dead_code)] // until the client is wired in

mod broker;
mod ledger;
mod schedule;
mod verdict;
