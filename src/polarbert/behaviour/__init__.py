"""The behaviour suite: what any model of sentiment should get right, as capabilities with cases of our own.

It knows nothing of models: it gives texts and judges answers. `polarbert.inference.behaviour_evaluation` runs a model.
"""

from polarbert.behaviour.capability import TOLERANCE, Capability, Case, Kind
from polarbert.behaviour.judgement import Answer, Failure, Result, fails, judge
from polarbert.behaviour.lexicon import Lexicon, vocabulary
from polarbert.behaviour.suite import capabilities, digest, families, skeletons

__all__ = [
    "TOLERANCE",
    "Answer",
    "Capability",
    "Case",
    "Failure",
    "Kind",
    "Lexicon",
    "Result",
    "capabilities",
    "digest",
    "fails",
    "families",
    "judge",
    "skeletons",
    "vocabulary",
]
