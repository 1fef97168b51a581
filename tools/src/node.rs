//! Calling a node: where it is, with which token, and what its errors mean to who typed the command.

use std::path::{Path, PathBuf};

use clap::Args;
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;
use stemma_node_api::{Client, ClientError, ErrorCode};

use crate::error::{CliError, Exit};
use crate::files;

/// Which node to call.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Address of the node's HTTP API, such as http://127.0.0.1:8101
    #[arg(long, value_name = "URL", env = "STEMMA_NODE")]
    pub node: String,
}

/// Which node to call as its operator.
#[derive(Clone, Debug, Args)]
pub struct OperatorArgs {
    /// Which node
    #[command(flatten)]
    pub node: NodeArgs,
    /// File whose first line is the operator's token
    #[arg(long, value_name = "FILE", env = "STEMMA_OPERATOR_TOKEN_FILE")]
    pub operator_token_file: PathBuf,
}

impl NodeArgs {
    /// A client of the node.
    ///
    /// # Errors
    /// The HTTP client can't be made.
    pub fn client(&self) -> Result<Client, CliError> {
        Ok(Client::new(self.node.clone())?)
    }
}

impl OperatorArgs {
    /// A client of the node that carries the operator's token.
    ///
    /// # Errors
    /// The token can't be read, or the HTTP client can't be made.
    pub fn client(&self) -> Result<Client, CliError> {
        Ok(self.node.client()?.with_token(files::read_token(&self.operator_token_file)?))
    }
}

/// Reads and checks a genesis file.
///
/// # Errors
/// It can't be read, or is no genesis file that all its founders signed.
pub fn read_genesis(path: &Path) -> Result<GenesisFile, CliError> {
    GenesisFile::decode(files::read(path)?)
        .map_err(|violation| broken(&format!("{} is no valid genesis file", path.display()), &violation))
}

/// The genesis that a client works with: the given file, which the node must share, or else the node's own.
///
/// # Errors
/// The file or the node's answer is no valid genesis, or the two differ.
pub async fn genesis_for(client: &Client, file: Option<&Path>) -> Result<GenesisFile, CliError> {
    let Some(path) = file else {
        return GenesisFile::decode(client.genesis().await?).map_err(|violation| {
            broken(&format!("the genesis of the node at {} is not valid", client.url()), &violation)
        });
    };
    let genesis = read_genesis(path)?;
    let found = client.status().await?.network;
    if found != genesis.network().to_string() {
        let message = format!("the node at {} is in network {found}, not in {}", client.url(), genesis.network());
        return Err(CliError::network(message).help("name a node of the network, or the genesis file of the node's"));
    }
    Ok(genesis)
}

/// A failure with a broken rule as its cause.
pub(crate) fn broken(message: &str, violation: &Violation) -> CliError {
    CliError::files(message).caused_by(violation)
}

/// Whether the same call may succeed a little later.
#[must_use]
pub fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused { source, .. } => matches!(source.error.code, ErrorCode::Busy | ErrorCode::TimedOut),
        ClientError::Unexpected { .. } => false,
    }
}

/// Whether the node says that there is no such thing.
#[must_use]
pub fn is_absent(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { source, .. } if source.error.code == ErrorCode::NotFound)
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { .. } => Self::from_error(Exit::Failure, &error)
                .help("check the address, and that the node runs: its log says why if it does not"),
            ClientError::Unexpected { .. } => Self::from_error(Exit::Failure, &error)
                .help("check that the address is that of a Stemma node, of the same version"),
            ClientError::Refused { source, .. } => {
                let exit = if source.error.code == ErrorCode::Malformed { Exit::Usage } else { Exit::Failure };
                let help = source.error.help.clone();
                // The error's own text repeats its help, which is printed apart here.
                let cause = stemma_node_api::ApiError::new(source.error.code, source.error.message.clone());
                let failed = Self::from_error(exit, &Plain(error.to_string())).caused_by(&cause);
                match (help, source.error.code) {
                    (Some(help), _) => failed.help(help),
                    (None, ErrorCode::Unauthorized) => failed.help("check the file of the operator's token"),
                    (None, _) => failed,
                }
            }
        }
    }
}

/// A text as an error without sources.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Plain(String);

#[cfg(test)]
mod tests {
    use stemma_node_api::ApiError;

    use super::*;

    #[test]
    fn a_refused_call_says_what_to_do() {
        let source = ApiError::new(ErrorCode::NotFound, "no such account").help("list the accounts");
        let error = ClientError::Refused { url: "http://node".to_owned(), status: 404, source };
        assert!(is_absent(&error) && !is_passing(&error));
        let shown = CliError::from(error);
        assert_eq!(shown.message(), "the node at http://node refused the call");
        assert_eq!(shown.causes(), ["no such account"]);
        assert_eq!(shown.next_step(), Some("list the accounts"));
    }
}
