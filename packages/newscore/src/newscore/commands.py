"""What each subcommand of `newscore` does, with its settings. Prints results; errors are NewsErrors."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from newscore.dataset import DataSet, read_dataset, take_subset, write_dataset
from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.jsonfile import dump_json, write_json
from newscore.labels import read_labels, write_labels
from newscore.measurement import rounded
from newscore.nearest import name_nearest
from newscore.settings import setting
from newscore.tables import summarise, summarise_shared, tell_comparisons


@dataclass(frozen=True)
class AllTerms:
    """newscore import all-terms"""

    source: Path = setting(help="folder with 20newsgroups-train.tab and 20newsgroups-test.tab")
    split: Literal["train", "test"] = setting(help="which split to read")
    save_to: Path = setting(help="data-set folder to write, absent or empty")


@dataclass(frozen=True)
class Sklearn:
    """newscore import sklearn"""

    split: Literal["train", "test"] = setting(help="which split to fetch")
    save_to: Path = setting(help="data-set folder to write, absent or empty")
    remove: tuple[str, ...] = setting((), help="parts to cut, of headers, footers, quotes")
    data_home: Path | None = setting(None, help="scikit-learn's cache folder")
    download: bool = setting(True, help="fetch what the cache lacks")

    def __post_init__(self) -> None:
        """Refuse parts that scikit-learn cannot cut."""
        parts = ("headers", "footers", "quotes")
        if wrong := [part for part in self.remove if part not in parts]:
            raise NewsError(f"--remove has the part {wrong[0]!r}{name_nearest(wrong[0], parts)}.")


@dataclass(frozen=True)
class Table:
    """newscore import csv, newscore import jsonl"""

    source: Path = setting(help="file to read")
    split: str = setting(help="name of the split, such as train")
    save_to: Path = setting(help="data-set folder to write, absent or empty")
    name: str = setting("", help="name of the data set; the file's name if not given")
    text_column: str = setting("text", help="column or key of the text")
    label_column: str = setting("label", help="column or key of the label")
    labels: Path | None = setting(None, help="label-set folder or file; the labels found if not given")

    def __post_init__(self) -> None:
        """Refuse a split without a name, for article ids begin with it."""
        if not self.split.strip():
            raise NewsError(f"--split = {self.split!r} is empty: give a name such as train.")


@dataclass(frozen=True)
class Labels:
    """newscore labels"""

    dataset: Path = setting(help="data-set folder to take the label set from")
    save_to: Path = setting(help="label-set folder to write, absent or empty")


@dataclass(frozen=True)
class Subset:
    """newscore subset"""

    dataset: Path = setting(help="data-set folder to choose from")
    count: int = setting(help="how many articles to keep", minimum=1)
    save_to: Path = setting(help="data-set folder to write, absent or empty")
    seed: int = setting(0, help="another seed chooses other articles", minimum=0)


@dataclass(frozen=True)
class Validate:
    """newscore validate"""

    dataset: Path = setting(help="data-set folder to check")
    against: Path | None = setting(None, help="data-set folder that must share no text with it")


@dataclass(frozen=True)
class Compare:
    """newscore compare"""

    baseline: Path = setting(help="predictions folder of the model to beat")
    candidate: tuple[str, ...] = setting(help="predictions folder of a model to judge; repeat for several")
    save_to: Path | None = setting(None, help="folder for comparison.json, absent or empty")
    seed: int = setting(0, help="seed of the bootstrap", minimum=0)
    json: bool = setting(False, help="print the comparison as JSON instead of a table")


@dataclass(frozen=True)
class Command:
    """One subcommand."""

    summary: str
    settings: type[Any]
    run: Callable[[Any], None]
    words: tuple[str, ...] = ()
    """Flags whose values may be given as plain words before all others."""
    repeats: bool = False
    """Whether the last of `words` takes all the words that remain."""


def import_all_terms(settings: AllTerms) -> None:
    """Write one split of the packaged 20 Newsgroups."""
    from newscore.importers.all_terms import import_all_terms as read

    save(read(settings.source, settings.split), settings.save_to)


def import_sklearn(settings: Sklearn) -> None:
    """Write one split of scikit-learn's 20 Newsgroups."""
    from newscore.importers.sklearn_newsgroups import import_sklearn as read

    dataset = read(
        settings.split, remove=settings.remove, data_home=settings.data_home, download=settings.download
    )
    save(dataset, settings.save_to)


def import_csv(settings: Table) -> None:
    """Write a CSV as a data set."""
    import_table(settings, "csv")


