"""Training and predicting: buy again, try for the first time, add to the cart next."""

SEED = 20_170_501  # of all that is drawn, unless another one is given
