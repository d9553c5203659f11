"""The first signal asks, the second insists (PRO-08, PRO-09)."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pipelines.engines.signals import Interrupted, Stop, stopping

pytestmark = pytest.mark.main_thread


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_pro_08_the_first_signal_raises_a_flag_and_says_what_will_happen(
    number: int, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        with stopping() as stop:
            assert not stop()
            os.kill(os.getpid(), number)
            assert stop()
            raise KeyboardInterrupt("as asked")

    with pytest.raises(Interrupted, match="as asked") as caught:
        stopped()
    assert caught.value.exit_code == code
    assert capfd.readouterr().err == "\nembed: finishing the part in work; again to stop now\n"


def interrupted_by(*numbers: int) -> Interrupted:
    def kill() -> None:
        with stopping():
            for number in numbers:
                os.kill(os.getpid(), number)

    with pytest.raises(Interrupted) as caught:
        kill()
    return caught.value


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_pro_09_the_second_signal_stops_now(second: int, code: int) -> None:
    error = interrupted_by(signal.SIGINT, second)
    assert error.exit_code == code
    assert isinstance(error, KeyboardInterrupt)


def test_the_handlers_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    interrupted_by(signal.SIGTERM, signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_pro_18_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_the_flag_never_rises() -> None:
    seen: list[Stop] = []

    def run() -> None:
        with stopping() as stop:
            seen.append(stop)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not seen[0]()
