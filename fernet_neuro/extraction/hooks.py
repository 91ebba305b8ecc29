"""Reading layers while a network runs: copies of their outputs, and the state a network must be in.

What belongs here: context managers that change a module and put it back; what to do with the outputs is in
`extract`.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.validation import check_option
from fernet_neuro.activations.reduce import build_reducer
from fernet_neuro.exceptions import FernetError


def _average_all_but(axis: int) -> Callable[[Tensor], Tensor]:
    def average(output: Tensor) -> Tensor:
        # One axis alone is the channels wherever it stands, as in Swin's pooled (n, n_channels, 1, 1).
        if sum(side > 1 for side in output.shape[1:]) <= 1:
            return output.flatten(1)
        return output.movedim(axis, 1).flatten(2).mean(dim=2)

    return average


#: What becomes of one layer's output (n, ...) before it is stored: all of it, or one mean per channel.
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda output: output,
    "mean": _average_all_but(1),
    "mean-last": _average_all_but(-1),
}


class Projection:
    """A fixed sparse random projection of each layer to `n_components` numbers; narrower layers stay whole.

    The matrix depends on the number of units and of components alone, so every process, shard and network
    has the same. Squared distances between stimuli keep their mean and spread around it by about
    ``sqrt(2 / n_components)`` of their size: 3 % for 2,048 (Li, Hastie & Church 2006, very sparse random
    projections, density ``1 / sqrt(n_units)``).
    """

    def __init__(self, n_components: int) -> None:
        self._n_components = n_components

    def __call__(self, output: Tensor) -> Tensor:
        """Return (n, n_components) of an output (n, ...)."""
        flat = output.flatten(1)
        if flat.shape[1] <= self._n_components:
            return flat
        # On the CPU wherever the network runs: what is stored passes through its memory anyway.
        matrix = _draw_projection(flat.shape[1], self._n_components)
        return torch.from_numpy((matrix @ flat.float().cpu().numpy().T).T)


@cache
def _draw_projection(n_units: int, n_components: int) -> Any:
    """Return the sparse matrix (n_components, n_units), which takes seconds for a wide layer, and is kept."""
    reducer = build_reducer("srp", n_components, seed=0)
    return reducer.fit(np.zeros((1, n_units), dtype=np.float32)).components_.astype(np.float32).tocsc()


def find_pooling(pool: str) -> Callable[[Tensor], Tensor]:
    """Return what becomes of outputs by its name: one of `POOLINGS`, or ``srp:K``.

    Raises ValueError if there is none of that name, or K is not a whole number from 1.
    """
    kind, _, n_components = pool.partition(":")
    if kind != "srp":
        return POOLINGS[check_option("pool", pool, (*POOLINGS, "srp:K"))]
    if not n_components.isascii() or not n_components.isdigit() or int(n_components) < 1:
        raise ValueError(
            f"pool must be srp:K with a whole number of components, such as srp:2048; got {pool!r}."
        )
    return Projection(int(n_components))


class LayerRecorder:
    """While open, keep a copy of what each of some layers gives in a forward pass.

    Copies are taken at once, because an in-place ReLU after a layer overwrites its output.

    `module`: the network. `layers`: paths as in ``named_modules()``. `pool`: one of "none", "mean",
    "mean-last"; keep all units, or the mean over every axis but the channels: the second axis, or the last;
    or "srp:K", a random projection to K numbers. `dtype`: type of the copies.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        *,
        pool: str = "none",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._modules = {layer: module.get_submodule(layer) for layer in layers}
        self._pool = find_pooling(pool)
        self._dtype = dtype
        self._outputs: dict[str, Tensor] = {}
        self._counts = dict.fromkeys(layers, 0)
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        """Attach one hook per layer."""
        for layer, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._make_hook(layer)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove all hooks, whatever happened."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def take(self) -> dict[str, Tensor]:
        """Return the outputs of the last forward pass in the order in which they came, and forget them.

        Raises ValueError if a layer did not run, or ran more than once.
        """
        counts, outputs = self._counts, self._outputs
        self._counts, self._outputs = dict.fromkeys(counts, 0), {}
        for layer, count in counts.items():
            if count == 0:
                raise ValueError(
                    f"layer {layer!r} does not run in this network's forward pass; leave it out."
                )
            if count > 1:
                raise ValueError(
                    f"layer {layer!r} runs {count} times in one forward pass, so its activations are "
                    f"ambiguous; choose a layer around or after it."
                )
        return outputs

    def _make_hook(self, layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self._counts[layer] += 1
            if not isinstance(output, Tensor) or output.ndim < 2:
                got = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
                raise ValueError(
                    f"layer {layer!r} gives {got}, not one tensor (n_stimuli, ...); choose a layer inside it."
                )
            if self._counts[layer] == 1:
                self._outputs[layer] = self._copy(output.detach())

        return keep

    def _copy(self, output: Tensor) -> Tensor:
        pooled = self._pool(output).to(self._dtype).contiguous()
        is_view = pooled.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
        return pooled.clone() if is_view else pooled


@contextmanager
def evaluating(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Hold `module` on `device` in evaluation mode without gradients; afterwards all is as it was.

    On CUDA, TF32 and the choice of algorithms by trial are off, so that numbers repeat and agree with the
    CPU's to float32 rounding.
    """
    training = {part: part.training for part in module.modules()}
    home = next((item.device for item in (*module.parameters(), *module.buffers())), device)
    try:
        module.to(device).eval()
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        module.to(home)
        for part, was in training.items():
            part.training = was


#: Precisions of the forward pass: as the network is; TF32 products (CUDA alone); bfloat16 where torch can.
PRECISIONS = ("float32", "tf32", "bf16")


@contextmanager
def reducing(precision: str, device: torch.device) -> Iterator[None]:
    """Run forward passes at one of `PRECISIONS`; within `evaluating`."""
    if precision == "bf16":
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield
        return
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = precision == "tf32"
        yield
    finally:
        for backend, was in zip(backends, before, strict=True):
            backend.allow_tf32 = was


@contextmanager
def explaining(name: str, n_pictures: int) -> Iterator[None]:
    """Turn whatever a network raises in a forward pass into one line that names it.

    Raises
    ------
    ValueError
        If the block raises something else than a ValueError or an error of this package.
    """
    try:
        yield
    except (FernetError, ValueError):
        raise
    except torch.OutOfMemoryError:
        raise ValueError(
            f"{n_pictures} pictures do not fit into memory; take a smaller batch_size."
        ) from None
    except Exception as error:
        told = " ".join(str(error).split()) or "no message"
        hint = "" if n_pictures == 1 else "; if it takes one picture at a time, give batch_size=1"
        what = f"{type(error).__name__}: {told}{hint}"
        raise ValueError(f"network {name!r} fails on {n_pictures} picture(s): {what}.") from error


def network_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a network's structure and its own classes' methods; weights do not count.

    The same weights in changed code are another network. Classes of torch and torchvision count by name; a
    method whose source is not to be had, such as one typed into a console, by its name.
    """
    structure = re.sub(r" at 0x[0-9a-f]+", "", repr(module))
    kinds = {base for part in module.modules() for base in type(part).__mro__}
    code = {kind.__qualname__: _method_sources(kind) for kind in kinds if _is_own(kind)}
    return hash_json({"structure": structure, "code": code})


def _is_own(kind: type) -> bool:
    return kind.__module__.partition(".")[0] not in ("torch", "torchvision", "builtins", "typing", "abc")


def _method_sources(kind: type) -> dict[str, str]:
    # By method, since Python finds no source for a class from a file that was loaded without being imported.
    sources = {}
    for name, method in vars(kind).items():
        if inspect.isfunction(method):
            try:
                sources[name] = inspect.getsource(method)
            except OSError:
                sources[name] = ""
    return sources
