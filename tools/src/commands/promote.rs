//! `stemma promote`: a customer shows the bank authentication material and gets a referral, as text and QR code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgGroup;
use serde::Serialize;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::Side;
use stemma_node_api::qr::Code;
use stemma_node_api::types::{PromotionView, ReferralView};

use crate::customer::{Customer, CustomerArgs, TypedSide};
use crate::error::{CliError, Exit};
use crate::files;
use crate::output::{Output, pairs};
use crate::promotion::{PreparedPromotion, Promoted, prepare_promotion, until_answered, verify_referral};
use crate::requests::{random, refusal_rows, verify_refusal};

/// The files' name in a folder, before the dot.
const NAME: &str = "referral";

/// Arguments of `stemma promote`.
#[derive(Debug, clap::Args)]
#[command(
    group(ArgGroup::new("end").args(["blocks", "expires"])),
    after_help = "Exit codes: 0 referred, 1 refused, 2 wrong usage, 3 files or network.\n\n\
    Example:\n  stemma promote --node http://127.0.0.1:8101 --key alice.pem --account 4be1… \
--identity image=face.png --instrument broker-a/AAPL --side buy --uses 100 --out referral/\n  \
stemma trade buy … --instrument broker-a/AAPL --quantity 10 --referral referral/referral.png"
)]
pub struct Args {
    #[command(flatten)]
    customer: CustomerArgs,
    /// The instrument to promote, written issuer/CODE
    #[arg(long)]
    instrument: InstrumentId,
    /// Promote buying or selling alone [default: both]
    #[arg(long)]
    side: Option<TypedSide>,
    /// How many trades may carry the referral
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    uses: u32,
    /// For how many blocks from now it holds [default: 100000]
    #[arg(long, value_name = "N")]
    blocks: Option<u64>,
    /// The last height at which a trade that carries it may commit
    #[arg(long, value_name = "HEIGHT")]
    expires: Option<u64>,
    /// Write the code to a file whose name ends in .png, .svg or .txt, or all three into a folder
    #[arg(long, value_name = "DIR|FILE")]
    out: Option<PathBuf>,
    /// Overwrite files that are there
    #[arg(long, requires = "out")]
    force: bool,
}

/// How long a referral holds where nothing is said, in blocks.
const BLOCKS: u64 = 100_000;

/// What the code is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Png,
    Svg,
    Txt,
}

/// What happened.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    promotion: PromotionView,
    /// Version of the QR code, 1 to 40.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_version: Option<i16>,
    /// What was written.
    files: Vec<PathBuf>,
}

/// Runs `stemma promote`.
///
/// # Errors
/// The promotion makes no sense, the key can't be opened, or the node fails; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    if !args.customer.identity.has_material() {
        let help = "write --identity image=FILE; or audio, video, national-id, totp or password instead of image";
        return Err(CliError::usage("a promotion needs authentication material").help(help));
    }
    let files = args.out.as_deref().map_or(Ok(Vec::new()), files_of)?;
    // Before the bank is asked: what it answers should find its place.
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists() && !args.force) {
        return Err(CliError::files(format!("{} exists and is not overwritten", path.display()))
            .help("choose another file, or replace this one for good with --force"));
    }
    let customer = args.customer.ready(output).await?;
    let prepared = signed(&args, &customer).await?;
    let view = until_answered(&customer.client, &prepared, customer.limit).await?;
    if let Some(refusal) = &view.refusal {
        verify_refusal(refusal, &prepared.link, &customer.account.bank, &customer.genesis)?;
        let mut rows = vec![("Refused", format!("the promotion of {}, by {}", args.instrument, refusal.member))];
        rows.extend(refusal_rows(refusal));
        rows.push(("Signature", "verified".to_owned()));
        output.data(&Report { promotion: view, qr_version: None, files: Vec::new() }, &pairs(&rows))?;
        return Ok(Exit::No.into());
    }
    let Some(referral) = view.referral.clone() else {
        return Err(CliError::network("the node answered neither with a referral nor with a refusal"));
    };
    let text = verify_referral(&referral, &prepared, &customer.genesis)?;
    let code = Code::of(&text).map_err(|error| CliError::network("the referral fits no code").caused_by(&error))?;
    for (path, form) in &files {
        files::write(path, &written(&code, &text, *form)?, files::MODE_PUBLIC, args.force)?;
    }
    let paths: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
    let shown = shown(&referral, &code, &paths);
    output.data(&Report { promotion: view, qr_version: Some(code.version()), files: paths }, &shown)?;
    Ok(Exit::Yes.into())
}

/// What is asked for, signed with the account's key.
async fn signed(args: &Args, customer: &Customer) -> Result<PreparedPromotion, CliError> {
    let expires = match args.expires {
        Some(height) => height,
        None => customer.client.status().await?.height.saturating_add(args.blocks.unwrap_or(BLOCKS)),
    };
    let promoted = Promoted {
        network: customer.genesis.network(),
        account: args.customer.account,
        bank: customer.bank.clone(),
        counter: customer.counter,
        side: args.side.map(Side::from),
        instrument: args.instrument.clone(),
        uses: args.uses,
        expires,
    };
    prepare_promotion(promoted, customer.key.signing_key(), &customer.identities, &random()?)
        .map_err(|violation| CliError::usage("the promotion is not valid").caused_by(&violation))
}

/// The files to write, each with its form.
fn files_of(out: &Path) -> Result<Vec<(PathBuf, Form)>, CliError> {
    let forms = [("png", Form::Png), ("svg", Form::Svg), ("txt", Form::Txt)];
    let is_folder = out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
    if is_folder {
        return Ok(forms.map(|(ending, form)| (out.join(format!("{NAME}.{ending}")), form)).into());
    }
    let ending = out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let form = forms.into_iter().find(|(known, _)| *known == ending).map(|(_, form)| form);
    let wrong = || {
        CliError::usage(format!("{} is neither a folder nor a .png, .svg or .txt file", out.display()))
            .help("end a folder's name with a slash")
    };
    Ok(vec![(out.to_owned(), form.ok_or_else(wrong)?)])
}

fn written(code: &Code, text: &str, form: Form) -> Result<Vec<u8>, CliError> {
    Ok(match form {
        Form::Png => code.png().map_err(|error| CliError::files("the code cannot be drawn").caused_by(&error))?,
        Form::Svg => code.svg().into_bytes(),
        Form::Txt => format!("{}\n{text}\n", code.terminal()).into_bytes(),
    })
}

/// For people; the code itself where it is in no file.
fn shown(referral: &ReferralView, code: &Code, files: &[PathBuf]) -> String {
    let side = referral.side.clone().unwrap_or_else(|| "buy or sell".to_owned());
    let mut rows = vec![
        ("Referred", format!("to {side} {}", referral.instrument)),
        ("Promoter", referral.promoter.clone()),
        ("Bank", format!("{}, signature verified", referral.bank)),
        ("Uses", referral.uses.to_string()),
        ("Expires", format!("after height {}", referral.expires)),
        ("Referral", referral.referral.clone()),
        ("Text", referral.text.clone()),
    ];
    rows.extend(files.iter().map(|path| ("Written", path.display().to_string())));
    let drawn = if files.is_empty() { format!("\n{}", code.terminal()) } else { String::new() };
    format!("{}{drawn}", pairs(&rows))
}
