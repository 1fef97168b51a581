//! Bundles, read without being verified: whole and in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("form", stemma_fuzz::bundles::form), |bytes: &[u8]| {
    stemma_fuzz::bundles::form(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    stemma_fuzz::mutate::mutate(data, size, max_size, seed)
});
