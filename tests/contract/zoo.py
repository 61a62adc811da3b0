"""Broken drivers: each breaks one rule of the port, and the contract says which.

A beast names its culprit, the behaviour that is about the broken rule, and `also`: behaviours that cannot hold
either once that rule is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from encoder_bridge.testing import Rig

from .beasts_openers import (
    AnotherPort,
    ChecksAFile,
    ChecksTheDevice,
    ClosesOnce,
    FindsWhatItRefuses,
    OpensTwice,
    PortAsText,
    RefusesWithoutAName,
    SwallowsOnClose,
    TakesAnySetting,
)
from .beasts_strangers import (
    ForgetsTheUnanswered,
    StartsAgain,
    StripeArmedFirst,
    StripeWaitsInSilence,
    StripeWrittenAgain,
)
from .beasts_talkers import (
    BelievesTheErasure,
    ErasesAll,
    ErasesAnyCard,
    ErasesFirst,
    ErasesNothing,
    ErasesOnAndOn,
    ErrorsHoldTheContents,
    IntendsToRead,
    LiftedAtOnce,
    LogsTheKey,
    LostAtOnce,
    LostForGood,
    NeverLifted,
    NotesTheContents,
    PrintsTheGuest,
    ReaderMarksTheCard,
    ReadsAnotherCard,
    ReadsOnAndOn,
    ReceiptNamesTheGuest,
    ShowsTheKey,
    SignalsOntoTheCard,
)
from .beasts_writers import (
    SHORT_S,
    AnyCardIsWrong,
    AsksAgain,
    BelievesTheIntent,
    CallsTheRightCardWrong,
    CapabilitiesDrift,
    ChokesOnOldNotes,
    ClaimsMore,
    DoesNotReadBack,
    HangsOnShutdown,
    IgnoresVeto,
    IgnoresWithdrawal,
    IntendsAfterwards,
    JudgesFromAFile,
    JudgesLate,
    JudgesOnlyInCheck,
    LosesTheIntent,
    NamesWhatItCannotTell,
    NeverIntends,
    NeverSureAgain,
    OvershootsTheTotal,
    RephrasesVeto,
    ResumesBlindly,
    ResumesOnAnyCard,
    RunsBackwards,
    SaysNothingChanged,
    SpoilsTheOthers,
    TidiesUpOnShutdown,
    TimeInFractions,
    TooSilent,
    WithdrawsTooLate,
    WritesFirst,
)
from .behaviours import BEHAVIOURS
from .fakes.contactless import Contactless, ContactlessDriver, contactless
from .fakes.delegated import Delegated, delegated
from .fakes.magstripe import Magstripe, magstripe
from .names import (
    CALLED_WRONG,
    CAPABILITIES,
    CARD_VETO,
    CLOSING,
    COMPLETE,
    CRASH,
    CRASH_AGAIN,
    DISCOVERY,
    ERASE,
    ERASE_CRASH,
    ERASE_OFF,
    ERASE_VETO,
    ERASE_WRONG,
    ESCAPE,
    FAULT,
    HANDED,
    HIDES,
    IMPOSSIBLE,
    INTENT,
    JUDGING,
    LIFTED,
    LOGS,
    LOST,
    NAMELESS,
    NO_IO,
    ONCE,
    ONE,
    PORT,
    PROGRESS,
    READ,
    READ_OFF,
    SETTING,
    SHUTDOWN,
    SIGNAL,
    SILENCE,
    STRIKES,
    TOO_LATE,
    TWO,
    VETO,
    WAITING,
    WITHDRAWN,
    WRONG_CARD,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beast:
    bench: Callable[[], Rig]
    culprit: str
    also: frozenset[str] = frozenset()
    judged: tuple[str, ...] = BEHAVIOURS
    """What it is put to; fewer for a beast that takes its time."""


def reader(device: type[Contactless], culprit: str, *also: str, patience_s: float = 10.0) -> Beast:
    bench = partial(contactless, device=device, patience_s=patience_s)
    return Beast(bench=bench, culprit=culprit, also=frozenset(also))


def driver(kind: type[ContactlessDriver], culprit: str, *also: str) -> Beast:
    return Beast(bench=partial(contactless, driver=kind), culprit=culprit, also=frozenset(also))


def other(bench: Callable[..., Rig], device: type[Magstripe | Delegated], culprit: str, *also: str) -> Beast:
    return Beast(bench=partial(bench, device=device), culprit=culprit, also=frozenset(also))


def harmless() -> Rig:
    """A good driver on a bench whose accident does not happen."""
    return replace(contactless(), faults={"nothing at all": lambda: None})


RESUMED = (CRASH, CRASH_AGAIN, SHUTDOWN)

ZOO = {
    "writes before the intent": reader(WritesFirst, INTENT, CRASH, SHUTDOWN, CARD_VETO, ERASE, ERASE_VETO, VETO),
    "never intends": reader(
        NeverIntends,
        INTENT,
        *RESUMED,
        CARD_VETO,
        COMPLETE,
        ERASE,
        ERASE_VETO,
        FAULT,
        SILENCE,
        TOO_LATE,
        VETO,
        WRONG_CARD,
        CALLED_WRONG,
        ERASE_WRONG,
    ),
    "intends afterwards": reader(
        IntendsAfterwards, INTENT, CRASH, SHUTDOWN, CARD_VETO, ERASE, ERASE_VETO, ERASE_WRONG, FAULT, VETO
    ),
    "ignores the veto": reader(IgnoresVeto, VETO, CARD_VETO, ERASE_VETO),
    "rephrases the veto": reader(RephrasesVeto, CARD_VETO),
    "resumes blindly": reader(ResumesBlindly, COMPLETE, *RESUMED, WRONG_CARD, CALLED_WRONG),
    "resumes on any card": reader(ResumesOnAnyCard, WRONG_CARD, CALLED_WRONG, ERASE_WRONG),
    "asks again and does not say why": reader(AsksAgain, CALLED_WRONG),
    "calls the right card wrong": reader(CallsTheRightCardWrong, CALLED_WRONG),
    "calls any card wrong": reader(AnyCardIsWrong, CALLED_WRONG),
    "names cards that it cannot tell apart": reader(NamesWhatItCannotTell, NAMELESS),
    "tells time in fractions of a second": reader(TimeInFractions, CAPABILITIES),
    "loses the intent": reader(LosesTheIntent, CRASH_AGAIN),
    "believes the intent": reader(BelievesTheIntent, CRASH, CRASH_AGAIN, FAULT, SHUTDOWN, WRONG_CARD, CALLED_WRONG),
    "never sure again": reader(NeverSureAgain, COMPLETE, *RESUMED, FAULT, WRONG_CARD, CALLED_WRONG),
    "does not read back": reader(DoesNotReadBack, FAULT, STRIKES),
    "claims more than it can": reader(ClaimsMore, ONE),
    "capabilities drift": reader(CapabilitiesDrift, CAPABILITIES),
    "chokes on old notes": reader(ChokesOnOldNotes, ESCAPE),
    "a bench whose fault never strikes": Beast(bench=harmless, culprit=STRIKES),
    "says nothing changed": reader(SaysNothingChanged, FAULT),
    "withdraws too late": reader(WithdrawsTooLate, TOO_LATE),
    "ignores the withdrawal": Beast(
        bench=partial(contactless, device=IgnoresWithdrawal, patience_s=SHORT_S),
        culprit=WITHDRAWN,
        also=frozenset({READ_OFF}),
        judged=(WITHDRAWN, READ_OFF, TOO_LATE, ONE),
    ),
    "hangs on shutdown": reader(HangsOnShutdown, SHUTDOWN, patience_s=SHORT_S),
    "takes a shutdown for the end": reader(TidiesUpOnShutdown, SHUTDOWN),
    "too silent": Beast(
        bench=partial(contactless, device=TooSilent),
        culprit=SILENCE,
        also=frozenset({TOO_LATE}),
        judged=(SILENCE, TOO_LATE, ONE, PROGRESS),
    ),
    "progress runs backwards": reader(RunsBackwards, PROGRESS),
    "progress beyond the total": reader(OvershootsTheTotal, PROGRESS),
    "spoils other cards": reader(SpoilsTheOthers, TWO, ERASE, ERASE_WRONG),
    "judges after asking": reader(JudgesLate, IMPOSSIBLE),
    "judges only in check": reader(JudgesOnlyInCheck, IMPOSSIBLE),
    "judges from a file": reader(JudgesFromAFile, JUDGING),
    "logs the key": reader(LogsTheKey, LOGS),
    "prints the guest": reader(PrintsTheGuest, LOGS),
    "notes the contents": reader(NotesTheContents, HANDED),
    "receipt names the guest": reader(ReceiptNamesTheGuest, HANDED),
    "errors hold the contents": reader(ErrorsHoldTheContents, HANDED),
    "shows the key": reader(ShowsTheKey, HANDED),
    "lost at once": reader(LostAtOnce, LOST),
    "lost for good": reader(LostForGood, LOST),
    "lifted at once": reader(LiftedAtOnce, LIFTED),
    "never lifted": reader(NeverLifted, LIFTED, patience_s=SHORT_S),
    "reader marks the card": reader(ReaderMarksTheCard, READ),
    "reads another card": reader(ReadsAnotherCard, READ),
    "reads on and on": reader(ReadsOnAndOn, READ_OFF),
    "erases before the intent": reader(ErasesFirst, ERASE_VETO, ERASE, ERASE_WRONG),
    "erases nothing": reader(ErasesNothing, ERASE, ERASE_CRASH),
    "erases all": reader(ErasesAll, ERASE, ERASE_WRONG),
    "erases any card on resume": reader(ErasesAnyCard, ERASE_WRONG),
    "erases on and on": reader(ErasesOnAndOn, ERASE_OFF),
    "intends to read": reader(IntendsToRead, READ),
    "believes the erasure": reader(BelievesTheErasure, ERASE_CRASH),
    "signals onto the card": reader(SignalsOntoTheCard, SIGNAL),
    "another port": driver(AnotherPort, PORT),
    "port as text": driver(PortAsText, PORT),
    "check asks the device": driver(ChecksTheDevice, NO_IO),
    "check reads a file": driver(ChecksAFile, NO_IO),
    "takes any setting": driver(TakesAnySetting, SETTING),
    "refuses without a name": driver(RefusesWithoutAName, SETTING),
    "finds what it refuses": driver(FindsWhatItRefuses, DISCOVERY),
    "opens twice": driver(OpensTwice, ONCE),
    "closes once": driver(ClosesOnce, CLOSING),
    "swallows errors on close": driver(SwallowsOnClose, HIDES),
    "stripe written again": other(partial(magstripe, reads=True), StripeWrittenAgain, COMPLETE, *RESUMED, FAULT),
    "stripe armed before the intent": other(
        partial(magstripe, reads=True), StripeArmedFirst, INTENT, CRASH, SHUTDOWN, CARD_VETO, FAULT, VETO
    ),
    "stripe waits in silence": other(partial(magstripe, reads=True), StripeWaitsInSilence, WAITING),
    "starts again elsewhere": other(delegated, StartsAgain, COMPLETE, *RESUMED, FAULT),
    "forgets the unanswered": other(delegated, ForgetsTheUnanswered, FAULT, *RESUMED),
}
