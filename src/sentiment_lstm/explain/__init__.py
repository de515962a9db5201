"""Which words a prediction rests on.

::

    occlusion.py    take each word out and watch the prediction; works with any classifier
"""

from sentiment_lstm.explain.occlusion import TokenScore, occlusion

__all__ = ["TokenScore", "occlusion"]
