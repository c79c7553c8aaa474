//! Where a gateway asks for what its coinbases pay accounts (docs/rules.md, section 11).

use serde::Deserialize;

use super::{Gateway, projector};

/// A coinbase's list is asked for again after so many seconds, unless configured.
const EACH_S_DEFAULT: u32 = 30;
/// Projectors that a gateway asks, at most.
const FROM_MAX: usize = 8;

/// Lists of coinbases' outputs.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Direct {
    /// Projectors, `http://HOST:PORT`, in the order in which they are asked. None: the pages of this process, if it has them.
    pub from: Vec<String>,
    /// Seconds after which a list is asked for again on the same template, 1 to 3600.
    pub each_s: u32,
}

impl Default for Direct {
    fn default() -> Self {
        Self {
            from: Vec::new(),
            each_s: EACH_S_DEFAULT,
        }
    }
}

impl Gateway {
    /// Checks what it says of lists; the error says what is wrong.
    pub(super) fn check_direct(&self) -> Result<(), String> {
        let Direct { from, each_s } = &self.direct;
        if !(1..=3_600).contains(each_s) {
            return Err(format!("direct.each_s is 1 to 3600, not {each_s}"));
        }
        if FROM_MAX < from.len() {
            return Err(format!("direct.from has at most {FROM_MAX} projectors"));
        }
        if let Some(url) = from.iter().find(|url| projector(url).is_none()) {
            return Err(format!("direct.from: {url:?} is no http://HOST:PORT"));
        }
        if !from.is_empty() && self.only_pot().is_none() {
            return Err("direct: all ports of such a gateway are of one pot, since its miners work on one coinbase".to_owned());
        }
        Ok(())
    }

    /// The pot of all of its ports; none if they are of several.
    #[must_use]
    pub fn only_pot(&self) -> Option<u16> {
        let first = self.port.first()?.pot;
        let is_of_one = self.port.iter().all(|port| port.pot == first);
        is_of_one.then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_asks_for_lists_has_one_pot() {
        let gateway = |text: &str| -> Gateway { toml::from_str(text).unwrap() };
        let port = |pot: u16| {
            format!("[[port]]\nlisten = \"127.0.0.1:0\"\npot = {pot}\ndifficulty = \"1\"\n")
        };
        let (one, two) = (
            format!("{}{}", port(3), port(3)),
            format!("{}{}", port(3), port(4)),
        );
        assert_eq!(gateway(&one).only_pot(), Some(3));
        assert_eq!(gateway(&two).only_pot(), None);
        let from = "[direct]\nfrom = [\"http://127.0.0.1:8080\"]\n";
        for (text, is_right) in [
            (one.clone(), true),
            (two.clone(), true),
            (format!("{one}{from}"), true),
            (format!("{two}{from}"), false),
            (format!("{one}[direct]\nfrom = [\"127.0.0.1:8080\"]"), false),
            (format!("{one}[direct]\neach_s = 0"), false),
            (format!("{one}[direct]\neach_s = 3600"), true),
        ] {
            assert_eq!(gateway(&text).check_direct().is_ok(), is_right, "{text}");
        }
    }
}
