//! The channel's output script (protocol.md section 3).
//!
//! ```text
//! tr(NUMS, { and_v(v:pk(CONSUMER), pk(PROVIDER)),     payment leaf
//!            and_v(v:pk(CONSUMER), older(DELAY)) })   refund leaf
//! ```
//!
//! Both sides derive it from the keys and the delay and never take a script from the peer.

use crate::blocks::RefundDelay;
use crate::keys::ChannelKeys;
use bitcoin::taproot::{ControlBlock, LeafVersion, TapLeafHash};
use bitcoin::{Address, Network, ScriptBuf, XOnlyPublicKey};
use miniscript::Descriptor;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use thiserror::Error;

/// BIP341's point `H`, whose discrete logarithm nobody knows: the key path can't be spent.
pub const NUMS: &str = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";

/// A failure to derive a script from valid keys and a valid delay. It can't happen with the pinned
/// miniscript; it is an error, not a panic, because money depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the channel script could not be derived: {0}")]
pub struct ScriptError(String);

/// One leaf, ready to be put into a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    script: ScriptBuf,
    control: ControlBlock,
}

impl Leaf {
    /// The leaf's script.
    pub const fn script(&self) -> &ScriptBuf {
        &self.script
    }

    /// The serialized control block.
    pub fn control(&self) -> Vec<u8> {
        self.control.serialize()
    }

    /// The hash that signatures for this leaf commit to (BIP341).
    pub fn hash(&self) -> TapLeafHash {
        TapLeafHash::from_script(&self.script, LeafVersion::TapScript)
    }
}

/// The derived script with both leaves.
#[derive(Clone, Debug)]
pub struct ChannelScript {
    descriptor: String,
    script_pubkey: ScriptBuf,
    payment: Leaf,
    refund: Leaf,
}

impl ChannelScript {
    /// Derives the script.
    ///
    /// # Errors
    /// Only if the library refuses what valid keys and a valid delay make.
    pub fn new(keys: &ChannelKeys, delay: RefundDelay) -> Result<Self, ScriptError> {
        let text = format!(
            "tr({NUMS},{{and_v(v:pk({c}),pk({p})),and_v(v:pk({c}),older({d}))}})",
            c = keys.consumer(),
            p = keys.provider(),
            d = delay.blocks()
        );
        let descriptor =
            Descriptor::<XOnlyPublicKey>::from_str(&text).map_err(|e| ScriptError(e.to_string()))?;
        let Descriptor::Tr(tr) = &descriptor else {
            return Err(ScriptError("not a Taproot descriptor".into()));
        };
        let spend = tr.spend_info();
        let mut leaves = tr.iter_scripts().map(|(_, leaf)| {
            let script = leaf.encode();
            let control = spend.control_block(&(script.clone(), LeafVersion::TapScript));
            control.map(|control| Leaf { script, control })
        });
        match (leaves.next().flatten(), leaves.next().flatten(), leaves.next()) {
            (Some(payment), Some(refund), None) => Ok(Self {
                descriptor: descriptor.to_string(),
                script_pubkey: descriptor.script_pubkey(),
                payment,
                refund,
            }),
            _ => Err(ScriptError("the tree has not two leaves".into())),
        }
    }

    /// The descriptor with its checksum, as any descriptor wallet imports it.
    pub fn descriptor(&self) -> &str {
        &self.descriptor
    }

    /// The output script.
    pub const fn script_pubkey(&self) -> &ScriptBuf {
        &self.script_pubkey
    }

    /// Its address on `network`.
    ///
    /// # Errors
    /// Never for a Taproot script; see [`ScriptError`].
    pub fn address(&self, network: Network) -> Result<Address, ScriptError> {
        Address::from_script(&self.script_pubkey, network).map_err(|e| ScriptError(e.to_string()))
    }

    /// The leaf that both sign: payments, settlement, cooperative close.
    pub const fn payment(&self) -> &Leaf {
        &self.payment
    }

    /// The leaf that the consumer signs alone once the delay has passed.
    pub const fn refund(&self) -> &Leaf {
        &self.refund
    }
}

/// Where the consumer's change goes: a 34-byte version-1 witness program (P2TR) and nothing else. Another
/// script could make a whole settlement unrelayable, and only for this one is 330 sat the dust limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ScriptBuf", into = "ScriptBuf")]
pub struct ChangeScript(ScriptBuf);

/// The script is no version-1 witness program of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the change script is not a 34-byte version-1 witness program (P2TR)")]
pub struct ChangeScriptError;

impl ChangeScript {
    /// Checks the form.
    ///
    /// # Errors
    /// Anything but P2TR.
    pub fn new(script: ScriptBuf) -> Result<Self, ChangeScriptError> {
        if script.is_p2tr() {
            Ok(Self(script))
        } else {
            Err(ChangeScriptError)
        }
    }

    /// The script.
    pub const fn script(&self) -> &ScriptBuf {
        &self.0
    }
}

impl TryFrom<ScriptBuf> for ChangeScript {
    type Error = ChangeScriptError;

    fn try_from(script: ScriptBuf) -> Result<Self, ChangeScriptError> {
        Self::new(script)
    }
}

impl From<ChangeScript> for ScriptBuf {
    fn from(change: ChangeScript) -> ScriptBuf {
        change.0
    }
}
