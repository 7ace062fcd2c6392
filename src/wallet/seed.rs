//! The seed: twelve words in a file, from which every key of this data folder derives.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bdk_wallet::bip39::{self, Language, Mnemonic};
use bdk_wallet::keys::bip39::WordCount;
use bdk_wallet::keys::{GeneratableKey, GeneratedKey};
use bdk_wallet::miniscript::Tap;
use bitcoin::Network;
use bitcoin::bip32::{self, DerivationPath, Xpriv};
use bitcoin::secp256k1::{Keypair, Secp256k1};

/// The file's name in the data folder.
pub const SEED_FILE: &str = "seed";

/// More than 24 words need; a larger file is not a seed.
const MAX_SEED_FILE_BYTES: u64 = 1024;

/// The secret all keys derive from. Its `Debug` form shows none of it.
#[derive(Clone)]
pub struct Seed {
    mnemonic: Mnemonic,
}

/// Why there is no seed to work with.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// What the file holds is no BIP39 mnemonic. It is left as it is.
    #[error("{path} does not hold a seed of English BIP39 words: {source}", path = path.display())]
    Mnemonic { path: PathBuf, source: bip39::Error },
    #[error("{path} does not hold a seed: {what}", path = path.display())]
    NotASeed { path: PathBuf, what: &'static str },
    /// What a person gave as a seed is none.
    #[error("these are not the words of a seed: {0}")]
    Words(bip39::Error),
    #[error("no new seed could be made")]
    Generate,
    #[error("no key derives from that path: {0}")]
    Derive(#[from] bip32::Error),
}

impl Seed {
    /// Reads the seed of a data folder, or makes folder (mode 0700) and seed (mode 0600) if there is none.
    /// When this returns, the seed is on disk for good. An existing file is never written to.
    pub fn load_or_create(dir: &Path) -> Result<Self, SeedError> {
        create_dir(dir)?;
        match Self::load(dir)? {
            Some(seed) => Ok(seed),
            None => Self::create(dir),
        }
    }

    /// Reads the seed of a data folder; `None` if there is none.
    pub fn load(dir: &Path) -> Result<Option<Self>, SeedError> {
        let path = dir.join(SEED_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SeedError::Io { path, source }),
        };
        restrict(&file).map_err(|source| SeedError::Io {
            path: path.clone(),
            source,
        })?;
        let mut words = String::new();
        match file.take(MAX_SEED_FILE_BYTES + 1).read_to_string(&mut words) {
            Ok(_) if words.len() as u64 > MAX_SEED_FILE_BYTES => {
                return Err(SeedError::NotASeed {
                    path,
                    what: "it is too long",
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(SeedError::NotASeed {
                    path,
                    what: "it is not text",
                });
            }
            Err(source) => return Err(SeedError::Io { path, source }),
        }
        match Mnemonic::parse_in(Language::English, words.trim()) {
            Ok(mnemonic) => Ok(Some(Self { mnemonic })),
            Err(source) => Err(SeedError::Mnemonic { path, source }),
        }
    }

    fn create(dir: &Path) -> Result<Self, SeedError> {
        let generated: GeneratedKey<Mnemonic, Tap> =
            Mnemonic::generate((WordCount::Words12, Language::English)).map_err(|_| SeedError::Generate)?;
        let mnemonic = generated.into_key();
        let path = dir.join(SEED_FILE);
        match write_new(dir, &path, format!("{mnemonic}\n").as_bytes()) {
            Ok(()) => Ok(Self { mnemonic }),
            // Another process was faster: its seed is the seed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let what = "it vanished while it was read";
                Self::load(dir)?.ok_or(SeedError::NotASeed { path, what })
            }
            Err(source) => Err(SeedError::Io { path, source }),
        }
    }

    /// Reads words that a person kept.
    pub fn from_words(words: &str) -> Result<Self, SeedError> {
        Mnemonic::parse_in(Language::English, words.trim())
            .map(|mnemonic| Self { mnemonic })
            .map_err(SeedError::Words)
    }

    /// Puts this seed into a data folder that has none. When this returns, it is on disk for good.
    ///
    /// # Errors
    /// Also when there is a seed already, even this one.
    pub fn store(&self, dir: &Path) -> Result<(), SeedError> {
        create_dir(dir)?;
        let path = dir.join(SEED_FILE);
        write_new(dir, &path, format!("{}\n", self.mnemonic).as_bytes())
            .map_err(|source| SeedError::Io { path, source })
    }

    /// The master key (BIP32), without a passphrase.
    pub fn xpriv(&self, network: Network) -> Result<Xpriv, SeedError> {
        Ok(Xpriv::new_master(network, &self.mnemonic.to_seed(""))?)
    }

    /// The key pair at a path. It does not depend on the network, so the path should name it: for instance
    /// BIP44's coin type, 0 or 1. `m/86'` belongs to the wallet.
    pub fn derive(&self, path: &DerivationPath) -> Result<Keypair, SeedError> {
        let secp = Secp256k1::new();
        Ok(self
            .xpriv(Network::Bitcoin)?
            .derive_priv(&secp, path)?
            .to_keypair(&secp))
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Makes the folder, readable by its owner only. One that exists keeps its mode.
pub(super) fn create_dir(dir: &Path) -> Result<(), SeedError> {
    let io = |source| SeedError::Io {
        path: dir.to_owned(),
        source,
    };
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io)?;
    match dir.parent() {
        Some(parent) if parent != Path::new("") => sync_dir(parent).map_err(io),
        _ => Ok(()),
    }
}

/// Writes a file that must not exist yet so that it is there whole or not at all: a link, unlike a
/// rename, refuses to replace what another process put there meanwhile.
fn write_new(dir: &Path, path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!(".{SEED_FILE}.{}.new", std::process::id()));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let linked = file
        .write_all(contents)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&temporary, path));
    // The words must not stay behind in a second file, whatever happened.
    let removed = fs::remove_file(&temporary);
    linked.and(removed)?;
    sync_dir(dir)
}

