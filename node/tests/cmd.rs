//! Transcripts: each file in `tests/cmd` is run and compared. `TRYCMD=overwrite` writes them anew.
//! Standard output and standard error are interleaved there, as on a terminal.

#[test]
fn transcripts() {
    // Colours would show only in the transcripts of who has them; a configuration in the environment would be taken.
    trycmd::TestCases::new().env("NO_COLOR", "1").env("STEMMA_CONFIG", "config.toml").case("tests/cmd/*.trycmd");
}
