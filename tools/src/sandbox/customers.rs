//! The customers file: columns `name,bank,cash`, one line for each customer.

use std::collections::BTreeSet;

use stemma_chain_format::amount::{Amount, parse_decimal};

use super::plan::{BANKS, CASH_DECIMALS};
use super::table::{self, required};
use crate::error::CliError;

/// Longest name of a customer, in characters.
const NAME_CHARS_MAX: usize = 32;

/// A customer to open an account for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Name in the orders file; also the name of the customer's files.
    pub name: String,
    /// The bank that keeps the account.
    pub bank: String,
    /// The cash that the account begins with, in smallest units.
    pub cash: Amount,
}

/// Reads a customers file's text.
///
/// # Errors
/// Names the line that is wrong.
pub fn parse(source: &str, text: &str) -> Result<Vec<Customer>, CliError> {
    let mut names = BTreeSet::new();
    let mut customers = Vec::new();
    for row in table::read(source, text, &[required("name"), required("bank"), required("cash")])? {
        let (name, bank, cash) = (row.field(0).to_owned(), row.field(1).to_owned(), row.field(2));
        if !is_name(&name) {
            return Err(
                row.mistake(format!("{name:?} is no name; write letters, digits, dots, hyphens and underscores"))
            );
        }
        if !names.insert(name.clone()) {
            return Err(row.mistake(format!("{name} is there twice")));
        }
        if !BANKS.contains(&bank.as_str()) {
            return Err(row.mistake(format!("{bank:?} is no bank of the sandbox; write {}", BANKS.join(" or "))));
        }
        let cash = parse_decimal(cash, CASH_DECIMALS).ok().filter(|cash| cash.is_positive());
        let cash = cash.ok_or_else(|| row.mistake("the cash is no amount above zero, such as 50000.00"))?;
        customers.push(Customer { name, bank, cash });
    }
    Ok(customers)
}

/// Whether a text can name a customer, and so a file.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_customers_and_names_bad_lines() {
        let customers = parse("c", "name,bank,cash\nalice,bank-a,50000.00\n").unwrap();
        let alice =
            Customer { name: "alice".to_owned(), bank: "bank-a".to_owned(), cash: Amount::new(5_000_000).unwrap() };
        assert_eq!(customers, [alice]);
        for bad in ["../x,bank-a,1", "bob,bank-c,1", "bob,bank-a,0", "bob,bank-a,1.234", "alice,bank-b,1", ",bank-a,1"]
        {
            let text = format!("name,bank,cash\nalice,bank-a,1\n{bad}\n");
            let error = parse("c", &text).unwrap_err();
            assert!(error.message().starts_with("c, line 3: "), "{bad}: {}", error.message());
        }
    }
}
