import sys

from tests.conftest import ROOT

# Scripts, not a package: each finds its neighbours because it is run from their folder.
sys.path.insert(0, str(ROOT / "benchmarks"))
