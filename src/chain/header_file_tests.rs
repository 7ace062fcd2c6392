use tempfile::TempDir;

use super::*;
use crate::chain::spv::testing::{chain, regtest_genesis};

fn load(dir: &TempDir) -> (HeaderFile, HeaderTree) {
    HeaderFile::load(dir.path(), Network::Regtest).unwrap()
}

fn save(file: &mut HeaderFile, tree: &mut HeaderTree) {
    if let Some((index, headers)) = tree.take_changes() {
        file.write(index, &headers).unwrap();
    }
}

/// A folder with so many headers after the first.
fn folder_with(count: usize) -> (TempDir, Vec<Header>) {
    let dir = TempDir::new().unwrap();
    let headers = chain(&regtest_genesis(), count, 0);
    let (mut file, mut tree) = load(&dir);
    tree.connect(&headers).unwrap();
    save(&mut file, &mut tree);
    (dir, headers)
}

fn path(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("headers-regtest.dat")
}

#[test]
fn what_was_kept_is_there_and_not_written_again() {
    let (dir, headers) = folder_with(30);
    let (_, mut tree) = load(&dir);
    assert_eq!(tree.height(), Some(30));
    assert_eq!(tree.tip().unwrap().1, headers[29].block_hash());
    assert_eq!(tree.take_changes(), None);
    assert_eq!(std::fs::metadata(path(&dir)).unwrap().len(), 31 * 80);
}

#[test]
fn a_reorganisation_replaces_what_was_kept() {
    let (dir, headers) = folder_with(30);
    let (mut file, mut tree) = load(&dir);
    let fork = chain(&headers[19], 11, 1);
    tree.connect(&fork).unwrap();
    save(&mut file, &mut tree);
    let (_, tree) = load(&dir);
    assert_eq!(tree.tip(), Some((31, fork[10].block_hash())));
}

#[test]
fn what_is_damaged_or_short_is_left_out_and_then_put_right() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, u32); 5] = [
        (|bytes| bytes.truncate(31 * 80 - 1), 29),
        (|bytes| bytes.truncate(10), 0),
        (|bytes| bytes[20 * 80 + 4] ^= 1, 19),
        (|bytes| bytes[5] ^= 1, 0),
        (|bytes| bytes[15 * 80..].fill(0), 14),
    ];
    for (damage, left) in damages {
        let (dir, headers) = folder_with(30);
        let mut bytes = std::fs::read(path(&dir)).unwrap();
        damage(&mut bytes);
        std::fs::write(path(&dir), bytes).unwrap();
        let (mut file, mut tree) = load(&dir);
        assert_eq!(tree.height(), Some(left));
        tree.connect(&headers).unwrap();
        save(&mut file, &mut tree);
        let (_, tree) = load(&dir);
        assert_eq!(tree.height(), Some(30), "put right");
    }
}

#[test]
fn without_a_folder_nothing_is_kept_and_nothing_fails() {
    let nowhere = std::path::Path::new("/nonexistent/folder");
    assert!(HeaderFile::load(nowhere, Network::Regtest).is_none());
}
