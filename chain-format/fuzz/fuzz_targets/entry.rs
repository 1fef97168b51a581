//! Entries: read, verified alone and among others, applied to a ledger.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("entry", stemma_fuzz::records::entry), |bytes: &[u8]| {
    stemma_fuzz::records::entry(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    stemma_fuzz::mutate::mutate(data, size, max_size, seed)
});
