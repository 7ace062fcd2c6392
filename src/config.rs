//! Values of properties for where nobody can set them: a player that only takes a link, the companion.
//!
//! A property that is not set has the value of the environment variable `STREAMIUM_NAME` (the property's name in capitals,
//! with `_` for `-`), else that of the configuration file, else its default. The file is a key file, as of desktop
//! entries: the group `[streamium-pay]` is for both elements and the companion, `[streamiumpaysink]` and
//! `[streamiumpaysrc]` for one element's properties.

use std::path::{Path, PathBuf};

use gst::glib;
use gst::prelude::*;

/// The variable that names the configuration file; empty for none.
pub const FILE_VARIABLE: &str = "STREAMIUM_CONFIG";

/// The group of the file that is for both elements and the companion.
const COMMON_GROUP: &str = "streamium-pay";

/// What that group may set.
const COMMON: [&str; 4] = ["network", "electrum-url", "electrum-proxy", "data-dir"];

const ELEMENTS: [&str; 2] = ["streamiumpaysink", "streamiumpaysrc"];

/// Why a value from outside can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {file} can't be read: {reason}")]
    Unreadable { file: String, reason: String },
    #[error(
        "the configuration file {0} has a group [{1}]: its groups are [streamium-pay], [streamiumpaysink] and \
         [streamiumpaysrc]"
    )]
    UnknownGroup(String, String),
    #[error("{origin} sets {name}, which is no property that could be set there")]
    UnknownProperty { origin: String, name: String },
    #[error("{origin} has \"{text}\" for {name}, which must be {wanted}")]
    BadValue {
        origin: String,
        name: String,
        text: String,
        wanted: String,
    },
}

/// The configuration file, read.
pub struct Config {
    /// `None` where there is no file.
    file: Option<(PathBuf, glib::KeyFile)>,
}

impl Config {
    /// Reads the file that the environment names, or the one in the user's configuration folder, which may be missing.
    pub fn load() -> Result<Self, ConfigError> {
        match std::env::var_os(FILE_VARIABLE) {
            Some(path) if path.is_empty() => Ok(Self { file: None }),
            Some(path) => Self::read(PathBuf::from(path)),
            None => {
                let path = glib::user_config_dir()
                    .join("streamium-pay")
                    .join("streamium-pay.conf");
                if path.exists() {
                    Self::read(path)
                } else {
                    Ok(Self { file: None })
                }
            }
        }
    }

    fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let file = glib::KeyFile::new();
        file.load_from_file(&path, glib::KeyFileFlags::NONE)
            .map_err(|error| ConfigError::Unreadable {
                file: path.display().to_string(),
                reason: error.message().to_owned(),
            })?;
        let config = Self {
            file: Some((path, file)),
        };
        config.check()?;
        Ok(config)
    }

    /// Looks for what the file says in vain; whether an element has a property is the element's to say.
    fn check(&self) -> Result<(), ConfigError> {
        let Some((path, file)) = &self.file else {
            return Ok(());
        };
        for group in file.groups().iter() {
            if !ELEMENTS.contains(&group.as_str()) && group.as_str() != COMMON_GROUP {
                return Err(ConfigError::UnknownGroup(
                    path.display().to_string(),
                    group.to_string(),
                ));
            }
        }
        self.only(COMMON_GROUP, |name| COMMON.contains(&name))
    }

    /// Refuses a name in a group that is not known there.
    fn only(&self, group: &str, is_known: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
        let Some((path, file)) = &self.file else {
            return Ok(());
        };
        // A group that is not there has no keys.
        let Ok(names) = file.keys(group) else {
            return Ok(());
        };
        match names.iter().find(|name| !is_known(name.as_str())) {
            Some(name) => Err(ConfigError::UnknownProperty {
                origin: origin(path),
                name: name.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// The value for a property of an element (`None`: of the companion), and where it is from.
    pub fn value(&self, element: Option<&str>, name: &str) -> Option<(String, String)> {
        let variable = variable(name);
        if let Ok(text) = std::env::var(&variable)
            && !text.is_empty()
        {
            return Some((text, format!("${variable}")));
        }
        let (path, file) = self.file.as_ref()?;
        let own = element.and_then(|group| file.string(group, name).ok());
        let text = own.or_else(|| file.string(COMMON_GROUP, name).ok())?;
        Some((text.to_string(), origin(path)))
    }

    /// Sets on an element of this factory name all of `specs` that there is a value for.
    fn apply(
        &self,
        element: &gst::Element,
        factory: &str,
        specs: &[glib::ParamSpec],
    ) -> Result<(), ConfigError> {
        let settable = |spec: &&glib::ParamSpec| spec.flags().contains(glib::ParamFlags::WRITABLE);
        self.only(factory, |name| {
            specs.iter().filter(settable).any(|spec| spec.name() == name)
        })?;
        for spec in specs.iter().filter(settable) {
            let Some((text, origin)) = self.value(Some(factory), spec.name()) else {
                continue;
            };
            let Some(value) = parse(&text, spec) else {
                return Err(ConfigError::BadValue {
                    origin,
                    name: spec.name().to_owned(),
                    text,
                    wanted: wanted(spec),
                });
            };
            element.set_property_from_value(spec.name(), &value);
        }
        Ok(())
    }
}

/// Gives a new element the values from outside.
pub fn apply(element: &gst::Element, factory: &str, specs: &[glib::ParamSpec]) -> Result<(), ConfigError> {
    Config::load()?.apply(element, factory, specs)
}

fn origin(path: &Path) -> String {
    format!("the configuration file {}", path.display())
}

fn variable(name: &str) -> String {
    format!("STREAMIUM_{}", name.to_uppercase().replace('-', "_"))
}

/// A property's value from its words, if it is one of its range.
fn parse(text: &str, spec: &glib::ParamSpec) -> Option<glib::Value> {
    if spec.value_type() == glib::Type::STRING {
        return Some(text.to_value());
    }
    let value = glib::Value::deserialize_with_pspec(text, spec).ok()?;
    in_range(&value, spec).then_some(value)
}

/// GObject would cut a number that is out of range silently, and the bindings would abort.
fn in_range(value: &glib::Value, spec: &glib::ParamSpec) -> bool {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        return value
            .get::<u32>()
            .is_ok_and(|number| (spec.minimum()..=spec.maximum()).contains(&number));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        return value
            .get::<u64>()
            .is_ok_and(|number| (spec.minimum()..=spec.maximum()).contains(&number));
    }
    true
}

fn wanted(spec: &glib::ParamSpec) -> String {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        return format!("a number from {} to {}", spec.minimum(), spec.maximum());
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        return format!("a number from {} to {}", spec.minimum(), spec.maximum());
    }
    if spec.value_type() == glib::Type::BOOL {
        return "true or false".to_owned();
    }
    format!("a {}", spec.value_type())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("streamium-pay.conf");
        std::fs::write(&path, text).unwrap();
        Config::read(path)
    }

    fn value(config: &Config, element: Option<&str>, name: &str) -> Option<String> {
        config.value(element, name).map(|(text, _)| text)
    }

    #[test]
    fn an_element_s_group_comes_before_the_common_one() {
        let config = config(
            "[streamium-pay]\nnetwork=signet\ndata-dir=/a\n\n# a comment\n[streamiumpaysrc]\ndata-dir=/b\nbudget=7\n",
        )
        .unwrap();
        let src = Some("streamiumpaysrc");
        assert_eq!(value(&config, src, "network").as_deref(), Some("signet"));
        assert_eq!(value(&config, src, "data-dir").as_deref(), Some("/b"));
        assert_eq!(value(&config, src, "budget").as_deref(), Some("7"));
        assert_eq!(
            value(&config, Some("streamiumpaysink"), "data-dir").as_deref(),
            Some("/a")
        );
        assert_eq!(value(&config, None, "data-dir").as_deref(), Some("/a"));
        assert_eq!(value(&config, None, "budget"), None);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, words) in [
            ("network=signet\n", "can't be read"),
            ("[streamium]\nnetwork=signet\n", "has a group [streamium]"),
            ("[streamium-pay]\nbudget=7\n", "sets budget, which is no property"),
        ] {
            let error = config(text).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        }
        let missing = Config::read("/nonexistent/streamium-pay.conf".into());
        assert!(missing.err().unwrap().to_string().contains("can't be read"));
    }

    #[test]
    fn an_element_takes_what_it_has() {
        gst::init().unwrap();
        let apply = |text: &str| {
            // Any element will do: what is looked at is names, types and ranges.
            let element = gst::ElementFactory::make("fakesrc").build().unwrap();
            let specs: Vec<_> = element.list_properties().to_vec();
            let done = config(text).unwrap().apply(&element, "streamiumpaysrc", &specs);
            (element, done)
        };
        let (element, done) = apply("[streamiumpaysrc]\nblocksize=77\nsilent=false\nnum-buffers=3\n");
        done.unwrap();
        assert_eq!(element.property::<u32>("blocksize"), 77);
        assert!(!element.property::<bool>("silent"));
        for (line, words) in [
            (
                "blocksize=many",
                "\"many\" for blocksize, which must be a number from 0 to",
            ),
            ("num-buffers=99999999999", "which must be a gint"),
            ("silent=perhaps", "which must be true or false"),
            ("colour=blue", "sets colour, which is no property"),
            ("last-message=x", "sets last-message, which is no property"),
        ] {
            let error = apply(&format!("[streamiumpaysrc]\n{line}\n"))
                .1
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
