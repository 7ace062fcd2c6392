//! A report is as the catalogue has it, or its maker has a fault.

use super::{Field, Report};
use crate::catalogue::{Catalogue, Kind};

impl Report {
    /// Says what is not as documented.
    pub fn check(&self, catalogue: &Catalogue) -> Result<(), String> {
        let name = self.name;
        let message = catalogue.find(name).ok_or_else(|| format!("no message {name}"))?;
        for (field, value) in &self.fields {
            let spec = message.field(field);
            let spec = spec.ok_or_else(|| format!("{name} has no field {field}"))?;
            if spec.kind != value.kind() {
                return Err(format!("{field} of {name} is a {:?}", spec.kind));
            }
        }
        let said = |field: &str| self.fields.iter().filter(|(name, _)| *name == field).count();
        match message.fields.iter().find(|spec| {
            let least = usize::from(!spec.optional);
            !(least..=1).contains(&said(spec.name))
        }) {
            Some(spec) => Err(format!("{name} has {} {}", said(spec.name), spec.name)),
            None => Ok(()),
        }
    }
}

impl Field {
    const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Number(_) => Kind::Number,
            Self::Flag(_) => Kind::Flag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{SINK, SOURCE};

    #[test]
    fn a_report_is_as_documented_or_refused() {
        let payment = || {
            Report::new("payment")
                .text_field("session", "s")
                .text_field("outpoint", "o:0")
        };
        let whole = payment().number("balance-sat", 2).number("added-sat", 1);
        assert_eq!(whole.check(&SINK), Ok(()));
        let refused = [
            payment().number("balance-sat", 2),
            whole.clone().number("added-sat", 1),
            whole.clone().number("fee-sat", 1),
            payment().text_field("balance-sat", 2).number("added-sat", 1),
        ];
        for report in refused {
            assert!(report.check(&SINK).is_err(), "{report:?}");
        }
        assert!(whole.check(&SOURCE).is_err(), "another element's");
        let channel = |capacity: Option<u64>| {
            let report = Report::new("channel")
                .text_field("outpoint", "o:0")
                .number("confirmations", 1);
            match capacity {
                Some(sat) => report.number("capacity-sat", sat),
                None => report,
            }
        };
        assert_eq!(channel(None).check(&SOURCE), Ok(()));
        assert_eq!(channel(Some(1)).check(&SOURCE), Ok(()));
    }
}
