//! Arithmetic of amounts and prices.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("amount", stemma_fuzz::texts::amount), |bytes: &[u8]| {
    stemma_fuzz::texts::amount(bytes);
});
