"""Training and predicting: buy again, try for the first time, add to the cart next."""

import os

SEED = 20_170_501  # default seed of every random choice

# OpenMP reads it when LightGBM is imported: waiting threads sleep, instead of keeping cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
