//! See [`everlink_fuzz::sn_decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| everlink_fuzz::sn_decode::run(data));
