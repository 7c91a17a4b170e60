//! The plaintext of a connection: a flow of its own, of which the protocol is found by content as
//! that of any other.

use remora_model::Timestamp;

use crate::engine::nested::{App, Env};
use crate::{Context, Ending, Problem, Role};

/// How many connections may be inside each other: TLS through a proxy that is itself spoken to by
/// TLS.
const MAX_DEPTH: u8 = 2;

/// Where plaintext goes.
#[derive(Default)]
pub(super) struct Plain {
    app: Option<Box<App>>,
    ended: [bool; 2],
    /// It is too deep to be looked at.
    refused: bool,
}

impl Plain {
    /// The next bytes from `role`, which arrived at `when`.
    pub(super) fn data(&mut self, role: Role, text: &[u8], when: Timestamp, cx: &mut Context<'_>) {
        if text.is_empty() || self.ended[role.index()] {
            return;
        }
        if cx.within.depth >= MAX_DEPTH {
            self.refused = true;
            return cx.problem(Problem::Opaque, text.len() as u64);
        }
        let mut missing = 0;
        let app = self.app.get_or_insert_with(|| {
            let mut app = Box::new(App::new());
            app.set_opener(Role::Client.index());
            // A side that could never be read is over for what is inside as well.
            for dir in [0, 1].into_iter().filter(|dir| self.ended[*dir]) {
                app.end(dir, Ending::Lost, &mut Env::inside(cx, &mut missing));
            }
            app
        });
        app.data(role.index(), text, when, &mut Env::inside(cx, &mut missing));
    }

    /// About `len` bytes from `role` could not be read.
    pub(super) fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        if let Some(app) = self.app.as_mut().filter(|_| !self.ended[role.index()]) {
            let mut missing = 0;
            app.gap(role.index(), len, &mut Env::inside(cx, &mut missing));
        }
    }

    /// Nothing more comes from `role`.
    pub(super) fn end(&mut self, role: Role, how: Ending, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.ended[role.index()], true) {
            return;
        }
        if let Some(app) = &mut self.app {
            let mut missing = 0;
            app.end(role.index(), how, &mut Env::inside(cx, &mut missing));
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        if let Some(app) = &mut self.app {
            let mut missing = 0;
            app.tick(now, &mut Env::inside(cx, &mut missing));
        }
    }

    pub(super) fn awaits_time(&self) -> bool {
        self.app.as_ref().is_some_and(|app| app.awaits_time())
    }

    /// Nobody wants what `role` sends.
    pub(super) fn is_opaque(&self, role: Role) -> bool {
        let unwanted = |app: &App| app.unwanted(role.index()) == u64::MAX;
        self.refused || self.ended[role.index()] || self.app.as_deref().is_some_and(unwanted)
    }

    /// Name of the protocol that was found.
    pub(super) fn protocol(&self) -> Option<&'static str> {
        self.app.as_ref().and_then(|app| app.protocol())
    }

    pub(super) fn is_busy(&self) -> bool {
        self.app.as_ref().is_some_and(|app| app.is_busy())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.app.as_ref().map_or(0, |app| size_of::<App>() + app.memory())
    }
}
