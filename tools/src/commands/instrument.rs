//! `stemma instrument`: the catalogue: what is listed, on what terms, and how its issuer lists and changes it.

use std::process::ExitCode;

use clap::{ArgAction, Subcommand, ValueEnum};
use stemma_chain_format::amount::{Amount, parse_decimal};
use stemma_node_api::catalogue::{ChangeListing, HoursView, InstrumentView, ListInstrument, MarginView, TermsView};

use crate::error::{CliError, Exit};
use crate::node::{NodeArgs, OperatorArgs};
use crate::output::{Output, pairs};
use crate::units::{parse_not_negative, parse_positive};

/// Arguments of `stemma instrument`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma instrument list --node http://127.0.0.1:8103\n  \
    stemma instrument change ACME --status suspended --node http://127.0.0.1:8103 --operator-token-file operator.token")]
pub struct Args {
    #[command(subcommand)]
    command: InstrumentCommand,
}

#[derive(Debug, Subcommand)]
enum InstrumentCommand {
    /// Show what is listed on the ledger
    #[command(after_help = "Example:\n  stemma instrument list --node http://127.0.0.1:8103")]
    List(NodeArgs),
    /// Show one instrument with its terms
    #[command(after_help = "Example:\n  stemma instrument show broker-a/ACME --node http://127.0.0.1:8103")]
    Show(ShowArgs),
    /// List an instrument, as the operator of its issuer
    #[command(
        after_help = "Example:\n  stemma instrument add ACME --kind stock --name 'Acme Industries' --quoted-in USD \
--isin US0378331005 --lot 10 --fee-buy 25 --fee-sell 25 --fee-least 1.00 --zone America/New_York \
--session 'mon-fri 09:30-16:00' --holiday 2026-12-25 --risk-class 4 \
--node http://127.0.0.1:8103 --operator-token-file operator.token"
    )]
    Add(AddArgs),
    /// Change an instrument's name, ISIN, status or terms, as the operator of its issuer
    #[command(after_help = "Example:\n  stemma instrument change ACME --status suspended \
--node http://127.0.0.1:8103 --operator-token-file operator.token")]
    Change(ChangeArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The instrument, written issuer/CODE
    instrument: String,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// The code, unique to the issuer
    code: String,
    /// What kind of thing it is
    #[arg(long)]
    kind: Kind,
    /// The name people know it by
    #[arg(long)]
    name: String,
    /// Decimal places of one whole unit
    #[arg(long, value_name = "N", default_value_t = 0)]
    decimals: u8,
    /// The currency its prices are in; not for a currency
    #[arg(long, value_name = "CURRENCY")]
    quoted_in: Option<String>,
    /// Its number by ISO 6166
    #[arg(long)]
    isin: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// The code
    code: String,
    /// Whether it is traded: open, suspended (neither bought nor sold), closed (only sold)
    #[arg(long)]
    status: Option<Status>,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// Another number by ISO 6166
    #[arg(long)]
    isin: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Currency,
    Fund,
    Stock,
    Future,
    Trust,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    Open,
    Suspended,
    Closed,
}

