"""Every error of the project: one class per *next action*, each with three sentences.

    BwlibError                 attempted / came back / do next (always all three)
    ├─ SettingsError           fix your answers; nothing was sent                       exit 6
    │  └─ SecretUnavailable    a secret reference could not be resolved                 exit 8
    ├─ BandwidthError          carries HTTP status, Bandwidth's error code and text
    │  ├─ NotAuthenticated     401: fix the credential                                  exit 2
    │  ├─ NotEntitled          403, 33004, 23013: ask Bandwidth to enable it            exit 4
    │  ├─ Refused              400/404/409/422, or an error inside a 2xx: read the text exit 1, 3 or 4
    │  └─ Unavailable          429/5xx/no answer: look, then run the cell again         exit 7, 5 or 1
    ├─ PbxError
    │  ├─ PbxUnreachable       the PBX did not answer, or there is none                 exit 1
    │  └─ PbxRefused           the PBX answered no, or the object belongs to someone    exit 4
    ├─ StepError
    │  ├─ StillPending         not done within the named limit: run the cell again      exit 5
    │  └─ NotAsExpected        a check failed: expected, found, likely causes           exit 9
    ├─ RecordError             the record is not what it claims to be                   exit 9
    └─ BrowserMissing          no browser: pictures and PDF are skipped                 exit 1

Exit codes are those of Bandwidth's own `band` command line, plus 9 for "verification failed".
This module imports nothing.
"""


class BwlibError(Exception):
    """Something the user must know, in three sentences.

    attempted: what we tried to do. came_back: what happened instead.
    do_next: the action that helps. None of them ever holds a secret.
    """

    exit_code = 1

    def __init__(self, attempted: str, came_back: str, do_next: str) -> None:
        super().__init__(attempted, came_back, do_next)
        self.attempted = attempted
        self.came_back = came_back
        self.do_next = do_next

    def __str__(self) -> str:
        return f"Attempted: {self.attempted}\nCame back: {self.came_back}\nDo next:   {self.do_next}"

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows for it: the three sentences. IPython looks for this name."""
        return [type(self).__name__, *str(self).splitlines()]


class SettingsError(BwlibError):
    """An answer or a parameter is wrong. Nothing was sent."""

    exit_code = 6


class SecretUnavailable(SettingsError):
    """A secret reference (env:, keyring:, file:, prompt:) gave nothing."""

    exit_code = 8


class BandwidthError(BwlibError):
    """Bandwidth answered no, or not at all.

    status: HTTP status, None when there was no answer. code: Bandwidth's own error code, such as "33004".
    """

    def __init__(
        self, attempted: str, came_back: str, do_next: str, *, status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(attempted, came_back, do_next)
        self.status = status
        self.code = code


class NotAuthenticated(BandwidthError):
    exit_code = 2


class NotEntitled(BandwidthError):
    exit_code = 4


class Refused(BandwidthError):
    """Bandwidth understood and said no. Exit 3 for "not found", 4 for "conflict", else 1."""

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return {404: 3, 409: 4}.get(self.status or 0, 1)


class Unavailable(BandwidthError):
    """No usable answer. Exit 7 when rate limited, 5 when timed out, else 1.

    may_have_arrived: True when the request may have been carried out: look before sending it again.
    """

    def __init__(
        self,
        attempted: str,
        came_back: str,
        do_next: str,
        *,
        status: int | None = None,
        code: str | None = None,
        may_have_arrived: bool = False,
        timed_out: bool = False,
    ) -> None:
        super().__init__(attempted, came_back, do_next, status=status, code=code)
        self.may_have_arrived = may_have_arrived
        self.timed_out = timed_out

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        if self.status == 429:
            return 7
        return 5 if self.timed_out else 1


class PbxError(BwlibError):
    pass


class PbxUnreachable(PbxError):
    pass


class PbxRefused(PbxError):
    exit_code = 4


class StepError(BwlibError):
    pass


class StillPending(StepError):
    exit_code = 5


class NotAsExpected(StepError):
    exit_code = 9


class RecordError(BwlibError):
    exit_code = 9


class BrowserMissing(BwlibError):
    """There is no browser to draw with. Pictures and PDF are skipped, and the record says so."""
