"""The Engine contract: what newsloom needs from Knitfab, whoever provides it. Knows no implementation.

Every method raises `KnitError`: `not_found` for an unknown id, `conflict` where the state forbids the
change, `invalid` for a bad argument; a remote engine also `unreachable`, `unavailable`, `corrupt`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from knitfab.records import Data, Plan, PlanSpec, Run, Tag


class Engine(Protocol):
    """Data, plans and Runs of one Knitfab."""

    def find_data(
        self, tags: Sequence[Tag] = (), since: datetime | None = None, duration: timedelta | None = None
    ) -> list[Data]:
        """Data that carry all `tags`, by knit#timestamp; the window is [since, since + duration)."""
        ...

    def get_data(self, knit_id: str) -> Data:
        """One Data's tags and links."""
        ...

    def push_data(self, source: Path, tags: Sequence[Tag] = ()) -> Data:
        """A new Data from the folder `source`; all `tags` are set at once after the content."""
        ...

    def pull_data(self, knit_id: str, target: Path) -> None:
        """The content into `target`, a new or empty folder; checksum verified, nothing left on failure."""
        ...

    def tag_data(
        self,
        knit_id: str,
        add: Sequence[Tag] = (),
        remove: Sequence[Tag] = (),
        remove_keys: Sequence[str] = (),
    ) -> Data:
        """Removals first, then additions, in one transaction. A `knit#` key is `invalid`."""
        ...

    def find_plans(
        self,
        active: bool | None = None,
        image: str | None = None,
        in_tags: Sequence[Tag] = (),
        out_tags: Sequence[Tag] = (),
    ) -> list[Plan]:
        """Plans, pseudo ones too; `image` is `repo[:tag]`, some single input must hold all `in_tags`."""
        ...

    def get_plan(self, plan_id: str) -> Plan:
        """One plan."""
        ...

    def apply_plan(self, spec: PlanSpec) -> Plan:
        """Registers a plan. `conflict` when an equal plan exists or the tags make a cycle."""
        ...

    def set_active(self, plan_id: str, active: bool) -> Plan:
        """Lets the plan's waiting Runs start, or holds them."""
        ...

    def set_resources(
        self, plan_id: str, limits: Mapping[str, str] | None = None, unset: Sequence[str] = ()
    ) -> Plan:
        """Sets, then unsets resource limits."""
        ...

    def annotate(
        self,
        plan_id: str,
        add: Sequence[tuple[str, str]] = (),
        remove: Sequence[tuple[str, str]] = (),
        remove_keys: Sequence[str] = (),
    ) -> Plan:
        """Removals first, then additions, of (key, value) annotations."""
        ...

    def set_service_account(self, plan_id: str, service_account: str | None) -> Plan:
        """Names the plan's service account, or drops it (None)."""
        ...

    def find_runs(
        self,
        plans: Sequence[str] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        statuses: Sequence[str] = (),
        since: datetime | None = None,
        duration: timedelta | None = None,
    ) -> list[Run]:
        """Runs by planIds, knitIds in, knitIds out, statuses: any of each, all together; by updatedAt.

        Without `statuses` deleted Runs (`invalidated`) are among them.
        """
        ...

    def get_run(self, run_id: str) -> Run:
        """One Run."""
        ...

    def stop_run(self, run_id: str, fail: bool = False) -> Run:
        """Ends a Run: its outputs so far become Data, or with `fail` the Run is failed."""
        ...

    def retry_run(self, run_id: str) -> None:
        """A finished Run goes back to waiting, with new knitIds."""
        ...

    def delete_run(self, run_id: str) -> None:
        """The Run's Data vanish; its combination of inputs is never run again."""
        ...

    def read_log(self, run_id: str, follow: bool = False) -> Iterator[bytes]:
        """The log's bytes so far; with `follow` until the Run ends. Close the iterator to stop early."""
        ...
