"""A plugin of dbt itself, which checks the warehouse file before dbt parses the project: that takes ten seconds where
``WAREHOUSE_PATH`` is another one than before.

dbt imports every module on the path whose name starts with ``dbt_``, and starts the classes in its ``plugins``
(``dbt.plugins.manager``). ``pip install --editable``, as the Makefile and ``uv`` do, puts this folder on the path.
Where it is not, :mod:`retail_warehouse.dbt_plugin` makes the same check when dbt opens the warehouse, and so for a
warehouse that another program has opened in the meantime.
"""

import click
from dbt.flags import get_flags
from dbt.plugins.manager import dbtPlugin

from retail_warehouse.warehouse_file import refuse_unusable

#: Commands that cannot do without the warehouse.
_OPENING = {"build", "clone", "freshness", "generate", "retry", "run", "run-operation"}
_OPENING |= {"seed", "show", "snapshot", "test"}


class WarehouseCheck(dbtPlugin):
    """Refuses a warehouse that cannot be used, once the profile is known."""

    def initialize(self) -> None:
        """Called by dbt between profile and parse.

        Raises:
            WarehouseProblem: The warehouse cannot be used; dbt shows the message, which says why, and what to do.
        """
        context = click.get_current_context(silent=True)
        if self.project_name != "retail_warehouse" or context is None:
            return
        flags = get_flags()
        profile = (context.obj or {}).get("profile")
        if profile is None or profile.credentials.type != "duckdb" or flags.WHICH not in _OPENING:
            return
        if getattr(flags, "EMPTY_CATALOG", False):
            return
        credentials = profile.credentials
        refuse_unusable(credentials.path, dict(credentials.config_options or {}))


plugins = [WarehouseCheck]
