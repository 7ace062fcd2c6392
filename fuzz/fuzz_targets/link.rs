#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| streamium_fuzz::link::run(data));
