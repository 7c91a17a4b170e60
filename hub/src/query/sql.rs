//! Read-only SQL.

use remora_store::{SqlBound, SqlQuery};

use super::request::SqlRequest;
use super::window::Window;
use super::{Answer, Query, QueryError, json_rows, limit, now};

impl Query {
    /// Rows of a statement over the views of the store.
    ///
    /// # Errors
    /// A statement or argument that is wrong, or a store that cannot answer.
    pub async fn sql(&self, request: &SqlRequest) -> Result<Answer, QueryError> {
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), now())?;
        let query = SqlQuery {
            text: request.query.clone(),
            window: window.into(),
            filters: Vec::new(),
            limit: limit(request.limit)?,
            mask: !self.reveal_secrets,
        };
        let found = self.store.sql(&query).await?;
        let columns = found.rows.schema().fields().iter().map(|f| f.name().clone()).collect();
        let mut answer = Answer {
            window: Some(window),
            columns,
            rows: json_rows(&found.rows, self.reveal_secrets),
            coverage: Some(self.coverage(window).await?),
            ..Answer::default()
        };
        match found.more {
            None => {}
            Some(SqlBound::Rows) => answer.notes.push(
                "there are more rows; raise limit, or order, group or filter in the statement".to_owned(),
            ),
            Some(SqlBound::Bytes) => {
                answer.notes.push("the rows are too large for one answer; select fewer columns".to_owned());
            }
        }
        if answer.rows.is_empty() {
            answer.notes.push(
                "no rows: the views hold only the window (since, until); get_status tells what was captured"
                    .to_owned(),
            );
        }
        Ok(answer)
    }
}
