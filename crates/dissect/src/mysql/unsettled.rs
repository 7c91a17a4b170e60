//! What a client asked to change of its session, until the server has said whether it did.

use super::exchange::Session;

/// Another default database, or another user, that was asked for.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// The database before.
    previous: Vec<u8>,
    database: bool,
    user: bool,
}

impl Unsettled {
    /// Another database was asked for: until that is answered, it is not known which one it is.
    pub(super) fn database(&mut self, session: &mut Session) {
        if self.database {
            self.previous.clear();
        } else {
            std::mem::swap(&mut self.previous, &mut session.database);
        }
        session.database.clear();
        self.database = true;
    }

    /// Another database may have been asked for.
    pub(super) fn lost(&mut self, session: &mut Session) {
        self.previous.clear();
        session.database.clear();
    }

    /// Another user was asked for, who `session` names.
    pub(super) fn user(&mut self) {
        self.previous.clear();
        (self.database, self.user) = (true, true);
    }

    /// The server has refused: everything is as before.
    pub(super) fn refused(&mut self, session: &mut Session) {
        if self.database && !self.user {
            std::mem::swap(&mut self.previous, &mut session.database);
        }
        *self = Self { previous: std::mem::take(&mut self.previous), ..Self::default() };
    }

    /// All that was asked for is answered.
    pub(super) fn settled(&mut self) {
        (self.database, self.user) = (false, false);
    }

    /// What was answered will not be known.
    pub(super) fn give_up(&mut self, session: &mut Session) {
        if self.database {
            session.database.clear();
        }
        if self.user {
            session.user.clear();
        }
        self.settled();
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        self.previous.capacity()
    }
}
