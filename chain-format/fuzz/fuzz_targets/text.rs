//! Texts of ids, keys, amounts, prices and referrals.
#![no_main]

libfuzzer_sys::fuzz_target!(init: stemma_fuzz::seeds::write("text", stemma_fuzz::texts::text), |bytes: &[u8]| {
    stemma_fuzz::texts::text(bytes);
});
