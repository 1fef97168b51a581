//! scrypt settings: ours when writing, limits when reading.

use pkcs8::pkcs5::pbes2::ScryptParams;
use pkcs8::pkcs5::scrypt::Params;

/// Memory that reading a file may ask for.
const MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Passes over that memory that reading a file may ask for.
const PARALLELIZATION_MAX: u16 = 16;

/// How costly a guess at the passphrase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScryptCost {
    /// N = 2^14, r = 8, p = 5: 16 MiB, some 0.2 s. The most that OpenSSL 3 reads with r = 8 is N = 2^14.
    Standard,
    /// N = 2^12, r = 8, p = 1: 4 MiB, some 10 ms. For sandboxes and tests only.
    Trial,
}

impl ScryptCost {
    pub(crate) fn params(self) -> Option<Params> {
        let (log_n, r, p) = match self {
            Self::Standard => (14, 8, 5),
            Self::Trial => (12, 8, 1),
        };
        Params::new(log_n, r, p).ok()
    }
}

/// Whether the settings of a file are sound and within the limits. The cost must be checked here:
/// the library underflows on N = 0 and allocates whatever N asks for.
pub(crate) fn is_acceptable(params: &ScryptParams) -> bool {
    let memory =
        params.cost_parameter.checked_mul(u64::from(params.block_size)).and_then(|blocks| blocks.checked_mul(128));
    params.cost_parameter >= 2
        && params.cost_parameter.is_power_of_two()
        && params.block_size >= 1
        && (1..=PARALLELIZATION_MAX).contains(&params.parallelization)
        && memory.is_some_and(|bytes| bytes <= MEMORY_BYTES_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn settings(n: u64, r: u16, p: u16) -> ScryptParams {
        let mut params = ScryptParams::from_params_and_salt(ScryptCost::Trial.params().unwrap(), &[0; 16]).unwrap();
        params.cost_parameter = n;
        params.block_size = r;
        params.parallelization = p;
        params
    }

    #[test]
    fn limits() {
        for (n, r, p) in [(2, 1, 1), (1 << 14, 8, 5), (1 << 18, 8, 16), (1 << 21, 1, 1)] {
            assert!(is_acceptable(&settings(n, r, p)), "{n} {r} {p}");
        }
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (1 << 14, 0, 1),
            (1 << 14, 8, 0),
            (1 << 14, 8, 17),
            (1 << 19, 8, 1),
            (1 << 63, u16::MAX, 1),
        ] {
            assert!(!is_acceptable(&settings(n, r, p)), "{n} {r} {p}");
        }
    }
}
