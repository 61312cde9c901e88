"""The 20 Newsgroups' labels with one line on each and their six topic groups."""

from pathlib import Path

from newscore.jsonfile import read_json
from newscore.labels import LabelSet, labels_from_json

FILE = Path(__file__).with_name("newsgroups.json")


def newsgroup_labels() -> LabelSet:
    """The twenty labels in alphabetical order, as scikit-learn numbers them."""
    return labels_from_json(read_json(FILE)["labels"], FILE)
