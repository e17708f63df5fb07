"""The breaker: its states in their order, one probe at a time, and who may and may not open it."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import SourceError, SourceRejected, SourceTimeout, SourceUnavailable
from contract_tests.calling import CASES, DOWN, OK, SOURCE, Breaker, Calling, always, calling, market
from contract_tests.waiting import until_at_last
from gateway.engine.calls.breaker import Breaker as Machine

pytestmark = pytest.mark.anyio


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Driven:
    """A breaker and what became of it. Steps: `+` an answer, `-` a failure, `?` nobody knows, a number: seconds pass."""

    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)

    def run(self, steps: str, **words: float) -> list[str]:
        machine = Machine(failures=3, pause=2.0, now=self.clock, told=self.told.append, slow=words.get("slow"))
        states = []
        for step in steps.split():
            if step in "+-?":
                if machine.refuses() is None:
                    machine.end(machine.begin(), {"+": True, "-": False, "?": None}[step])
                else:
                    states.append("refused")
                    continue
            else:
                self.clock.now += float(step)
            states.append(machine.state)
        return states


CLOSED, OPEN, HALF, REFUSED = "closed", "open", "half-open", "refused"


@pytest.mark.parametrize(
    ("steps", "states"),
    [
        ("- - +", [CLOSED, CLOSED, CLOSED]),
        ("- - + - -", [CLOSED] * 5),
        ("- - -", [CLOSED, CLOSED, OPEN]),
        ("- - - + 1.9 +", [CLOSED, CLOSED, OPEN, REFUSED, OPEN, REFUSED]),
        ("- - - 2 +", [CLOSED, CLOSED, OPEN, HALF, CLOSED]),
        ("- - - 2 ? ? +", [CLOSED, CLOSED, OPEN, HALF, HALF, HALF, CLOSED]),
        ("- - - 2 - 2 3.9", [CLOSED, CLOSED, OPEN, HALF, OPEN, OPEN, HALF]),
        ("- - - 2 - 4 + - - -", [CLOSED, CLOSED, OPEN, HALF, OPEN, HALF, CLOSED, CLOSED, CLOSED, OPEN]),
        ("? ? ? ?", [CLOSED] * 4),
        ("- 0.5 - 0.5 -", [CLOSED, CLOSED, CLOSED, CLOSED, OPEN]),
        ("+ - " * 6, [CLOSED] * 11 + [OPEN]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_states_follow_from_what_happened(steps: str, states: list[str]) -> None:
    assert Driven().run(steps) == states


def test_few_calls_open_it_too_when_all_of_them_fail_for_a_second() -> None:
    driven = Driven()
    machine = Machine(failures=100, pause=2.0, now=driven.clock)
    for _ in range(3):
        assert machine.state == "closed"
        machine.end(machine.begin(), False)
        driven.clock.now += 0.5
    assert machine.state == "open"


def test_calls_that_are_not_answered_open_it_before_they_end() -> None:
    clock = Clock()
    machine = Machine(failures=5, pause=2.0, slow=1.0, most_at_once=2, now=clock)
    stalled = [machine.begin(), machine.begin()]
    assert machine.refuses() is None
    clock.now += 1.1
    assert (machine.refuses(), machine.state) == (2.0, "open")
    for number in stalled:
        machine.end(number, True)
    assert machine.state == "open"


def test_calls_begun_before_it_opened_neither_open_it_again_nor_close_it() -> None:
    clock = Clock()
    machine = Machine(failures=2, pause=2.0, now=clock)
    old = [machine.begin() for _ in range(4)]
    machine.end(old[0], False)
    machine.end(old[1], False)
    clock.now += 2
    machine.end(old[2], True)
    machine.end(old[3], False)
    assert (machine.state, machine.refuses()) == ("half-open", None)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["begin", "answer", "failure", "unknown", "pass"]), max_size=60))
def test_half_open_never_lets_a_second_call_in(steps: list[str]) -> None:
    clock = Clock()
    machine = Machine(failures=2, pause=1.0, now=clock)
    under_way: list[int] = []
    probes: set[int] = set()
    for step in steps:
        if step == "pass":
            clock.now += 0.6
        elif step == "begin":
            is_half_open = machine.state == "half-open"
            if machine.refuses() is None:
                under_way.append(number := machine.begin())
                probes |= {number} if is_half_open else set()
        elif under_way:
            machine.end(done := under_way.pop(0), {"answer": True, "failure": False, "unknown": None}[step])
            probes.discard(done)
        assert len(probes) <= 1


@dataclass
class Silence:
    """A breaker whose calls are answered when a test says so, moments counted from the beginning."""

    words: dict[str, float] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = Machine(
            failures=int(self.words.pop("failures", 5)), pause=2.0, now=self.clock, told=self.told.append, **self.words
        )

    def at(self, seconds: float) -> "Machine":
        """The breaker at that moment, somebody having looked at it all the time."""
        while self.clock.now < 100.0 + seconds - 0.02:
            self.clock.now += 0.02
            assert self.machine.state
        self.clock.now = 100.0 + seconds
        return self.machine

    def is_used(self, seconds: float, until: float) -> None:
        """Calls one after the other, each answered after so long."""
        begun = self.clock.now - 100.0
        while begun < until:
            number = self.at(begun).begin()
            self.at(begun := begun + seconds).end(number, True)


def test_two_silent_calls_open_it_within_a_second() -> None:
    silence = Silence()
    silence.is_used(0.02, until=10)
    silence.at(10.1).begin()
    silence.at(10.2).begin()
    assert silence.at(10.8).state == "closed"
    assert (silence.at(11.0).state, silence.told) == ("open", ["open"])
    assert silence.machine.refuses() == pytest.approx(2.0, abs=0.2)


def test_a_source_that_was_never_heard_of_is_cut_off_as_soon() -> None:
    silence = Silence()
    silence.at(0).begin()
    silence.at(0.1).begin()
    assert silence.at(0.9).state == "open"


def test_one_silent_call_lets_one_other_in_whose_answer_lets_everybody_in() -> None:
    silence = Silence()
    silence.at(0).begin()
    assert (silence.at(0.8).state, silence.machine.refuses()) == ("half-open", None)
    probe = silence.machine.begin()
    assert silence.at(0.81).refuses() is not None
    silence.at(0.82).end(probe, True)
    assert [silence.machine.refuses() for _ in range(50)] == [None] * 50
    assert silence.at(5).state == "closed"  # the one that is still silent may have asked for what nobody can find


def test_a_probe_that_is_silent_as_well_opens_it() -> None:
    silence = Silence()
    silence.at(0).begin()
    silence.at(0.8).begin()
    assert silence.at(1.45).state == "half-open"
    assert silence.at(1.6).state == "open"


def test_those_who_want_the_same_answer_tell_of_silence_too() -> None:
    silence = Silence()
    silence.at(0).begin()
    assert silence.at(0.5).refuses_to_join() is None
    assert silence.at(0.8).refuses_to_join() == pytest.approx(2.0)
    assert silence.machine.state == "open"


def test_a_source_that_is_slow_and_alive_is_shut_out_once_and_only_until_it_answers() -> None:
    silence = Silence()
    silence.is_used(0.02, until=10)
    begun = [silence.at(10.1 + number / 10).begin() for number in range(8)]
    assert silence.at(11.0).state == "open"
    silence.at(12.0).end(begun[0], True)
    assert (silence.machine.state, silence.told) == ("closed", ["open", "closed"])
    for number in begun[1:]:
        silence.machine.end(number, True)
    silence.is_used(0.02, until=13)
    under_way: list[tuple[float, int]] = []
    for tenth in range(600):  # for a minute, ten calls a second that take two seconds each
        now = 13 + tenth / 10
        while under_way and under_way[0][0] <= now:
            silence.at(now).end(under_way.pop(0)[1], True)
        assert silence.at(now).refuses() is None
        under_way.append((now + 2.0, silence.machine.begin()))


def test_a_pause_of_our_own_is_no_silence() -> None:
    """We stand still for two seconds, with two answers unread: whoever looks first must not take that for silence."""
    silence = Silence()
    numbers = [silence.at(0).begin(), silence.at(0.1).begin()]
    silence.clock.now += 2.0
    assert silence.machine.refuses() is None
    silence.machine.end(numbers[0], True)
    silence.machine.end(numbers[1], True)
    assert (silence.at(2.3).state, silence.told) == ("closed", [])


def test_a_source_that_answers_others_is_not_silent() -> None:
    """One call in a hundred takes twenty times as long as the rest."""
    silence = Silence()
    silence.at(0).begin()
    for tenth in range(1, 40):
        number = silence.at(tenth / 10).begin()
        silence.machine.end(number, True)
        assert silence.machine.state == "closed"


def test_what_it_learnt_of_a_slow_source_is_forgotten() -> None:
    silence = Silence()
    silence.is_used(2.0, until=10)
    assert silence.machine.bound == pytest.approx(3.0)
    silence.is_used(0.02, until=75)
    assert silence.machine.bound == 0.7


def test_the_word_of_the_mapping_goes_before_what_is_learnt() -> None:
    silence = Silence({"slow": 5.0})
    numbers = [silence.at(number / 10).begin() for number in range(5)]
    assert silence.at(5.0).state == "closed"
    assert silence.at(5.5).state == "open"
    silence.machine.end(numbers[0], True)
    assert silence.machine.state == "open"


async def outcomes(calling: Calling, count: int, name: str = "C") -> list[str]:
    """What became of so many different questions asked at once."""

    async def one(number: int) -> str:
        try:
            await calling.ask(f"{name}-{number}")
        except SourceError as error:
            return error.code
        return "OK"

    return await asyncio.gather(*(one(number) for number in range(count)))


async def test_fifty_callers_find_one_probe_in_flight_and_its_success_lets_all_of_them_in() -> None:
    mapping = market(breaker=Breaker(failures=2, pause="50ms"), concurrency=50)
    async with calling(mapping) as asked:
        upstream, breaker = asked.upstream, asked.calls._lines[SOURCE].operations[CASES].breaker
        upstream.behave = lambda _number: always(DOWN)
        await outcomes(asked, 3)
        assert breaker.state != "closed"
        await until_at_last(lambda: breaker.state == "half-open")
        probed = asyncio.Event()

        async def held_back(_number: int) -> None:
            await probed.wait()

        upstream.behave, before = held_back, len(upstream.asked)
        upstream.most_in_flight = 0
        everybody = asyncio.create_task(outcomes(asked, 50))
        await until_at_last(lambda: upstream.in_flight == 1)
        assert await outcomes(asked, 50, "others") == ["SOURCE_UNAVAILABLE"] * 50
        probed.set()
        assert sorted(await everybody) == ["OK"] + ["SOURCE_UNAVAILABLE"] * 49
        assert (len(upstream.asked) - before, upstream.most_in_flight, breaker.state) == (1, 1, "closed")
        upstream.behave = None
        assert await outcomes(asked, 50) == ["OK"] * 50
        assert asked.counted("gateway_source_refused_total", reason="breaker") >= 99


async def test_total_failure_opens_it_and_the_source_is_left_alone() -> None:
    async with calling(market(breaker=Breaker(failures=5, pause="60s"))) as asked:
        asked.upstream.behave = lambda _number: always(DOWN)
        loop = asyncio.get_running_loop()
        began = loop.time()
        while asked.calls.health()[SOURCE].state != "down":
            assert await outcomes(asked, 1) == ["SOURCE_UNAVAILABLE"]
        assert (len(asked.upstream.asked), loop.time() - began < 1.0) == (5, True)
        with pytest.raises(SourceUnavailable) as refused:
            await asked.ask("C-1")
        assert refused.value.retry_after == pytest.approx(60, abs=5)
        assert len(asked.upstream.asked) == 5
        assert asked.calls.health()[SOURCE].open_breakers == [CASES]


async def test_a_silent_source_is_cut_off_by_its_silence_and_not_by_the_timeout() -> None:
    mapping = market(timeout=60.0, concurrency=2, breaker=Breaker(failures=5, pause="60s", slow="100ms"))
    async with calling(mapping) as asked:
        asked.upstream.behave = lambda _number: asyncio.sleep(60)
        waiting = [asyncio.create_task(asked.ask(key, seconds=1)) for key in ("a", "b")]
        await until_at_last(lambda: asked.upstream.in_flight == 2)
        await asyncio.sleep(0.15)
        with pytest.raises(SourceUnavailable):
            await asked.ask("c")
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in ended] == [SourceTimeout, SourceTimeout]
        assert len(asked.upstream.asked) == 2


@pytest.mark.parametrize("keys", ["abc", "aaa"])
async def test_a_silent_source_is_cut_off_within_a_second_whatever_the_mapping_says(keys: str) -> None:
    async with calling(market(timeout=60.0, breaker=Breaker(failures=5, pause="60s"))) as asked:

        def state() -> str:
            return asked.calls.health()[SOURCE].breakers[CASES]

        asked.upstream.behave = lambda _number: asyncio.sleep(60)
        loop = asyncio.get_running_loop()
        silent_since = loop.time()
        waiting = [asyncio.create_task(asked.ask(key, seconds=3)) for key in keys]
        if keys == "abc":
            await until_at_last(lambda: state() == "open")
        else:  # one call for all of them; whoever asks for the same is the second to tell
            await until_at_last(lambda: state() == "half-open")
            with pytest.raises(SourceUnavailable):
                await asked.ask("a", seconds=3)
        took = loop.time() - silent_since
        with pytest.raises(SourceUnavailable):
            await asked.ask("d", seconds=3)
        assert (state(), asked.calls.health()[SOURCE].state, took < 1.0) == ("open", "down", True)
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(error) for error in ended} == {SourceTimeout}
        assert len(asked.upstream.asked) == len(set(keys))


async def test_a_slow_answer_shuts_it_again_and_goes_to_whoever_waited() -> None:
    async with calling(market(timeout=60.0, breaker=Breaker(failures=5, pause="60s"))) as asked:
        go = asyncio.Event()

        async def late(_number: int) -> None:
            await go.wait()

        asked.upstream.behave = late
        waiting = [asyncio.create_task(asked.ask(key)) for key in ("a", "b")]
        await until_at_last(lambda: asked.calls.health()[SOURCE].breakers[CASES] == "open")
        go.set()
        assert [page.records for page in await asyncio.gather(*waiting)] == [[], []]
        assert asked.calls.health()[SOURCE].breakers[CASES] == "closed"


async def test_refusals_are_answers_and_never_open_it() -> None:
    async with calling(market(breaker=Breaker(failures=2))) as asked:
        asked.upstream.behave = lambda _number: always((400, "", {}))
        for _ in range(4):
            with pytest.raises(SourceRejected):
                await asked.ask("C-1")
        assert asked.calls.health()[SOURCE].breakers[CASES] == "closed"


async def test_a_client_in_a_hurry_cannot_open_it_for_everybody() -> None:
    async with calling(market(breaker=Breaker(failures=2))) as asked:
        asked.upstream.behave = lambda _number: asyncio.sleep(0.2)
        for number in range(5):
            with pytest.raises(SourceTimeout):
                await asked.ask(f"C-{number}", seconds=0.02)
        asked.upstream.behave = None
        assert (await asked.ask("C-1")).records == []


async def test_one_operation_that_fails_leaves_the_others_alone() -> None:
    async with calling(market(breaker=Breaker(failures=1, pause="60s"))) as asked:
        asked.upstream.behave = lambda _number: always(DOWN)
        assert await outcomes(asked, 1) == ["SOURCE_UNAVAILABLE"]
        asked.upstream.behave = lambda _number: always(OK)
        assert (await asked.ask("91350100M000100Y43", operation="cases_of_party")).records == []
        health = asked.calls.health()[SOURCE]
        assert (health.state, health.open_breakers) == ("degraded", [CASES])
