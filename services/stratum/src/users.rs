//! Who is logged in on a connection, in any dialect.

use std::collections::BTreeMap;

use crate::submit::UserNumber;
use crate::{StratumError, USERS_MAX};

/// Users of a connection by their names as written; numbers are dense from 0, and stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    by_name: BTreeMap<Box<str>, UserNumber>,
}

impl Users {
    /// The number of a user, the same as before for the same name.
    ///
    /// # Errors
    /// [`StratumError::Unauthorized`] of a new one if there are [`USERS_MAX`] already.
    pub(crate) fn enter(&mut self, name: &str) -> Result<UserNumber, StratumError> {
        if let Some(number) = self.get(name) {
            return Ok(number);
        }
        let count = Some(self.len()).filter(|count| *count < USERS_MAX);
        let number = count.and_then(|count| u16::try_from(count).ok());
        let number = UserNumber(number.ok_or(StratumError::Unauthorized)?);
        self.by_name.insert(name.into(), number);
        Ok(number)
    }

    /// The number of a user who is logged in.
    pub(crate) fn get(&self, name: &str) -> Option<UserNumber> {
        self.by_name.get(name).copied()
    }

    /// The only one; none if there are several.
    pub(crate) fn only(&self) -> Option<(&str, UserNumber)> {
        let (name, number) = self.by_name.first_key_value()?;
        (self.len() == 1).then_some((name, *number))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
