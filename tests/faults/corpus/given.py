"""Subsets of evidence that cases share."""

MODEL = ("model",)
MODEL_REQUESTS = ("model", "requests")
MODEL_REQUESTS_TRAINING = ("model", "requests", "training_data")
MODEL_REQUESTS_GOLDEN = ("model", "requests", "golden")
MODEL_GOLDEN = ("model", "golden")
TARGET_REQUESTS = ("target", "requests")
TARGET_REQUESTS_TRAINING = ("target", "requests", "training_data")
TARGET_REQUESTS_GOLDEN = ("target", "requests", "golden")
TARGET_MODEL_REQUESTS = ("target", "model", "requests")
TARGET_MODEL_REQUESTS_TRAINING = ("target", "model", "requests", "training_data")
ALL = ("target", "model", "requests", "training_data", "golden")
