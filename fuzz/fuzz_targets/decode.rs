//! See [`everlink_fuzz::decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| everlink_fuzz::decode::run(data));
