//! A power cut in the middle of a write, and bytes that change by themselves.

use std::fs;
use std::path::Path;

use gststreamiumpay::store::{STORE_FILE, Store, StoreError};

use crate::fill::{Records, Standing, after, standing};

const STEPS: u64 = 12;

/// A store as a power cut leaves it: nothing has been moved from the log into the file since its beginning.
struct Cut {
    dir: tempfile::TempDir,
    file: Vec<u8>,
    log: Vec<u8>,
    /// The log's length when each step had been acknowledged, and what was on record then.
    acknowledged: Vec<(usize, Option<Standing>)>,
}

impl Cut {
    fn new() -> Self {
        let (dir, records) = (tempfile::tempdir().unwrap(), Records::new());
        let mut store = Store::open(dir.path()).unwrap();
        let length = || fs::metadata(log_of(dir.path())).unwrap().len() as usize;
        let mut acknowledged = vec![(length(), None)];
        records.insert(&mut store);
        for step in 0..STEPS {
            records.pay(&mut store, step).unwrap();
            acknowledged.push((length(), Some(after(step))));
        }
        // Copied while it is open: closing it would empty the log.
        let file = fs::read(dir.path().join(STORE_FILE)).unwrap();
        let log = fs::read(log_of(dir.path())).unwrap();
        assert_eq!(
            log.len(),
            acknowledged.last().unwrap().0,
            "the log was not emptied meanwhile"
        );
        drop(store);
        Self {
            dir,
            file,
            log,
            acknowledged,
        }
    }

    /// What a new start finds of this file and this log.
    fn reopen(&self, file: &[u8], log: &[u8]) -> Result<Option<Standing>, StoreError> {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
        fs::write(dir.path().join(STORE_FILE), file).unwrap();
        fs::write(log_of(dir.path()), log).unwrap();
        standing(dir.path())
    }

    /// What was acknowledged when the log had this length.
    fn known_at(&self, length: usize) -> Option<Standing> {
        let done = self.acknowledged.iter().take_while(|(end, _)| *end <= length);
        done.last().and_then(|(_, standing)| *standing)
    }
}

fn log_of(dir: &Path) -> std::path::PathBuf {
    dir.join(format!("{STORE_FILE}-wal"))
}

#[test]
fn whatever_was_acknowledged_before_the_cut_is_there_again() {
    let cut = Cut::new();
    let frame = 24 + 4_096;
    let ends = cut
        .acknowledged
        .iter()
        .flat_map(|(end, _)| [end - 1, *end, end + 1]);
    let lengths = (0..=cut.log.len())
        .step_by(frame / 2 + 13)
        .chain(ends)
        .chain([cut.log.len()]);
    let mut tried = 0;
    for length in lengths.filter(|length| *length <= cut.log.len()) {
        let found = cut.reopen(&cut.file, &cut.log[..length]).unwrap();
        let known = cut.known_at(length);
        // More may be there than was acknowledged: a commit whose answer did not get out.
        assert!(
            found >= known,
            "cut at {length}: {found:?}, but {known:?} was acknowledged"
        );
        tried += 1;
    }
    assert_eq!(
        cut.reopen(&cut.file, &cut.log).unwrap(),
        Some(after(STEPS - 1)),
        "a whole log loses nothing"
    );
    println!("{tried} cuts of a log of {} bytes", cut.log.len());
}

#[test]
fn a_changed_byte_in_the_log_costs_nothing_that_was_acknowledged_before_it() {
    let cut = Cut::new();
    let mut tried = 0;
    for at in (0..cut.log.len()).step_by(509) {
        let mut log = cut.log.clone();
        log[at] ^= 0x10;
        // The log's own check sums tell; what comes behind the change is gone, as if it had been cut there.
        let found = cut.reopen(&cut.file, &log).unwrap();
        let known = cut.known_at(at);
        assert!(
            found >= known,
            "changed at {at}: {found:?}, but {known:?} was acknowledged"
        );
        tried += 1;
    }
    println!("{tried} changed bytes in a log of {} bytes", cut.log.len());
}

#[test]
fn a_changed_byte_in_the_file_is_noticed_or_harms_no_payment() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::new();
    let mut store = Store::open(dir.path()).unwrap();
    records.insert(&mut store);
    records.pay(&mut store, 1).unwrap();
    // Closing it moves everything from the log into the file.
    drop(store);
    let path = dir.path().join(STORE_FILE);
    let good = fs::read(&path).unwrap();
    let (mut refused, mut noticed, mut unharmed) = (0, 0, 0);
    for at in (0..good.len()).step_by(61) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        let copy = tempfile::tempdir_in(dir.path()).unwrap();
        let path = copy.path().join(STORE_FILE);
        fs::write(&path, &bad).unwrap();
        match outcome(copy.path(), &records) {
            Outcome::Refused(words) => {
                assert!(words.starts_with("the store "), "{words}");
                refused += 1;
            }
            Outcome::Noticed => noticed += 1,
            Outcome::Read => unharmed += 1,
        }
    }
    println!(
        "{refused} refused with an error, {noticed} rows reported as damaged, {unharmed} read without harm"
    );
    assert!(refused > 0 && noticed > 0 && unharmed > 0);
}

enum Outcome {
    /// The file, or the question, is answered with an error.
    Refused(String),
    /// The row is reported as damaged, or its payment does not verify.
    Noticed,
    /// Every payment that is read verifies.
    Read,
}

fn outcome(dir: &Path, records: &Records) -> Outcome {
    let read = || {
        let store = Store::open(dir)?;
        Ok::<_, StoreError>((store.unsettled()?, store.unspent()?))
    };
    let ((provided, damaged), (_, lost)) = match read() {
        Ok(found) => found,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let mut found = damaged.len() + lost.len();
    for stored in provided {
        match stored.record.restore() {
            Err(_) => found += 1,
            Ok((_, None)) => (),
            Ok((_, Some(payment))) => assert!(payment.cumulative() <= records.provider.contract.payable()),
        }
    }
    if found > 0 {
        Outcome::Noticed
    } else {
        Outcome::Read
    }
}

#[test]
fn a_file_that_is_no_store_any_more_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join(STORE_FILE);
    let good = fs::read(&path).unwrap();
    // The header, the middle, and all but the first page.
    for bad in [
        [&[0; 100][..], &good[100..]].concat(),
        [&good[..100], &[0xff; 3_996][..], &good[4_096..]].concat(),
        good[..4_096].to_vec(),
    ] {
        fs::write(&path, &bad).unwrap();
        let opened = Store::open(dir.path()).and_then(|store| Ok((store.unsettled()?, store.unspent()?)));
        let error = opened.expect_err("it is damaged").to_string();
        println!("{error}");
        assert!(error.starts_with("the store can't be used: "), "{error}");
        assert!(fs::read(&path).unwrap() == bad, "it was changed");
    }
}