/// Takes away what other users could do with a file, as when a person wrote it with an editor.
fn restrict(file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode & 0o700))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_seed_is_private_and_stays() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/b");
        let first = Seed::load_or_create(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join(SEED_FILE)), 0o600);
        assert_eq!(
            fs::read_dir(&dir).unwrap().count(),
            1,
            "no other file holds the words"
        );
        let text = fs::read_to_string(dir.join(SEED_FILE)).unwrap();
        assert_eq!((text.lines().count(), text.split_whitespace().count()), (1, 12));
        let second = Seed::load_or_create(&dir).unwrap();
        assert_eq!(first.mnemonic, second.mnemonic);
        assert_eq!(fs::read_to_string(dir.join(SEED_FILE)).unwrap(), text);
    }

    #[test]
    fn two_seeds_differ() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b) = (
            Seed::load_or_create(a.path()).unwrap(),
            Seed::load_or_create(b.path()).unwrap(),
        );
        assert_ne!(a.mnemonic, b.mnemonic);
    }

    #[test]
    fn a_file_that_is_no_seed_is_refused_and_kept() {
        let twelve_without_checksum = "abandon ".repeat(12);
        for contents in [
            &b""[..],
            b"not words",
            b"\xff\xfe",
            twelve_without_checksum.as_bytes(),
            &[b'a'; 5000],
        ] {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join(SEED_FILE);
            fs::write(&path, contents).unwrap();
            assert!(Seed::load_or_create(temp.path()).is_err(), "{contents:?}");
            assert_eq!(fs::read(&path).unwrap(), contents);
        }
    }

    #[test]
    fn a_seed_written_by_hand_is_taken_and_made_private() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(SEED_FILE);
        fs::write(&path, format!("{}about\n", "abandon ".repeat(11))).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let seed = Seed::load_or_create(temp.path()).unwrap();
        assert_eq!(mode(&path), 0o600);
        // BIP86's first test vector.
        let key = seed.derive(&"m/86'/0'/0'/0/0".parse().unwrap()).unwrap();
        let expected = "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115";
        assert_eq!(key.x_only_public_key().0.to_string(), expected);
    }

    #[test]
    fn what_it_prints_of_itself_is_no_secret() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(
            format!("{:?}", Seed::load_or_create(temp.path()).unwrap()),
            "Seed(..)"
        );
    }
}
