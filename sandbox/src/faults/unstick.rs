//! Completion of background work that `Fault::Stuck` has blocked.

use crate::account::OptIn;
use crate::organizations::RequestState;
use crate::ssoadmin::RequestStatus;
use crate::world::World;

impl World {
    /// Completes all background work that a fault has blocked.
    pub fn complete_stuck_work(&self) {
        let now = self.clock().now();
        let state = &mut *self.state();
        let organization = &mut state.organization;
        for request in &mut organization.requests {
            if let RequestState::InProgress { ready_at: ready_at @ None, .. } = &mut request.state {
                *ready_at = Some(now);
                organization.next_due = Some(organization.next_due.map_or(now, |due| due.min(now)));
            }
        }
        let center = &mut state.identity_center;
        let requests = center.requests.values_mut().map(|request| (&request.progress, &mut request.ready_at));
        let provisionings = center.provisionings.values_mut().map(|request| (&request.progress, &mut request.ready_at));
        for (_, ready_at) in
            requests.chain(provisionings).filter(|(progress, _)| **progress == RequestStatus::InProgress)
        {
            ready_at.get_or_insert(now);
        }
        for region in state.accounts.values_mut().flat_map(|account| account.regions.values_mut()) {
            if let OptIn::Enabling(ready_at) = &mut region.opt_in {
                ready_at.get_or_insert(now);
            }
            region.stacks.resume_stuck_tasks(now);
        }
        state.advance(self.settings(), now);
    }
}
