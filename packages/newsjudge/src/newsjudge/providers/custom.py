"""A user's Python class as a judge: `package.module:Class` or `path/to/file.py:Class`.

The class is made without arguments and has one of two methods: `score(actual, expected)`, a number
in [0, 1] or None; or `generate(prompt)`, text as a language model writes it (every
`deepeval.models.DeepEvalBaseLLM` has it). Must not know HTTP or torch.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from newscore.errors import NewsError

from newsjudge.judge import Answer, Case, JudgeIdentity, Question, Verdict

_FORM = "give it as package.module:Class or path/to/file.py:Class"


class ClassJudge:
    """A class with `score(actual, expected)`."""

    def __init__(self, reference: str, instance: Any) -> None:
        """`reference` as the user gave it, `instance` made of it by `load_class`."""
        self._instance = instance
        self._identity = _identity(reference, instance, is_llm=False)

    @property
    def identity(self) -> JudgeIdentity:
        """The class and the sha256 of its source file; not taken for an LLM."""
        return self._identity

    def prompt(self, case: Case) -> str:
        """The two names."""
        return f"{case.actual.name}\n{case.expected.name}"

    def judge(self, questions: Sequence[Question]) -> Iterator[tuple[int, Verdict]]:
        """Call `score` for each; None, or a number outside 0 to 1, is unscored."""
        for position, question in enumerate(questions):
            if question.case.article:
                raise NewsError(
                    f"class {self._identity.model} has score(actual, expected), which sees no article; "
                    "give it generate(prompt), or judge label pairs with: newsjudge table",
                    code="invalid",
                )
            given = self._instance.score(question.case.actual.name, question.case.expected.name)
            yield position, _class_verdict(given)

    def close(self) -> None:
        """Call the class's own `close`, if any."""
        _close(self._instance)


class ClassModel:
    """A class with `generate(prompt)`, as a language model."""

    def __init__(self, reference: str, instance: Any) -> None:
        """`reference` as the user gave it, `instance` made of it by `load_class`."""
        self._instance = instance
        self._identity = _identity(reference, instance, is_llm=True)

    @property
    def identity(self) -> JudgeIdentity:
        """The class and the sha256 of its source file."""
        return self._identity

    def answer(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Call `generate` for each; a (text, cost) pair, as deepeval's own models give, is taken too."""
        for position, question in enumerate(questions):
            given = self._instance.generate(question.prompt)
            text = given[0] if isinstance(given, tuple) else given
            yield position, Answer(str(text))

    def close(self) -> None:
        """Call the class's own `close`, if any."""
        _close(self._instance)


def load_class(reference: str) -> Any:
    """An instance of the class. Raises NewsError when it cannot be found or has neither method."""
    place, _, name = reference.rpartition(":")
    if not place or not name.isidentifier():
        raise NewsError(f"{reference!r} names no Python class; {_FORM}", code="invalid")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place, reference)
    found = getattr(module, name, None)
    if not inspect.isclass(found):
        raise NewsError(f"{place} has no class {name}; {_FORM}", code="missing")
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise NewsError(
            f"the class {reference} cannot be made without arguments ({error}); give each a default",
            code="invalid",
        ) from error
    instance = found()
    if not any(callable(getattr(instance, method, None)) for method in ("score", "generate")):
        raise NewsError(
            f"the class {reference} has neither score(actual, expected) nor generate(prompt); "
            "add one of them",
            code="invalid",
        )
    return instance


def _load_module(place: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ImportError as error:
        raise NewsError(
            f"the module of {reference!r} cannot be imported ({error}); {_FORM}", code="missing"
        ) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise NewsError(f"there is no file {path}; {_FORM}", code="missing")
    name = f"newsjudge_class_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NewsError(f"{path} cannot be loaded as Python; {_FORM}", code="invalid")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise NewsError(f"{path} cannot be loaded as Python ({error})", code="invalid") from error
    return module


def _identity(reference: str, instance: Any, *, is_llm: bool) -> JudgeIdentity:
    source = Path(inspect.getfile(type(instance))).read_bytes()
    name = type(instance).__name__
    digest = hashlib.sha256(source + b"\0" + name.encode()).hexdigest()
    return JudgeIdentity("class", Path(reference).name, digest, is_llm=is_llm)


def _class_verdict(given: Any) -> Verdict:
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= 1:
        return Verdict(float(given), "class", answer=repr(given))
    return Verdict(None, "class", answer=repr(given), error=f"score() gave {given!r}, no number in 0 to 1")


def _close(instance: Any) -> None:
    close = getattr(instance, "close", None)
    if callable(close):
        close()