def import_jsonl(settings: Table) -> None:
    """Write a file with one JSON object a line as a data set."""
    import_table(settings, "jsonl")


def import_table(settings: Table, form: Literal["csv", "jsonl"]) -> None:
    """Write a table of either form as a data set."""
    from newscore.importers import tabular

    labels = None if settings.labels is None else read_labels(settings.labels)
    table = tabular.Table(settings.source, form, settings.text_column, settings.label_column)
    name = settings.name or settings.source.stem
    save(tabular.import_table(table, name, settings.split, labels), settings.save_to)


def take_labels(settings: Labels) -> None:
    """Write the label set of a data set."""
    labels = read_dataset(settings.dataset).labels
    write_labels(labels, settings.save_to)
    print(f"{settings.save_to}: {len(labels)} labels")


def choose_subset(settings: Subset) -> None:
    """Write a stratified part of a data set."""
    save(take_subset(read_dataset(settings.dataset), settings.count, settings.seed), settings.save_to)


def validate(settings: Validate) -> None:
    """Check a data-set folder; say what it holds, what it holds twice, and what it shares."""
    dataset = read_dataset(settings.dataset)
    other = None if settings.against is None else read_dataset(settings.against)
    describe(dataset, settings.dataset)
    print(*summarise(dataset), sep="\n")
    if other is not None:
        print(*summarise_shared(dataset, other, str(settings.against)), sep="\n")


def compare_models(settings: Compare) -> None:
    """Compare one or several models with a baseline, corrected for their number."""
    from newscore.comparison import compare, holm
    from newscore.predictions import read_predictions

    baseline = read_predictions(settings.baseline)
    candidates = [read_predictions(Path(path)) for path in settings.candidate]
    comparisons = [compare(baseline, candidate, seed=settings.seed) for candidate in candidates]
    corrected = holm([comparison.mcnemar_p for comparison in comparisons])
    rows = [
        {"model": dict(candidate.model), "holm_p": p_value, **asdict(comparison)}
        for candidate, comparison, p_value in zip(candidates, comparisons, corrected, strict=True)
    ]
    record = {"schema": 1, "baseline": dict(baseline.model), "comparisons": rounded(rows)}
    if settings.save_to is not None:
        with staged_folder(settings.save_to) as folder:
            write_json(folder / "comparison.json", record)
    print(dump_json(record) if settings.json else tell_comparisons(rows), end="")


def save(dataset: DataSet, path: Path) -> None:
    """Write a data set and say what was written."""
    write_dataset(dataset, path)
    describe(dataset, path)


def describe(dataset: DataSet, path: Path) -> None:
    """One line about a data set."""
    print(
        f"{path}: {dataset.name} {dataset.split}, {len(dataset)} articles, {len(dataset.labels)} labels, "
        f"fingerprint {dataset.fingerprint[:12]}"
    )


COMMANDS = {
    "import all-terms": Command("read the packaged 20 Newsgroups (.tab)", AllTerms, import_all_terms),
    "import sklearn": Command("fetch 20 Newsgroups by scikit-learn", Sklearn, import_sklearn),
    "import csv": Command("read any CSV with a header row", Table, import_csv),
    "import jsonl": Command("read any file with one JSON object a line", Table, import_jsonl),
    "labels": Command("write the label set of a data set", Labels, take_labels),
    "subset": Command("write a stratified part of a data set", Subset, choose_subset),
    "compare": Command(
        "compare models' predictions of the same articles",
        Compare,
        compare_models,
        ("baseline", "candidate"),
        True,
    ),
    "validate": Command("check a data-set folder", Validate, validate, ("dataset",)),
}


def find_command(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The subcommand that the first one or two words name, and the words after it."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    given = " ".join(word for word in words[:2] if not word.startswith("-"))
    raise NewsError(f"{given!r} is no command of newscore{name_nearest(given, list(COMMANDS))}.")


def name_words(command: Command, rest: Sequence[str]) -> list[str]:
    """The arguments with leading plain words turned into the flags that they stand for.

    Raises NewsError on a word too many.
    """
    if not command.words:
        return list(rest)
    plain = list(takewhile(lambda word: not word.startswith("-"), rest))
    names = [*command.words, *[command.words[-1]] * len(plain)] if command.repeats else [*command.words]
    if len(plain) > len(names):
        raise NewsError(f"{plain[len(names)]!r} is one word too many: give only {' and '.join(names)}.")
    flags = [part for name, word in zip(names, plain, strict=False) for part in (f"--{name}", word)]
    return [*flags, *rest[len(plain) :]]
