"""Fine-tunes a base model as a news classifier, and predicts with the result.

`import newstrain` loads no torch; a head loads what it needs when it is opened. It does switch the model hub
off for this process: the libraries read these variables when they are imported, so it has to come first.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TQDM_DISABLE"] = "1"  # the libraries' bars; ours is not tqdm's
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from newstrain.modelfolder import Manifest, Model, open_model, read_manifest
from newstrain.predict import run_predict
from newstrain.settings import PredictSettings, TrainSettings
from newstrain.train import run_train

__all__ = [
    "Manifest",
    "Model",
    "PredictSettings",
    "TrainSettings",
    "open_model",
    "read_manifest",
    "run_predict",
    "run_train",
]
