"""The heads, one file each. Opening one imports only what that head needs (torch takes seconds)."""

from newstrain.contract import Head
from newstrain.settings import HeadName

__all__ = ["open_head"]


def open_head(name: HeadName) -> Head:
    """The head of that name, with the libraries it needs."""
    match name:
        case "tfidf-svm":
            from newstrain.heads.tfidf_svm import TfidfSvmHead

            return TfidfSvmHead()
        case "probe":
            from newstrain.heads.probe import ProbeHead

            return ProbeHead()
        case "seqcls":
            from newstrain.heads.seqcls import SeqClsHead

            return SeqClsHead()
        case "causal":
            from newstrain.heads.causal import CausalHead

            return CausalHead()
