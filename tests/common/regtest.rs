//! A Bitcoin chain of one's own: a regtest node and an Electrum server, run by `tests/env/regtest.sh`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Address, Amount, BlockHash, Denomination, Network, ScriptBuf, Transaction, Txid};
use jsonrpc::simple_http::SimpleHttpTransport;
use serde_json::{Value, json};

/// Of one request to the node. Mining hundreds of blocks is one.
const NODE_TIMEOUT: Duration = Duration::from_secs(120);

const ELECTRUM_TIMEOUT: Duration = Duration::from_secs(30);

/// What `bitcoin-cli` calls it.
const WALLET: &str = "-rpcwallet=";

static SHARED: LazyLock<Regtest> = LazyLock::new(Regtest::start);

/// A running node and Electrum server. They end when this is dropped or when this process ends.
pub struct Regtest {
    script: Mutex<Script>,
    /// One connection, whatever path the requests go to.
    node: SimpleHttpTransport,
    rewards: AtomicI64,
    electrum_url: String,
    facts: HashMap<String, String>,
}

/// What the chain knows of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxStatus {
    Unknown,
    InMempool,
    Confirmed { confirmations: u32 },
}

impl Regtest {
    /// The one that all tests of a binary share: they must not mind each other's blocks.
    ///
    /// A static is never dropped, but the script ends when its standard input does, thus with this process.
    pub fn shared() -> &'static Regtest {
        &SHARED
    }

    /// One of the caller's own, for tests that reorganise the chain or stop a server.
    pub fn start() -> Regtest {
        let mut script = Script::start();
        let facts = script.facts();
        let fact = |key: &str| {
            facts
                .get(key)
                .cloned()
                .unwrap_or_else(|| panic!("regtest.sh did not tell {key}"))
        };
        let node = SimpleHttpTransport::builder()
            .url(&fact("RPC_URL"))
            .expect("the address of the node")
            .auth(fact("RPC_USER"), Some(fact("RPC_PASS")))
            .timeout(NODE_TIMEOUT)
            .build();
        Regtest {
            node,
            rewards: AtomicI64::new(0),
            electrum_url: fact("ELECTRUM_URL"),
            script: Mutex::new(script),
            facts,
        }
    }

    /// `tcp://127.0.0.1:PORT`
    pub fn electrum_url(&self) -> &str {
        &self.electrum_url
    }

    /// The folder with the node's and the Electrum server's data and logs.
    pub fn data_dir(&self) -> &Path {
        Path::new(&self.facts["DATA_DIR"])
    }

    /// Asks the node what `bitcoin-cli` would with these arguments, and returns text as it is, all else as JSON without
    /// spaces; panics with what the node said if it refuses. First may be `-rpcwallet=NAME`. What is valid JSON is sent as
    /// that, all else as a string.
    pub fn cli(&self, args: &[&str]) -> String {
        self.try_cli(args)
            .unwrap_or_else(|error| panic!("{}: {error}", args.join(" ")))
    }

    pub fn try_cli(&self, args: &[&str]) -> Result<String, String> {
        let (path, args) = match args {
            [option, args @ ..] if option.starts_with(WALLET) => {
                (format!("/wallet/{}", &option[WALLET.len()..]), args)
            }
            args => ("/".to_owned(), args),
        };
        let mut node = self.node.clone();
        node.set_url_path(path);
        let answer = request(node, args)?;
        Ok(match answer {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    fn cli_json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.cli(args)).expect("the node answers in JSON")
    }

    pub fn height(&self) -> u32 {
        self.cli(&["getblockcount"]).parse().expect("a height")
    }

    /// Mines `blocks` and returns when the Electrum server has them too.
    pub fn mine(&self, blocks: u32) -> Vec<BlockHash> {
        let hashes = self.mine_unseen(blocks);
        self.wait_for_electrum();
        hashes
    }

    /// Mines without waiting for the Electrum server.
    pub fn mine_unseen(&self, blocks: u32) -> Vec<BlockHash> {
        let answer = self.cli_json(&[
            "generatetoaddress",
            &blocks.to_string(),
            &self.nobody().to_string(),
        ]);
        serde_json::from_value(answer).expect("hashes of blocks")
    }

    /// An address that nobody has, another each time: two blocks that are the same in all else would be one block, and
    /// that may have been taken out of the chain. Not the miner's, whose wallet would take longer than all else.
    pub fn nobody(&self) -> Address {
        let serial = self.rewards.fetch_add(1, Ordering::Relaxed);
        let script = ScriptBuf::builder().push_int(serial).into_script();
        Address::p2wsh(&script, Network::Regtest)
    }

    /// Returns when the Electrum server is at the node's tip of now, or further: others may mine meanwhile.
    pub fn wait_for_electrum(&self) {
        let tip = (self.height(), self.cli(&["getbestblockhash"]));
        let reached = |found: &Result<(u32, String), String>| {
            found.as_ref().is_ok_and(|found| found.0 > tip.0 || *found == tip)
        };
        let deadline = Instant::now() + ELECTRUM_TIMEOUT;
        loop {
            let found = self.electrum_tip();
            if reached(&found) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the Electrum server should be at {tip:?}, but answers {found:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn electrum_tip(&self) -> Result<(u32, String), String> {
        let result = self.electrum_call("blockchain.headers.subscribe", json!([]))?;
        let header: bitcoin::block::Header = result["hex"]
            .as_str()
            .and_then(|hex| deserialize_hex(hex).ok())
            .ok_or_else(|| format!("no header in {result}"))?;
        let height = result["height"]
            .as_u64()
            .and_then(|height| height.try_into().ok());
        Ok((height.ok_or("no height")?, header.block_hash().to_string()))
    }

    /// One request on a connection of its own, by no library that is itself under test.
    pub fn electrum_call(&self, method: &str, params: Value) -> Result<Value, String> {
        let address: SocketAddr = self
            .electrum_url
            .trim_start_matches("tcp://")
            .parse()
            .expect("an address and port");
        self.electrum_exchange(address, method, params)
            .map_err(|error| error.to_string())?
    }

    fn electrum_exchange(
        &self,
        address: SocketAddr,
        method: &str,
        params: Value,
    ) -> std::io::Result<Result<Value, String>> {
        let mut stream = TcpStream::connect_timeout(&address, ELECTRUM_TIMEOUT)?;
        stream.set_read_timeout(Some(ELECTRUM_TIMEOUT))?;
        // Protocol 1.6 wants to hear the versions first.
        for request in [
            json!({"id": 0, "method": "server.version", "params": ["test", ["1.4", "1.6"]]}),
            json!({"id": 1, "method": method, "params": params}),
        ] {
            stream.write_all(format!("{request}\n").as_bytes())?;
        }
        for line in BufReader::new(stream).lines() {
            let answer: Value = serde_json::from_str(&line?)?;
            if answer["id"] == 1 {
                return Ok(match answer.get("error") {
                    Some(error) if !error.is_null() => Err(error.to_string()),
                    _ => Ok(answer["result"].clone()),
                });
            }
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }

    /// Pays `amount` to `address` from the miner's wallet; the payment waits in the mempool.
    pub fn fund(&self, address: &Address, amount: Amount) -> Txid {
        let amount = amount.to_string_in(Denomination::Bitcoin);
        self.cli(&["-rpcwallet=miner", "sendtoaddress", &address.to_string(), &amount])
            .parse()
            .expect("a transaction id")
    }

    pub fn raw_tx(&self, txid: Txid) -> Transaction {
        deserialize_hex(&self.cli(&["getrawtransaction", &txid.to_string()])).expect("a transaction")
    }

    pub fn tx_status(&self, txid: Txid) -> TxStatus {
        let Ok(answer) = self.try_cli(&["getrawtransaction", &txid.to_string(), "true"]) else {
            return TxStatus::Unknown;
        };
        let answer: Value = serde_json::from_str(&answer).expect("the node answers in JSON");
        match answer["confirmations"].as_u64() {
            // The node's index still knows the block that is not in the chain any more.
            None | Some(0) if answer.get("blockhash").is_some() => TxStatus::Unknown,
            None | Some(0) => TxStatus::InMempool,
            Some(confirmations) => TxStatus::Confirmed {
                confirmations: confirmations.try_into().expect("a count of blocks"),
            },
        }
    }

    /// Whether the node would take the transaction into its mempool, or why not.
    pub fn accept(&self, tx: &Transaction) -> Result<(), String> {
        let answer = self.cli_json(&["testmempoolaccept", &json!([serialize_hex(tx)]).to_string()]);
        if answer[0]["allowed"] == true {
            Ok(())
        } else {
            Err(answer[0]["reject-reason"]
                .as_str()
                .unwrap_or("no reason given")
                .to_owned())
        }
    }

    pub fn broadcast(&self, tx: &Transaction) -> Result<Txid, String> {
        self.try_cli(&["sendrawtransaction", &serialize_hex(tx)])
            .map(|txid| txid.parse().expect("a transaction id"))
    }

    /// The Electrum server is gone until [`start_electrum`](Self::start_electrum), which brings it back at the
    /// same address. Not on the shared instance.
    pub fn stop_electrum(&self) {
        self.command("stop electrum");
    }

    pub fn start_electrum(&self) {
        self.command("start electrum");
    }

    pub fn stop_node(&self) {
        self.command("stop node");
    }

    pub fn start_node(&self) {
        self.command("start node");
    }

    fn command(&self, command: &str) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.command(command);
    }
}

fn request(node: SimpleHttpTransport, args: &[&str]) -> Result<Value, String> {
    let (method, args) = args.split_first().expect("what to ask");
    let args: Vec<Value> = args.iter().map(|arg| json_or_text(arg)).collect();
    jsonrpc::Client::with_transport(node)
        .call(method, Some(&jsonrpc::arg(args)))
        .map_err(|error| match error {
            jsonrpc::Error::Rpc(error) => {
                format!("error code: {}\nerror message:\n{}", error.code, error.message)
            }
            other => other.to_string(),
        })
}

fn json_or_text(arg: &str) -> Value {
    serde_json::from_str(arg).unwrap_or_else(|_| Value::from(arg))
}

/// Upward from the crate under test: the crates of the workspace in folders below share this file.
fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/env/regtest.sh"))
        .find(|path| path.is_file())
        .expect("tests/env/regtest.sh is in the repository")
}

/// The script's process, its standard input (which keeps it alive) and output.
struct Script {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Script {
    fn start() -> Script {
        let path = script_path();
        let mut child = Command::new(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Script {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        }
    }

    /// One line KEY=value.
    fn line(&mut self) -> (String, String) {
        let mut line = String::new();
        let length = self.stdout.read_line(&mut line).expect("regtest.sh writes text");
        assert!(
            length > 0,
            "regtest.sh ended: what it wrote to standard error says why; tests/env/setup.sh installs what it needs"
        );
        let (key, value) = line.trim_end().split_once('=').expect("a line KEY=value");
        (key.to_owned(), value.to_owned())
    }

    fn facts(&mut self) -> HashMap<String, String> {
        std::iter::from_fn(|| Some(self.line()).filter(|(key, _)| key != "READY")).collect()
    }

    fn command(&mut self, command: &str) {
        let stdin = self.stdin.as_mut().expect("it is open until the drop");
        writeln!(stdin, "{command}").expect("regtest.sh listens");
        let (key, _) = self.line();
        assert_ne!(key, "UNKNOWN", "regtest.sh does not know `{command}`");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // The end of its input is what ends it.
        self.stdin = None;
        let _ = self.child.wait();
    }
}
