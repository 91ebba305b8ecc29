import threading
import time

import pytest

from fernet_neuro.extraction.pipeline import WriteBehind, map_ahead


@pytest.mark.parametrize("n_threads", [1, 3])
def test_map_ahead_keeps_the_order(n_threads):
    def square(number):
        time.sleep(0.004 * (number % 3))
        return number**2

    assert list(map_ahead(square, range(11), n_threads=n_threads, n_ahead=4)) == [n**2 for n in range(11)]


def test_map_ahead_never_holds_more_than_asked():
    begun = []
    results = map_ahead(lambda number: begun.append(number) or number, range(50), n_threads=1, n_ahead=2)
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 3
    results.close()
    assert len(begun) <= 3


def test_map_ahead_passes_an_error_on():
    with pytest.raises(ZeroDivisionError):
        list(map_ahead(lambda number: 1 / number, [2, 1, 0, 1], n_threads=2, n_ahead=2))


def test_write_behind_writes_in_order_beside_the_caller():
    written, threads = [], set()

    def write(item):
        threads.add(threading.get_ident())
        written.append(item)

    with WriteBehind(write) as behind:
        for item in range(20):
            behind.put(item)
    assert written == list(range(20))
    assert threads != {threading.get_ident()}
    assert len(threads) == 1


def test_write_behind_waits_when_too_much_is_queued():
    gate, done = threading.Event(), []
    with WriteBehind(lambda item: gate.wait(5) and done.append(item), n_behind=2) as behind:
        behind.put(0)
        behind.put(1)
        third = threading.Thread(target=behind.put, args=(2,))
        third.start()
        time.sleep(0.05)
        assert third.is_alive()
        gate.set()
        third.join(5)
    assert done == [0, 1, 2]


@pytest.mark.parametrize("n_items", [1, 9])
def test_write_behind_passes_an_error_on(n_items):
    with pytest.raises(ZeroDivisionError), WriteBehind(lambda item: 1 / item) as behind:
        for item in range(n_items):
            behind.put(item)
