"""What the news task is: articles, labels, predictions, metrics, comparison, settings, errors."""
