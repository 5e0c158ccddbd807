//! When a staged file is missing or damaged: what a plan delivers is gone, and a function that is called anew may answer
//! otherwise. What is right then depends on what of the plan is there already; the plan says what there is to be.
//!
//! | the plan's objects | what is done |
//! |---|---|
//! | all are there, or there are none to be | the plan is done: it is committed with what its file counted |
//! | none is there | the functions are called anew, and the plan is made anew under the same keys: should an object of the first come late, it is found in its place |
//! | rows go to an HTTP endpoint | what it was sent it is sent again, in other words perhaps: it takes records at least once |
//! | some of them are there and some are not | nothing can be right: what failed the first time is not known. The stream says so and waits, until the file is brought back or its records expire |

use super::deliver::{Attempted, Courier};
use super::failed::Codes;
use super::stage::blocking;
use super::staged::Staged;
use crate::destination::Destination;
use crate::error::{Error, Kind, Result};
use crate::ledger::Plan;

impl Courier {
    /// What becomes of a plan that failed for `error`, which says that its file is not what was staged.
    pub(super) async fn after_loss(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        staged: &Staged,
        error: Error,
        to_endpoint: bool,
    ) -> Result<Attempted> {
        if self.is_readable(staged).await? {
            return Err(error);
        }
        if to_endpoint {
            tracing::error!(stream = self.name, key = plan.key, %error, "functions are called anew, and requests sent again");
            return Ok(Attempted::Lost);
        }
        let mut tally = staged.tally;
        let rows = (tally.delivered > 0).then_some((plan.key.as_str(), true));
        let errors = plan.error_output(&staged.tally);
        let wanted = rows.into_iter().chain(errors.iter().map(|output| (output.key, false)));
        let mut missing = None;
        for (key, counts) in wanted {
            match destination.find(key).await? {
                Some(bytes) => {
                    tally.objects += 1;
                    tally.object_bytes += if counts { bytes } else { 0 };
                }
                None => missing = Some(key),
            }
        }
        match missing {
            None => {
                tracing::error!(stream = self.name, key = plan.key, %error, "all that was staged is delivered already");
                Ok(Attempted::Done(tally, Codes::new()))
            }
            Some(_) if tally.objects == 0 => {
                tracing::error!(stream = self.name, key = plan.key, %error, "nothing of it is delivered, functions are called anew");
                Ok(Attempted::Lost)
            }
            Some(key) => {
                let message = format!(
                    "{}, and of its objects {key:?} is not there while another is: bring the file back from a backup, for \
                     functions may not be called anew",
                    error.message()
                );
                Err(Error::new(Kind::Corrupt, message))
            }
        }
    }

    /// Whether the file is just what was staged.
    async fn is_readable(&self, staged: &Staged) -> Result<bool> {
        let (staging, staged) = (self.staging.clone(), staged.clone());
        let read = blocking(move || {
            let mut parts = staging.read(&staged)?;
            while parts.next()?.is_some() {}
            Ok(())
        });
        match read.await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }
}
