//! The views, over whatever tables a session has.

use std::sync::Arc;

use datafusion::{catalog::view::ViewTable, prelude::SessionContext};
use patchkit_core::Result;

use super::error::classify;
use crate::{Dialect, View};

/// Plans every view over the session's tables and registers it.
pub(super) async fn register(context: &SessionContext) -> Result<()> {
    for view in View::ALL {
        let sql = view.sql(Dialect::DataFusion);
        let plan = context.state().create_logical_plan(&sql).await.map_err(classify)?;
        let table = Arc::new(ViewTable::new(plan, Some(sql)));
        context.register_table(view.name(), table).map_err(classify)?;
    }
    Ok(())
}
