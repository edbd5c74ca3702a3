"""Training and predicting: buy again, try for the first time, add to the cart next."""

import os

SEED = 20_170_501  # of all that is drawn, unless another one is given

# Read when LightGBM's OpenMP library is loaded: threads that wait sleep, and leave the cores to others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
