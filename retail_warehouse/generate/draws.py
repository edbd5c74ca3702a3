"""Random numbers for generators written in SQL.

Every draw is a hash of the seed and of what it is drawn for (user, order, place in the cart), so that the result
depends neither on the number of threads nor on the size of a batch, and any row can be computed without the others.
"""

import duckdb

_MACROS = """
-- A number in [0, 1) that depends on nothing but the seed and its arguments; `what` keeps draws apart. Hashed twice,
-- since the hash of several values alone leaves draws that differ in the last one correlated.
create macro draw(what, a, b, c) as (hash(hash({seed}, what, a, b, c)) >> 11)::double / 9007199254740992;
-- About normal: the sum of three uniform draws, mean 0, standard deviation 1.
create macro bell(what, a, b) as 2 * (draw(what, a, b, 1) + draw(what, a, b, 2) + draw(what, a, b, 3) - 1.5);
"""


def create(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Create the SQL macros ``draw(what, a, b, c)`` and ``bell(what, a, b)`` for a seed, an integer from 0."""
    connection.execute(_MACROS.format(seed=seed))
