"""Who may do what: roles by the names of Orthanc's users."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["view", "judge", "run", "admin"]
EVERYBODY = "*"


class Roles(BaseModel):
    """For each role the users who have it; ``*`` stands for everybody whom Orthanc lets in.

    view : pages and results
    judge : say of a finding whether it is right
    run : have a study read again
    admin : read the audit trail
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    view: tuple[str, ...] = (EVERYBODY,)
    judge: tuple[str, ...] = (EVERYBODY,)
    run: tuple[str, ...] = (EVERYBODY,)
    admin: tuple[str, ...] = ()

    def has(self, person: str, role: Role) -> bool:
        """Whether the user has the role; an admin has every one."""
        return bool({person, EVERYBODY} & {*getattr(self, role)}) or person in self.admin
