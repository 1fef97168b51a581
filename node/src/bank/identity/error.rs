//! What can go wrong, told without a byte of what was shown.

/// Why an identity was not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No verifier for the type: the caller's fault.
    #[error("no verifier for the type {kind}; known: {known}")]
    UnknownType {
        /// The type asked for.
        kind: String,
        /// The types there are.
        known: String,
    },
    /// More evidence than its type takes: the caller's fault.
    #[error("evidence of the type {kind} has at most {bytes_max} bytes, found {bytes}")]
    TooLarge {
        /// The type.
        kind: &'static str,
        /// How much it was.
        bytes: usize,
        /// How much it may be.
        bytes_max: usize,
    },
    /// The evidence is none of its type, whoever it belongs to: the caller's fault.
    #[error("evidence of the type {kind} is {expected}")]
    Malformed {
        /// The type.
        kind: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Claim and evidence do not belong together, the evidence is not the enrolled one, or none is enrolled. Which of
    /// them is not told.
    #[error("the evidence does not match")]
    Mismatch,
    /// The stored verifier cannot be read: the bank's fault. It was sealed with another key, for another account, or
    /// was damaged.
    #[error("the stored verifier of the type {kind} does not open with the sealing key in use")]
    Damaged {
        /// The type.
        kind: &'static str,
    },
}

/// Why an identity was not enrolled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// No such type.
    #[error("no verifier for the type {kind}; known: {known}")]
    UnknownType {
        /// The type asked for.
        kind: String,
        /// The types there are.
        known: String,
    },
    /// The type needs no enrolment.
    #[error("the type {kind} needs no enrolment: every account has it")]
    Implied {
        /// The type.
        kind: &'static str,
    },
    /// More material than the type takes.
    #[error("material of the type {kind} has at most {bytes_max} bytes, found {bytes}")]
    TooLarge {
        /// The type.
        kind: &'static str,
        /// How much it was.
        bytes: usize,
        /// How much it may be.
        bytes_max: usize,
    },
    /// The material is not fit for the type.
    #[error("not enrolled as {kind}: {why}")]
    Unfit {
        /// The type.
        kind: &'static str,
        /// Why, in words that are the same for everybody.
        why: &'static str,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Random(#[source] getrandom::Error),
    /// The machine could not do the work.
    #[error("not enrolled as {kind}: out of memory")]
    Work {
        /// The type.
        kind: &'static str,
    },
}
