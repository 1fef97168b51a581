//! Snapshots: a part that completes the state is the state.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("snapshot", stemma_fuzz::blocks::snapshot), |bytes: &[u8]| {
    stemma_fuzz::blocks::snapshot(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    stemma_fuzz::mutate::mutate(data, size, max_size, seed)
});
