"""Fine-tunes a base model as a news classifier, and predicts with the result."""
