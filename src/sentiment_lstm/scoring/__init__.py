"""Files of any size in, the same rows out with label and confidence: what one command does.

The files stand in the order in which a row travels: `inputs` finds the files, `formats` reads them
in parts and writes parts, `scorer` scores a batch of texts, `part_scorer` is a worker's share,
`engine` has Ray Data share the parts out, `ledger` keeps what is done and `plan` compares it with
what is asked for, so that a killed run goes on; `manifest` sums up, `run` holds them together.
"""

from __future__ import annotations

from sentiment_lstm.scoring.manifest import Summary
from sentiment_lstm.scoring.run import Progress, score_files
from sentiment_lstm.scoring.scorer import BatchScorer

__all__ = ["BatchScorer", "Progress", "Summary", "score_files"]
