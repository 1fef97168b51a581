//! Genesis files, and the registries that they found.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("genesis", stemma_fuzz::records::genesis), |bytes: &[u8]| {
    stemma_fuzz::records::genesis(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    stemma_fuzz::mutate::mutate(data, size, max_size, seed)
});
