//! Servers that hang, vanish or lie, and a proxy before a good one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bitcoin::Network;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::constants::genesis_block;
use serde_json::{Value, json};

/// A server that accepts connections and never says a word.
pub fn silent_server() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The kernel completes connections up to the backlog; nobody has to accept them.
    (format!("tcp://{}", listener.local_addr().unwrap()), listener)
}

/// Until one side closes.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// A server of our own making: what is not in `answers` (by method) it answers as a quiet regtest server. An
/// answer with an `error` is sent as one.
pub fn lying_server(answers: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let answers = Arc::new(answers);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answers) = (stream.unwrap(), Arc::clone(&answers));
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines() {
                    let Ok(line) = line else { return };
                    let request: Value = serde_json::from_str(&line).unwrap();
                    let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
                    let result = answers(method, params).unwrap_or_else(|| honest(method));
                    let answer = match result.get("error") {
                        Some(error) => json!({"jsonrpc": "2.0", "id": request["id"], "error": error}),
                        None => json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
                    };
                    if writeln!(writer, "{answer}").is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn honest(method: &str) -> Value {
    let genesis = serialize_hex(&genesis_block(Network::Regtest).header);
    match method {
        "server.version" => json!(["test", "1.4"]),
        "blockchain.block.header" => json!(genesis),
        "blockchain.headers.subscribe" => json!({"height": 0, "hex": genesis}),
        "blockchain.block.headers" => json!({"count": 1, "hex": genesis, "max": 2016}),
        "blockchain.transaction.get_merkle" => json!({"error": {"code": 1, "message": "not in a block"}}),
        "blockchain.estimatefee" => json!(-1),
        "blockchain.relayfee" => json!(0.00001),
        "mempool.get_info" => {
            json!({"mempoolminfee": 0.00001, "minrelaytxfee": 0.00001, "incrementalrelayfee": 0.00001})
        }
        _ => Value::Null,
    }
}

/// A SOCKS 5 proxy (RFC 1928) for IPv4 addresses and no authentication.
pub fn socks5_proxy() -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("socks5://{}", listener.local_addr().unwrap());
    let used = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&used);
    thread::spawn(move || {
        for near in listener.incoming() {
            let mut near = near.unwrap();
            let mut greeting = [0; 2];
            near.read_exact(&mut greeting).unwrap();
            near.read_exact(&mut vec![0; greeting[1].into()]).unwrap();
            near.write_all(&[5, 0]).unwrap();
            let mut request = [0; 10];
            near.read_exact(&mut request).unwrap();
            assert_eq!(request[..4], [5, 1, 0, 1], "connect to an IPv4 address");
            let address: [u8; 4] = request[4..8].try_into().unwrap();
            let port = u16::from_be_bytes([request[8], request[9]]);
            let far = TcpStream::connect(SocketAddr::from((address, port))).unwrap();
            near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
            flag.store(true, Ordering::SeqCst);
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || pass_on(from, to));
            }
        }
    });
    (url, used)
}
