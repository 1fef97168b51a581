//! Prices, customers and orders: given by flags, kept in the folder, or the ones that come with the tool.

use std::path::{Path, PathBuf};

use super::Options;
use super::customers::{self, Customer};
use super::layout::Folder;
use super::orders::Orders;
use super::prices::Prices;
use super::state::State;
use crate::error::CliError;
use crate::files;

const DEFAULT_PRICES: &str = include_str!("../../../tests/data/prices.csv");
const DEFAULT_CUSTOMERS: &str = include_str!("../../../tests/data/customers.csv");
const DEFAULT_ORDERS: &str = include_str!("../../../tests/data/orders.csv");

/// Everything that the replay is made of.
#[derive(Debug)]
pub struct Inputs {
    /// The prices.
    pub prices: Prices,
    /// The price file's text.
    pub prices_text: String,
    /// The customers.
    pub customers: Vec<Customer>,
    /// The customers file's text.
    pub customers_text: String,
    /// The orders.
    pub orders: Orders,
    orders_text: String,
}

/// A file's name for people, and its text.
struct Source {
    name: String,
    text: String,
}

impl Source {
    /// The given file, else the folder's, else the default.
    fn find(given: Option<&PathBuf>, kept: &Path, default: (&str, &str)) -> Result<Self, CliError> {
        let path = given.map(PathBuf::as_path).or_else(|| kept.is_file().then_some(kept));
        match path {
            Some(path) => Ok(Self { name: path.display().to_string(), text: files::read_text(path)? }),
            None => Ok(Self { name: format!("the built-in {}", default.0), text: default.1.to_owned() }),
        }
    }
}

/// Reads the files that flags name, so that a wrong one is told before the folder is made.
///
/// # Errors
/// One can't be read, or a line is wrong.
pub fn check_given(options: &Options) -> Result<(), CliError> {
    parse(options, &|_| PathBuf::new()).map(drop)
}

impl Inputs {
    /// Reads all files. Those in the folder count where no flag names another, and if the sandbox was made.
    ///
    /// # Errors
    /// One can't be read, or a line is wrong.
    pub fn read(options: &Options, folder: &Folder) -> Result<Self, CliError> {
        if !folder.state().is_file() {
            return parse(options, &|_| PathBuf::new());
        }
        parse(options, &|which| match which {
            Which::Prices => folder.prices(),
            Which::Customers => folder.customers(),
            Which::Orders => folder.orders(),
        })
    }

    /// Requires that the files fit what the sandbox was made with.
    ///
    /// # Errors
    /// Other prices or customers, or other orders before the ones begun are finished.
    pub fn admit(&self, state: &State) -> Result<(), CliError> {
        let other = |what: &str| {
            CliError::usage(format!("this sandbox was made with other {what}"))
                .help(format!("leave the flag out to go on with them, or make a new sandbox with --dir: {what} stay"))
        };
        if blake3::hash(self.prices_text.as_bytes()).to_hex().as_str() != state.prices {
            return Err(other("prices"));
        }
        let is_same = self.customers.len() == state.customers.len()
            && self.customers.iter().all(|customer| {
                let known = state.customers.get(&customer.name);
                known.is_some_and(|known| known.bank == customer.bank && known.cash == customer.cash.to_string())
            });
        if !is_same {
            return Err(other("customers"));
        }
        let replay = &state.replay;
        if !replay.orders.is_empty() && replay.orders != self.orders_digest() && !replay.is_finished {
            return Err(CliError::usage("this sandbox is in the middle of other orders")
                .help("leave --orders out to finish them first, or make a new sandbox with --dir"));
        }
        Ok(())
    }

    /// BLAKE3 of the orders file.
    pub fn orders_digest(&self) -> String {
        blake3::hash(self.orders_text.as_bytes()).to_hex().to_string()
    }

    /// Keeps the orders in the folder, so that the sandbox goes on with them without a flag.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn keep_orders(&self, folder: &Folder) -> Result<(), CliError> {
        files::write(&folder.orders(), self.orders_text.as_bytes(), files::MODE_PUBLIC, true)
    }
}

#[derive(Clone, Copy)]
enum Which {
    Prices,
    Customers,
    Orders,
}

fn parse(options: &Options, kept: &dyn Fn(Which) -> PathBuf) -> Result<Inputs, CliError> {
    let prices_at = Source::find(options.prices.as_ref(), &kept(Which::Prices), ("prices", DEFAULT_PRICES))?;
    let customers_at =
        Source::find(options.customers.as_ref(), &kept(Which::Customers), ("customers", DEFAULT_CUSTOMERS))?;
    let orders_at = Source::find(options.orders.as_ref(), &kept(Which::Orders), ("orders", DEFAULT_ORDERS))?;
    let prices = Prices::parse(&prices_at.name, &prices_at.text)?;
    Ok(Inputs {
        customers: customers::parse(&customers_at.name, &customers_at.text)?,
        orders: Orders::parse(&orders_at.name, &orders_at.text, &prices)?,
        prices,
        prices_text: prices_at.text,
        customers_text: customers_at.text,
        orders_text: orders_at.text,
    })
}
