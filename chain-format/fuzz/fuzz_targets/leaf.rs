//! Leaves of the state tree, and proofs.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("leaf", stemma_fuzz::blocks::leaf), |bytes: &[u8]| {
    stemma_fuzz::blocks::leaf(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    stemma_fuzz::mutate::mutate(data, size, max_size, seed)
});
