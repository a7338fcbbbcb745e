//! One line of a report, and the bound that it is held to.

use std::fmt;

/// Facts of one subject.
#[derive(Debug)]
pub struct Section {
    /// The subject.
    pub title: String,
    /// The facts.
    pub facts: Vec<Fact>,
    /// Lines that do not fit into the columns of facts, such as the profile of a day.
    pub notes: Vec<String>,
}

/// What was measured, beside what real markets show and what the simulation is held to.
#[derive(Debug)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// What was found; `None` when the tape is too short for it, or does not have it.
    pub found: Option<f64>,
    /// The unit of the value, such as `bp`; empty for a plain number.
    pub unit: &'static str,
    /// What is published of real markets, with its source; empty when nothing is.
    pub real: &'static str,
    /// What the simulation must show, if anything.
    pub asked: Option<Bound>,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// From the first to the second, both included.
    Between(f64, f64),
    /// Above zero.
    Positive,
    /// Below zero.
    Negative,
}

/// Most decimals of a value.
const DECIMALS: usize = 4;

impl Section {
    /// A section without notes.
    pub(super) fn new(title: impl Into<String>, facts: Vec<Fact>) -> Self {
        Self { title: title.into(), facts, notes: Vec::new() }
    }
}

impl Fact {
    /// A plain number of which nothing is published and nothing asked.
    pub(super) fn new(name: impl Into<String>, found: Option<f64>) -> Self {
        Self { name: name.into(), found, unit: "", real: "", asked: None }
    }

    pub(super) fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub(super) fn real(self, real: &'static str) -> Self {
        Self { real, ..self }
    }

    pub(super) fn asked(self, asked: Bound) -> Self {
        Self { asked: Some(asked), ..self }
    }

    /// Whether it is within what is asked; `None` when nothing is asked or found.
    pub fn is_met(&self) -> Option<bool> {
        Some(self.asked?.contains(self.found?))
    }

    /// The value with its unit; a dash when there is none.
    pub fn shown(&self) -> String {
        match self.found {
            Some(value) => {
                format!("{}{}{}", number(value), if self.unit.is_empty() { "" } else { " " }, self.unit)
            }
            None => "–".to_owned(),
        }
    }
}

impl Bound {
    fn contains(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Between(least, most) => (least..=most).contains(&value),
            Self::Positive => value > 0.0,
            Self::Negative => value < 0.0,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::Between(least, most) => write!(f, "{least} … {most}"),
            Self::Positive => f.write_str("> 0"),
            Self::Negative => f.write_str("< 0"),
        }
    }
}

/// About four significant digits, and all digits of a whole number.
pub(super) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size.fract() == 0.0 || size >= 1000.0 => 0,
        100.0.. => 1,
        10.0.. => 2,
        1.0.. => 3,
        _ => DECIMALS,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_met_within_its_bound_and_at_both_ends_of_it() {
        let fact = |found, asked| Fact { asked, ..Fact::new("", found) };
        let bound = Bound::Between(0.4, 1.0);
        assert_eq!(fact(Some(0.4), Some(bound)).is_met(), Some(true));
        assert_eq!(fact(Some(1.0), Some(bound)).is_met(), Some(true));
        assert_eq!(fact(Some(0.39), Some(bound)).is_met(), Some(false));
        assert_eq!(fact(Some(-9.0), Some(Bound::AtMost(0.0))).is_met(), Some(true));
        assert_eq!(fact(Some(0.0), Some(Bound::Positive)).is_met(), Some(false));
        assert_eq!(fact(Some(-0.1), Some(Bound::Negative)).is_met(), Some(true));
        assert_eq!((fact(None, Some(bound)).is_met(), fact(Some(1.0), None).is_met()), (None, None));
    }

    #[test]
    fn bounds_read_as_people_write_them() {
        let bounds = [
            Bound::AtLeast(0.4),
            Bound::AtMost(15.0),
            Bound::Between(1.1, 2.5),
            Bound::Positive,
            Bound::Negative,
        ];
        assert_eq!(bounds.map(|bound| bound.to_string()), ["≥ 0.4", "≤ 15", "1.1 … 2.5", "> 0", "< 0"]);
    }

    #[test]
    fn numbers_have_as_many_digits_as_can_be_trusted() {
        let shown = [50.0, 0.00213, 1.23456, 12.3456, 123.456, 12345.6, -0.5].map(number);
        assert_eq!(shown, ["50", "0.0021", "1.235", "12.35", "123.5", "12346", "-0.5000"]);
        assert_eq!(Fact::new("", Some(2.34)).unit("bp").shown(), "2.340 bp");
        assert_eq!(Fact::new("", None).unit("bp").shown(), "–");
    }
}
