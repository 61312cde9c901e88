"""The model card: what the model is, how it was made, how well it does, how to use it. Text in, text out."""

import json
from collections.abc import Mapping

from newstrain.modelfolder import Manifest

_CARD = """\
# {name}

A news classifier with {count} labels, trained by newstrain {version}.

- **Head:** {head}
- **Base model:** {base}
- **Training data:** {articles:.0f} articles, {validation:.0f} more held out for validation
  (data set fingerprint `{fingerprint}`)
- **Probabilities:** a softmax of the logits divided by the temperature {temperature}, which was fitted on
  the validation articles
- **Validation:** accuracy {accuracy:.3f}, macro-F1 {macro_f1:.3f}. These articles also chose the
  temperature{chosen}; judge the model on a test set it has never met.

## Use

    newstrain predict --model <this folder> --dataset <data set folder> --save-to <new folder>

Every byte is checked against `SHA256SUMS`, and the texts in `selftest.json` must give their logits again.

## Labels

{labels}

## Settings

```json
{settings}
```
"""


def write_card(manifest: Manifest, numbers: Mapping[str, float]) -> str:
    """The card's Markdown; `numbers` is the summary of the training."""
    base = manifest.base
    return _CARD.format(
        name=manifest.name,
        count=len(manifest.labels),
        version=manifest.versions["newstrain"],
        head=manifest.head,
        base=f"{base['id']} (sha256 `{base['sha256']}`)" if base else "none",
        articles=numbers["train_articles"],
        validation=numbers["validation_articles"],
        fingerprint=manifest.train_fingerprint,
        temperature=manifest.temperature,
        accuracy=numbers["validation_accuracy"],
        macro_f1=numbers["validation_macro_f1"],
        chosen=" and the epoch" if manifest.settings.get("early_stopping") else "",
        labels="\n".join(_describe(label.name, label.description) for label in manifest.labels.labels),
        settings=json.dumps(manifest.settings, indent=2, sort_keys=True, ensure_ascii=False),
    )


def _describe(name: str, description: str) -> str:
    return f"- `{name}`: {description}" if description else f"- `{name}`"