/// Terms of trade; what is not given stays as it is, or has its default.
#[derive(Debug, clap::Args)]
struct TermsArgs {
    /// A quantity is a multiple of this, in whole units
    #[arg(long, value_name = "N")]
    lot: Option<String>,
    /// The least quantity of a trade, in whole units; `none` for no bound
    #[arg(long, value_name = "N")]
    min: Option<String>,
    /// The largest quantity of a trade, in whole units; `none` for no bound
    #[arg(long, value_name = "N")]
    max: Option<String>,
    /// The fee of a purchase, in basis points of its cost
    #[arg(long, value_name = "BASIS-POINTS")]
    fee_buy: Option<u16>,
    /// The fee of a sale, in basis points of its proceeds
    #[arg(long, value_name = "BASIS-POINTS")]
    fee_sell: Option<u16>,
    /// The least fee of a trade, in whole units of a currency with two decimals
    #[arg(long, value_name = "AMOUNT")]
    fee_least: Option<String>,
    /// The time zone of the trading hours, by its name in the IANA database
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// A session of the week, such as 'mon-fri 09:30-16:00'; may be repeated
    #[arg(long, value_name = "SESSION", action = ArgAction::Append)]
    session: Vec<String>,
    /// A day without a session, such as 2026-12-25; may be repeated
    #[arg(long, value_name = "DAY", action = ArgAction::Append)]
    holiday: Vec<String>,
    /// Trade at any time
    #[arg(long, conflicts_with_all = ["zone", "session", "holiday"])]
    any_time: bool,
    /// The lowest credit level that may buy it
    #[arg(long, value_name = "LEVEL")]
    level: Option<u8>,
    /// The product's class of risk, 1 (lowest) to 7
    #[arg(long, value_name = "CLASS")]
    risk_class: Option<u8>,
    /// For so many days after a purchase what was bought is not sold
    #[arg(long, value_name = "DAYS")]
    lock_up: Option<u16>,
    #[command(flatten)]
    dealing: DealingArgs,
}

/// How an instrument is dealt in; that never changes, the margins of a future may.
#[derive(Debug, clap::Args)]
struct DealingArgs {
    /// Take orders now and execute them at the next price: for funds and trusts
    #[arg(long, conflicts_with_all = ["initial_margin", "maintenance_margin", "call"])]
    forward: bool,
    /// What a futures position puts up, in basis points of its value
    #[arg(long, value_name = "BASIS-POINTS")]
    initial_margin: Option<u16>,
    /// Below this, in basis points of its value, more margin is called for; the initial margin, if not given
    #[arg(long, value_name = "BASIS-POINTS")]
    maintenance_margin: Option<u16>,
    /// How long a margin call stands before the position may be closed out, in seconds; a day, if not given
    #[arg(long, value_name = "SECONDS")]
    call: Option<u32>,
}

impl DealingArgs {
    fn is_given(&self) -> bool {
        let margins = self.initial_margin.is_some() || self.maintenance_margin.is_some();
        self.forward || margins || self.call.is_some()
    }

    fn onto(&self, terms: &mut TermsView) -> Result<(), CliError> {
        if self.forward {
            terms.dealing = "forward".to_owned();
            return Ok(());
        }
        if !self.is_given() {
            return Ok(());
        }
        let before = terms.margin.take();
        let initial = self.initial_margin.or(before.as_ref().map(|margin| margin.initial_basis_points));
        let initial_basis_points = initial.ok_or_else(|| {
            CliError::usage("a future needs an initial margin").help("give --initial-margin, such as 1200 for 12 %")
        })?;
        let maintenance = self.maintenance_margin.or(before.as_ref().map(|margin| margin.maintenance_basis_points));
        let call = self.call.or(before.map(|margin| margin.call_s));
        terms.dealing = "margin".to_owned();
        terms.margin = Some(MarginView {
            initial_basis_points,
            maintenance_basis_points: maintenance.unwrap_or(initial_basis_points),
            call_s: call.unwrap_or(DAY_S),
        });
        Ok(())
    }
}

/// A day, in seconds.
const DAY_S: u32 = 86_400;

/// Decimals of the cash in which a least fee is written on the command line.
const FEE_DECIMALS: u8 = 2;

/// Runs `stemma instrument`.
///
/// # Errors
/// What was typed makes no sense, the node can't be reached or refuses; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        InstrumentCommand::List(node) => {
            let listed = node.client()?.instruments().await?;
            output.data(&listed, &table(&listed))?;
        }
        InstrumentCommand::Show(ShowArgs { instrument, node }) => {
            let view = find(node.client()?.instruments().await?, &instrument)?;
            output.data(&view, &pairs(&rows(&view)))?;
        }
        InstrumentCommand::Add(args) => add(args, output).await?,
        InstrumentCommand::Change(args) => change(args, output).await?,
    }
    Ok(Exit::Yes.into())
}

