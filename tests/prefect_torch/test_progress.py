"""Whoever listens hears what is told inside, and nothing else."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from prefect_torch.progress import Event, Finished, Progress, listening, report_progress, tell


def test_without_a_listener_nothing_happens() -> None:
    report_progress("train", 1, 2, "epochs")


def test_every_listener_hears_each_event_in_order_while_it_listens() -> None:
    outer: list[Event] = []
    inner: list[Event] = []
    last = Finished("train", "ran", 1.0, ())
    with listening(outer.append):
        with listening(inner.append):
            report_progress("train", 1, 2, "epochs", {"loss": 0.5})
        tell(last)
    report_progress("train", 2, 2, "epochs")
    first = Progress("train", 1, 2, "epochs", {"loss": 0.5})
    assert inner == [first]
    assert outer == [first, last]


def test_a_listener_is_gone_after_an_error() -> None:
    heard: list[Event] = []
    with pytest.raises(ZeroDivisionError), listening(heard.append):
        raise ZeroDivisionError
    report_progress("train", 1, None, "rows")
    assert heard == []


def test_another_thread_does_not_hear_it() -> None:
    heard: list[Event] = []
    with ThreadPoolExecutor() as pool, listening(heard.append):
        pool.submit(report_progress, "train", 1, 2, "epochs").result()
    assert heard == []
