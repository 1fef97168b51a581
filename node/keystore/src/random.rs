//! The operating system's randomness for libraries whose random numbers can't fail.

use std::convert::Infallible;

/// A source that notes a failure instead of panicking. What was made with it is used only if [`SystemRandom::result`] is well.
#[derive(Debug, Default)]
pub(crate) struct SystemRandom {
    failed: Option<getrandom::Error>,
}

impl SystemRandom {
    /// Whether everything that was drawn was random.
    pub fn result(self) -> Result<(), getrandom::Error> {
        self.failed.map_or(Ok(()), Err)
    }
}

impl rand_core::TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        if let Err(error) = getrandom::fill(bytes) {
            self.failed = Some(error);
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for SystemRandom {}