async fn add(args: AddArgs, output: &Output) -> Result<(), CliError> {
    let client = args.operator.client()?;
    let terms = args.terms.onto(TermsView::default(), args.decimals)?;
    let currency = matches!(args.kind, Kind::Currency);
    if currency && args.terms.is_given() {
        return Err(CliError::usage("a currency has no terms of trade").help("leave lot, fees, hours and the like out"));
    }
    let body = ListInstrument {
        code: args.code,
        kind: format!("{:?}", args.kind).to_lowercase(),
        decimals: args.decimals,
        name: args.name,
        quoted_in: args.quoted_in,
        isin: args.isin,
        terms: (!currency).then_some(terms),
    };
    let committed = client.list_instrument(&body).await?;
    let rows =
        [("Listed", body.code.clone()), ("Listing", committed.id.clone()), ("Height", committed.height.to_string())];
    output.data(&committed, &pairs(&rows))
}

async fn change(args: ChangeArgs, output: &Output) -> Result<(), CliError> {
    let client = args.operator.client()?;
    let terms = if args.terms.is_given() {
        let own = client.status().await?.member;
        let view = find(client.instruments().await?, &format!("{own}/{}", args.code))?;
        Some(args.terms.onto(view.terms.unwrap_or_default(), view.decimals)?)
    } else {
        None
    };
    let status = args.status.map(|status| format!("{status:?}").to_lowercase());
    let body = ChangeListing { name: args.name, isin: args.isin, status, terms };
    if body == ChangeListing::default() {
        return Err(CliError::usage("there is nothing to change").help("give a status, a name, an ISIN or terms"));
    }
    let committed = client.change_listing(&args.code, &body).await?;
    let rows = [("Changed", args.code), ("Listing", committed.id.clone()), ("Height", committed.height.to_string())];
    output.data(&committed, &pairs(&rows))
}

impl TermsArgs {
    fn is_given(&self) -> bool {
        let Self { lot, min, max, fee_buy, fee_sell, fee_least, zone, session, holiday, .. } = self;
        let texts = [lot, min, max, fee_least, zone].into_iter().any(Option::is_some);
        let numbers = fee_buy.is_some() || fee_sell.is_some() || self.lock_up.is_some();
        let levels = self.level.is_some() || self.risk_class.is_some();
        let dealing = self.dealing.is_given();
        texts || numbers || levels || dealing || self.any_time || !session.is_empty() || !holiday.is_empty()
    }

    /// The terms with what was given in the place of what they have.
    fn onto(&self, mut terms: TermsView, decimals: u8) -> Result<TermsView, CliError> {
        if let Some(lot) = &self.lot {
            terms.lot = parse_positive(lot, decimals, "the lot")?.to_string();
        }
        for (given, bound, what) in [
            (&self.min, &mut terms.quantity_min, "the least quantity"),
            (&self.max, &mut terms.quantity_max, "the largest quantity"),
        ] {
            match given.as_deref() {
                Some("none") => *bound = None,
                Some(text) => *bound = Some(parse_positive(text, decimals, what)?.to_string()),
                None => {}
            }
        }
        terms.fee_buy_basis_points = self.fee_buy.unwrap_or(terms.fee_buy_basis_points);
        terms.fee_sell_basis_points = self.fee_sell.unwrap_or(terms.fee_sell_basis_points);
        if let Some(least) = &self.fee_least {
            terms.fee_least = parse_not_negative(least, FEE_DECIMALS, "the least fee")?.to_string();
        }
        terms.hours = self.hours(terms.hours)?;
        terms.credit_level_min = self.level.unwrap_or(terms.credit_level_min);
        terms.risk_class = self.risk_class.unwrap_or(terms.risk_class);
        terms.lock_up_days = self.lock_up.unwrap_or(terms.lock_up_days);
        self.dealing.onto(&mut terms)?;
        Ok(terms)
    }

