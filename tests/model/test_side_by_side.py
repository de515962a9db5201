from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from sentiment_lstm.model.segment_lstm import SegmentLSTM
from sentiment_lstm.model.side_by_side import side_by_side
from tests.contracts import POOLINGS, ragged_batch, small_model

Tasks = list[Callable[..., tuple[Tensor, ...]]]


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_gradients_are_those_of_tasks_that_run_one_after_the_other(threads: int):
    def gradients(run: Callable[..., list[tuple[Tensor, ...]]]) -> list[Tensor]:
        torch.manual_seed(0)
        layers = [nn.Linear(3, 4), nn.Linear(3, 4)]
        shared, frozen = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3)
        tasks: Tasks = [
            lambda x, y: ((layers[0](x) * layers[0](y)).sum(1), layers[0].weight.detach() @ x.T),
            lambda x, y: (layers[1](x + y).tanh(), x.square()),
        ]
        parameters = [value for layer in layers for value in layer.parameters()]
        results = run(tasks, [shared * 2, frozen], parameters)
        loss = sum((number + 1) * part.sum() for number, part in enumerate(sum(results, ())))
        loss.backward()
        assert frozen.grad is None
        return [shared.grad, *(value.grad for value in parameters), loss.detach()]

    def one_after_the_other(tasks: Tasks, inputs: list[Tensor], _: list[Tensor]) -> list:
        return [task(*inputs) for task in tasks]

    expected, found = gradients(one_after_the_other), gradients(side_by_side)
    torch.testing.assert_close(found, expected)
    assert torch.get_num_threads() == threads


def test_tasks_run_at_the_same_time(two_threads: None):
    meeting = threading.Barrier(2, timeout=30)  # a single thread would never come through

    def meet(_: Tensor) -> None:
        meeting.wait()

    def task(x: Tensor) -> tuple[Tensor]:
        meeting.wait()
        assert torch.get_num_threads() == 1
        x.register_hook(meet)
        return (x * 2,)

    x = torch.ones(3, requires_grad=True)
    (one,), (other,) = side_by_side([task, task], [x])
    (one.sum() + other.sum()).backward()
    assert x.grad.tolist() == [4.0, 4.0, 4.0]


def test_a_result_that_nothing_is_asked_of_needs_no_gradient(two_threads: None):
    x = torch.ones(2, requires_grad=True)
    used, unused = side_by_side([lambda x: (x * 3, x * 5), lambda x: (x * 7,)], [x])
    used[0].sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert unused[0].tolist() == [7.0, 7.0]


def test_without_gradients_no_graph_is_kept(two_threads: None):
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        results = side_by_side([lambda x: (x * 3,), lambda x: (x * 5,)], [x])
    assert [(part.tolist(), part.requires_grad) for (part,) in results] == [
        ([3.0, 3.0], False),
        ([5.0, 5.0], False),
    ]


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_what_a_task_raises_is_raised(where: str, two_threads: None):
    def fail(*_: object) -> None:
        raise ArithmeticError(where)

    def task(x: Tensor) -> tuple[Tensor]:
        if where == "forward":
            fail()
        result = x * 2
        result.register_hook(fail)
        return (result,)

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ArithmeticError, match=where):
        side_by_side([task, lambda x: (x,)], [x])[0][0].sum().backward()


@pytest.mark.parametrize("settings", POOLINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_a_model_learns_the_same_with_a_thread_a_direction(settings: dict, two_threads: None):
    model = small_model(**settings).train()
    input_ids, mask = ragged_batch(5, 9, 20, 3)
    labels = torch.tensor([0, 1, 1, 0])

    def gradients(threads: int) -> dict[str, Tensor]:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        learner = copy.deepcopy(model)
        learner(input_ids, mask, labels=labels).loss.backward()
        return {name: value.grad for name, value in learner.named_parameters()}

    one, two = gradients(1), gradients(2)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], msg=name)


def test_layers_on_layers_are_read_side_by_side(two_threads: None):
    lstm = SegmentLSTM(4, 3, num_layers=3, bidirectional=True, dropout=0.0)
    embedded = torch.randn(6, 7, 4, requires_grad=True)
    mask = torch.arange(7) < torch.tensor([7, 2, 5, 1, 3, 6])[:, None]

    def read(threads: int) -> tuple[Tensor, Tensor]:
        torch.set_num_threads(threads)
        states = lstm(embedded, mask)
        (gradient,) = torch.autograd.grad(states[mask].square().sum(), embedded)
        return states[mask], gradient

    for one, two in zip(read(1), read(2), strict=True):
        torch.testing.assert_close(one, two)


# A process of its own: what threads the others' tests have started would count.
_COUNT_THREADS = """
import os
import torch
from sentiment_lstm.model.side_by_side import side_by_side

torch.set_num_threads(2)
counts = []

def count(values):
    counts.append(len(os.listdir("/proc/self/task")))
    return (values * 2,)

values = torch.ones(2**20, requires_grad=True)
values.detach().sum()  # both of PyTorch's threads have something to do
count(values)
((first,), (second,)) = side_by_side([count, count], [values])
(first + second).sum().backward()
assert values.grad.eq(4).all()
print(*counts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has another OpenMP elsewhere")
def test_no_idle_thread_of_openmp_is_left_beside_the_tasks():
    ran = subprocess.run(
        [sys.executable, "-c", _COUNT_THREADS], capture_output=True, text=True, check=True
    )
    before, *inside = map(int, ran.stdout.split())
    assert inside == [before + 1, before + 1]  # two for the tasks more, and one of OpenMP's less


_FORK = """
import os, signal
import torch
from sentiment_lstm.model.side_by_side import side_by_side

torch.set_num_threads(2)
torch.ones(2**20).sum()  # both of PyTorch's threads have something to do
child = os.fork()
if child == 0:
    signal.alarm(60)
    values = torch.ones(4, requires_grad=True)
    ((first,), (second,)) = side_by_side([lambda x: (x * 2,)] * 2, [values])
    (first + second).sum().backward()
    os._exit(0 if values.grad.eq(4).all() else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_tasks_run_in_a_fork_of_a_process_whose_threads_it_has_not():
    ran = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == 0
