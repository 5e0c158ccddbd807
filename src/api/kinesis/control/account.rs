//! What holds for the account.

use super::super::document::Document;
use super::{Call, Said};
use crate::api::ApiError;
use crate::limits;
use crate::stream::data::Mode;

impl Call<'_> {
    pub(super) fn describe_limits(&self) -> Said {
        self.allowed_on_all()?;
        let snapshot = self.context.data_streams.snapshot();
        let open: usize = snapshot.values().map(|definition| definition.open_shards().count()).sum();
        let on_demand = snapshot.values().filter(|definition| definition.mode == Mode::OnDemand).count();
        Ok(Some(Document::map([
            ("ShardLimit", self.settings().shards_max.into()),
            ("OpenShardCount", open.into()),
            ("OnDemandStreamCount", on_demand.into()),
            ("OnDemandStreamCountLimit", limits::DATA_STREAMS_MAX.into()),
        ])))
    }

    pub(super) fn describe_account(&self) -> Said {
        self.allowed_on_all()?;
        Ok(Some(no_commitment()))
    }

    /// Nobody is billed here, so there is nothing to commit to.
    pub(super) fn update_account(&self, input: &Document) -> Said {
        self.allowed_on_all()?;
        let commitment = input.get("MinimumThroughputBillingCommitment");
        if commitment.and_then(|commitment| commitment.text("Status")) == Some("ENABLED") {
            return Err(ApiError::invalid_argument(
                "MinimumThroughputBillingCommitment cannot be ENABLED: Standpipe bills nothing.",
            ));
        }
        Ok(Some(no_commitment()))
    }
}

fn no_commitment() -> Document {
    let status = Document::map([("Status", "DISABLED".into())]);
    Document::map([("MinimumThroughputBillingCommitment", status)])
}
