//! Signed records of every kind.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("record", stemma_fuzz::records::record), |bytes: &[u8]| {
    stemma_fuzz::records::record(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    stemma_fuzz::mutate::mutate(data, size, max_size, seed)
});
