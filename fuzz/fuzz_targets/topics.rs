//! See [`everlink_fuzz::topics`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| everlink_fuzz::topics::run(data));
