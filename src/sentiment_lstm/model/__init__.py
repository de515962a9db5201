"""The classifier as a model of `transformers`, known to its Auto classes once this is imported.

The two files are copied beside saved weights (`auto_map`), so a hub folder also loads with
`trust_remote_code=True` where this package is not installed.
"""

from transformers import AutoConfig, AutoModelForSequenceClassification

from sentiment_lstm.model.configuration_sentiment import SentimentConfig
from sentiment_lstm.model.modeling_sentiment import SentimentModel

__all__ = ["SentimentConfig", "SentimentModel"]

AutoConfig.register(SentimentConfig.model_type, SentimentConfig)
AutoModelForSequenceClassification.register(SentimentConfig, SentimentModel)
SentimentConfig.register_for_auto_class()
SentimentModel.register_for_auto_class("AutoModelForSequenceClassification")
