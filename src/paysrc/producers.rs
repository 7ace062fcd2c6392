//! The producers of the link's name, and which of them have been tried.

/// A producer of the name, and whether it has been tried.
#[derive(Debug)]
struct Candidate {
    peer_id: String,
    tried: bool,
    /// Its connection failed, which says nothing about who it is.
    failed: bool,
}

/// In the order in which they are tried.
#[derive(Debug, Default)]
pub struct Producers(Vec<Candidate>);

impl Producers {
    pub fn add(&mut self, peer_id: String) {
        if !self.0.iter().any(|candidate| candidate.peer_id == peer_id) {
            self.0.push(Candidate {
                peer_id,
                tried: false,
                failed: false,
            });
        }
    }

    pub fn remove(&mut self, peer_id: &str) {
        self.0.retain(|candidate| candidate.peer_id != peer_id);
    }

    /// The server that knew them is gone.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// The next that has not been tried; from now on it has.
    pub fn take(&mut self) -> Option<String> {
        let candidate = self.0.iter_mut().find(|candidate| !candidate.tried)?;
        candidate.tried = true;
        Some(candidate.peer_id.clone())
    }

    /// The connection to it failed.
    pub fn failed(&mut self, peer_id: &str) {
        for candidate in self.0.iter_mut().filter(|one| one.peer_id == peer_id) {
            candidate.failed = true;
        }
    }

    /// Those whose connection failed may be tried once more.
    pub fn retry_failed(&mut self) {
        for candidate in self.0.iter_mut().filter(|one| one.failed) {
            candidate.failed = false;
            candidate.tried = false;
        }
    }

    /// Every one may be tried once more.
    pub fn begin_round(&mut self) {
        for candidate in &mut self.0 {
            candidate.tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_tried_once_a_round() {
        let mut producers = Producers::default();
        for id in ["a", "b", "a"] {
            producers.add(id.to_owned());
        }
        assert_eq!(producers.take().as_deref(), Some("a"));
        producers.add("a".to_owned());
        assert_eq!(producers.take().as_deref(), Some("b"));
        assert_eq!(producers.take(), None);
        producers.failed("b");
        producers.retry_failed();
        assert_eq!(producers.take().as_deref(), Some("b"));
        assert_eq!(producers.take(), None);
        producers.begin_round();
        producers.remove("a");
        assert_eq!(producers.take().as_deref(), Some("b"));
        producers.forget();
        producers.begin_round();
        assert_eq!(producers.take(), None);
    }
}
