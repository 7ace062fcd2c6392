//! A man in the middle: before a real Electrum server, to change some of its answers. All else stays real.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

/// What becomes of an answer: its method, its parameters and what the server said. `None` leaves it as it is; an
/// `error` is sent as one. A notification's parameters are null, and what it says is their list.
type Lie = Box<dyn FnMut(&str, &Value, &Value) -> Option<Value> + Send>;

/// Stands before a server and lies for it.
pub struct Liar {
    address: SocketAddr,
    lie: Arc<Mutex<Option<Lie>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

/// The questions of a connection that are not answered yet, by id.
type Open = Arc<Mutex<HashMap<u64, (String, Value)>>>;

impl Liar {
    /// Honest, until told what to say.
    pub fn before(upstream: &str) -> Self {
        let upstream: SocketAddr = upstream.trim_start_matches("tcp://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let liar = Self {
            address: listener.local_addr().unwrap(),
            lie: Arc::default(),
            asked: Arc::default(),
        };
        let (lie, asked) = (Arc::clone(&liar.lie), Arc::clone(&liar.asked));
        thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let Ok(far) = TcpStream::connect(upstream) else {
                    continue;
                };
                let open = Open::default();
                let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (asked, open_too) = (Arc::clone(&asked), Arc::clone(&open));
                thread::spawn(move || pass_questions(near_too, far_too, &asked, &open_too));
                let lie = Arc::clone(&lie);
                thread::spawn(move || pass_answers(far, near, &lie, &open));
            }
        });
        liar
    }

    /// From now on it says this.
    pub fn lies(&self, lie: impl FnMut(&str, &Value, &Value) -> Option<Value> + Send + 'static) {
        *self.lie.lock().unwrap() = Some(Box::new(lie));
    }

    pub fn tells_the_truth(&self) {
        *self.lie.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// The parameters of all questions of a kind so far.
    pub fn asked(&self, method: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let of_kind = asked.iter().filter(|(of, _)| of == method);
        of_kind.map(|(_, params)| params.clone()).collect()
    }
}

fn pass_questions(from: TcpStream, mut to: TcpStream, asked: &Mutex<Vec<(String, Value)>>, open: &Open) {
    for line in BufReader::new(from).lines() {
        let Ok(line) = line else { break };
        let question: Value = serde_json::from_str(&line).unwrap();
        let method = question["method"].as_str().unwrap().to_owned();
        let params = question["params"].clone();
        asked.lock().unwrap().push((method.clone(), params.clone()));
        open.lock()
            .unwrap()
            .insert(question["id"].as_u64().unwrap(), (method, params));
        if writeln!(to, "{line}").is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn pass_answers(from: TcpStream, mut to: TcpStream, lie: &Mutex<Option<Lie>>, open: &Open) {
    for line in BufReader::new(from).lines() {
        let Ok(line) = line else { break };
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        let (key, method, params) = match answer["id"].as_u64() {
            Some(id) => {
                let (method, params) = open.lock().unwrap().remove(&id).unwrap();
                ("result", method, params)
            }
            None => (
                "params",
                answer["method"].as_str().unwrap().to_owned(),
                Value::Null,
            ),
        };
        if let Some(lie) = lie.lock().unwrap().as_mut()
            && let Some(said) = lie(&method, &params, &answer[key])
        {
            match said.get("error") {
                Some(error) => answer = json!({"jsonrpc": "2.0", "id": answer["id"], "error": error}),
                None => {
                    answer[key] = said;
                    // What the server refused, the liar does not.
                    answer.as_object_mut().unwrap().remove("error");
                }
            }
        }
        if writeln!(to, "{answer}").is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