    fn hours(&self, before: Option<HoursView>) -> Result<Option<HoursView>, CliError> {
        if self.any_time {
            return Ok(None);
        }
        if self.zone.is_none() && self.session.is_empty() && self.holiday.is_empty() {
            return Ok(before);
        }
        let kept = before.unwrap_or(HoursView { zone: String::new(), sessions: Vec::new(), holidays: Vec::new() });
        let zone = self.zone.clone().unwrap_or(kept.zone);
        let or_kept = |given: &Vec<String>, kept| if given.is_empty() { kept } else { given.clone() };
        let (sessions, holidays) = (or_kept(&self.session, kept.sessions), or_kept(&self.holiday, kept.holidays));
        if zone.is_empty() || sessions.is_empty() {
            return Err(CliError::usage("trading hours need a time zone and at least one session")
                .help("give --zone Europe/Zurich --session 'mon-fri 09:00-17:30'"));
        }
        Ok(Some(HoursView { zone, sessions, holidays }))
    }
}

fn find(listed: Vec<InstrumentView>, name: &str) -> Result<InstrumentView, CliError> {
    listed
        .into_iter()
        .find(|view| view.instrument == name)
        .ok_or_else(|| CliError::no(format!("{name} is not listed")).help("`stemma instrument list` shows what is"))
}

fn table(listed: &[InstrumentView]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["instrument", "kind", "status", "quoted in", "ISIN", "name"]);
    for view in listed {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.add_row([
            view.instrument.clone(),
            view.kind.clone(),
            view.status.clone(),
            or_dash(&view.quoted_in),
            or_dash(&view.isin),
            view.name.clone(),
        ]);
    }
    format!("{table}\n")
}

fn rows(view: &InstrumentView) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("Instrument", view.instrument.clone()),
        ("Name", view.name.clone()),
        ("Kind", view.kind.clone()),
        ("Status", view.status.clone()),
        ("Decimals", view.decimals.to_string()),
    ];
    rows.extend(view.quoted_in.clone().map(|currency| ("Quoted in", currency)));
    rows.extend(view.isin.clone().map(|isin| ("ISIN", isin)));
    if let Some(terms) = &view.terms {
        let units = |text: &str| match parse_decimal(text, 0) {
            Ok(amount) => stemma_chain_format::amount::decimal(amount.units(), view.decimals),
            Err(_) => text.to_owned(),
        };
        rows.push(("Lot", units(&terms.lot)));
        rows.extend(terms.quantity_min.as_deref().map(|least| ("Least", units(least))));
        rows.extend(terms.quantity_max.as_deref().map(|most| ("Largest", units(most))));
        let least = terms.fee_least.parse::<Amount>().map(Amount::units).unwrap_or_default();
        let least = stemma_chain_format::amount::decimal(least, FEE_DECIMALS);
        let (buy, sell) = (terms.fee_buy_basis_points, terms.fee_sell_basis_points);
        rows.push(("Fees", format!("{buy} basis points to buy, {sell} to sell, at least {least}")));
        let hours = terms
            .hours
            .as_ref()
            .map_or("at any time".to_owned(), |hours| format!("{}, {}", hours.sessions.join(", "), hours.zone));
        rows.push(("Hours", hours));
        if let Some(hours) = terms.hours.as_ref().filter(|hours| !hours.holidays.is_empty()) {
            rows.push(("Holidays", hours.holidays.join(", ")));
        }
        rows.push(("Credit level", terms.credit_level_min.to_string()));
        rows.push(("Risk class", terms.risk_class.to_string()));
        rows.push(("Lock-up", format!("{} days", terms.lock_up_days)));
        rows.push((
            "Dealt in",
            match (&terms.margin, terms.dealing.as_str()) {
                (Some(MarginView { initial_basis_points, maintenance_basis_points, call_s }), _) => format!(
                    "on margin: {initial_basis_points} basis points, at least {maintenance_basis_points} at a mark, \
                     calls of {call_s} s"
                ),
                (None, "forward") => "at the next price".to_owned(),
                (None, _) => "at once".to_owned(),
            },
        ));
    }
    rows.push(("Listing", view.listing.clone()));
    rows
}
