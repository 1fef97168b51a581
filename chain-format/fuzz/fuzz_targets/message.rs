//! What nodes tell each other, and what they log, to agree on blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("message", stemma_fuzz::messages::message), |bytes: &[u8]| {
    stemma_fuzz::messages::message(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    stemma_fuzz::mutate::mutate(data, size, max_size, seed)
});
