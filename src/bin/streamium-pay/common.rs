//! What all subcommands have in common: where the data is, how the chain is reached, and how they are ended.

use std::path::PathBuf;

use bitcoin::Network;
use clap::Args;
use gststreamiumpay::chain::ChainConfig;
use gststreamiumpay::settings::{DEFAULT_NETWORK, chain_config, default_data_dir, parse_network};

/// Why a subcommand failed: one sentence for the person who called it.
pub type Failure = Box<dyn std::error::Error>;

/// The data folder and its network.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The Bitcoin network: bitcoin, testnet, testnet4, signet or regtest.
    #[arg(long, env = "STREAMIUM_NETWORK", default_value = DEFAULT_NETWORK, value_parser = parse_network)]
    pub network: Network,
    /// The folder with the store and the keys [default: streamium-pay/NETWORK in the user's data folder].
    #[arg(long, env = "STREAMIUM_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    pub fn data_dir(&self) -> PathBuf {
        let default = || default_data_dir(self.network);
        self.data_dir.clone().unwrap_or_else(default)
    }

    /// For what makes no sense in a folder that a mistyped name would make.
    pub fn existing_dir(&self) -> Result<PathBuf, Failure> {
        let dir = self.data_dir();
        if dir.is_dir() {
            Ok(dir)
        } else {
            Err(format!("{} is not there: set --data-dir (and --network)", dir.display()).into())
        }
    }
}

/// The chain's servers.
#[derive(Clone, Debug, Args)]
pub struct Servers {
    /// Electrum servers: ssl://host:port or tcp://host:port, several separated by commas.
    #[arg(long, env = "STREAMIUM_ELECTRUM_URL", value_name = "URL")]
    electrum_url: String,
    /// A SOCKS5 proxy (such as Tor's) to reach them through: socks5://host:port.
    #[arg(long, env = "STREAMIUM_ELECTRUM_PROXY", value_name = "URL")]
    electrum_proxy: Option<String>,
}

impl Servers {
    pub fn config(&self, network: Network) -> Result<ChainConfig, Failure> {
        let config = chain_config(network, Some(&self.electrum_url), self.electrum_proxy.as_deref())?;
        config.ok_or_else(|| "electrum-url is not set.".into())
    }
}
