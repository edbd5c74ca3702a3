"""A process that holds dbt and parsed projects in memory and forks for every command.

Importing dbt costs seconds, and so does parsing the project: a command in a fork of this process does neither. What is
kept of a project is what `dbt parse` returns, by all that it depends on (https://docs.getdbt.com/reference/programmatic-invocations).

It reads a request per line from its standard input, and answers with the process number of the fork, and with its exit
status when it has ended.
"""

import fcntl
import functools
import gc
import hashlib
import importlib
import io
import json
import os
import shutil
import sys
import time
import types
from pathlib import Path

# Commands that parse by themselves, since that is what their test is about.
_PARSING = {"parse", "debug", "clean", "deps", "init"}
_OPTIONS_OF_PARSING = ("--target", "-t", "--vars", "--profile", "--profiles-dir")
# What only running models look at; everything else may change what is parsed.
_AT_RUN_TIME = (
    *(
        "INSTACART_",
        "ONLINE_RETAIL_",
        "DUCKDB_",
        "PARQUET_EXPORT",
        "PREDICTIONS_",
        "DBT_TARGET_PATH",
        "DBT_LOG_",
        "DBT_WRITE_JSON",
    ),
    *("REDSHIFT_HOST", "REDSHIFT_PORT", "REDSHIFT_USER", "REDSHIFT_PASSWORD"),
    *("AWS_", "RETAIL_WAREHOUSE_", "RUN_", "SERVING_STORE"),
)

# What most commands import; dbt does so when it needs them, and so in each fork.
_IMPORTED_LATE = (
    "agate",
    "dbt.adapters.duckdb.environments.local",
    "dbt.cli.main",
    "dbt.task.build",
    "dbt_common.clients.agate_helper",
    "numpy",
)


def _options_of_parsing(arguments: list[str]) -> list[str]:
    """Sorted, since their order means nothing."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return [text for pair in sorted(pairs) if pair[0] in _OPTIONS_OF_PARSING for text in pair]


def _write_to(descriptor: int) -> None:
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)


class _Projects:
    """Parsed projects, by what they depend on. What dbt keeps of a parse for the next one lies in a folder that all
    servers share, so that only the first server after a change parses what has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifests: dict[str, object] = {}

    def get(self, request: dict):
        """The parsed project of a request; none where the command has to parse, or where parsing fails, which the
        command then tells."""
        arguments = request["arguments"]
        parses = _PARSING & set(arguments) and not request["is_parsed_for_others"]
        if not request["is_parsed_once"] or parses or "--no-partial-parse" in arguments:
            return None
        options = _options_of_parsing(arguments)
        lasting = {name: text for name, text in request["environment"].items() if not name.startswith(_AT_RUN_TIME)}
        # The database is named after the file, wherever it lies.
        warehouse = lasting["WAREHOUSE_PATH"] = Path(lasting["WAREHOUSE_PATH"]).name
        try:
            profiles = (Path(lasting.pop("DBT_PROFILES_DIR")) / "profiles.yml").read_text()
        except OSError:
            return None
        key = hashlib.sha256(json.dumps([options, lasting, profiles], sort_keys=True).encode()).hexdigest()[:16]
        if key not in self._manifests:
            self._manifests[key] = self._parse(self._folder / key, options, warehouse)
        return self._manifests[key]

    def _parse(self, folder: Path, options: list[str], warehouse: str):
        from dbt.cli.main import dbtRunner

        folder.mkdir(parents=True, exist_ok=True)
        before, os.environ["WAREHOUSE_PATH"] = os.environ["WAREHOUSE_PATH"], warehouse
        try:
            with (folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # The static parser is native code with threads of its own, which a fork would wait for in vain.
                arguments = ["--quiet", "--no-static-parser", "parse", "--target-path", str(folder), *options]
                manifest = dbtRunner().invoke(arguments).result
                if manifest:
                    _compile_once(manifest)
                return manifest
        finally:
            os.environ["WAREHOUSE_PATH"] = before


def _compile_once(manifest) -> None:
    """What dbt compiles at the first use, and keeps while its process lives: macros, and the arguments of data tests
    that are plain text; and what it would compile anew: models and hooks."""
    from dbt.artifacts.resources import Hook
    from dbt.clients.jinja import MacroGenerator, get_rendered
    from dbt_common.clients.jinja import get_template

    # Its schema, by which all hooks are judged.
    Hook.validate(Hook("").to_dict())

    for macro in manifest.macros.values():
        MacroGenerator(macro).get_template()

    def render(value: object) -> None:
        if isinstance(value, str) and "{" not in value and "(" not in value:
            get_rendered(value, {}, native=True)
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            render(part)

    for node in manifest.nodes.values():
        if test := getattr(node, "test_metadata", None):
            render(test.kwargs)
        if node.language == "sql":
            get_template(node.raw_code, {}, node)
        if node.resource_type == "model":
            node.to_dict(omit_none=True)
            for hook in (*node.config.pre_hook, *node.config.post_hook):
                get_template(hook.sql, {}, node)


def _take_shortcuts() -> None:
    """Leave out what takes a third of dbt's time and changes no result."""
    import parsedatetime
    import redshift_connector
    from dbt.compilation import Linker
    from dbt.events.logging import track_behavior_change_warn
    from dbt_common.clients.jinja import MacroFuzzTemplate, NativeSandboxTemplate
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager

    # Left without a name, it reads the source text of all its callers to find one, at every connection.
    redshift_connector.connect = functools.partial(redshift_connector.connect, application_name="dbt")
    # As it renders all else; this one copies some thousand names for every argument of a data test.
    NativeSandboxTemplate.new_context = MacroFuzzTemplate.new_context
    # One for every table that a macro reads, though all are equal.
    parsedatetime.Constants = functools.cache(parsedatetime.Constants)
    fire = EventManager.fire_event

    def fire_what_is_heard(self, event, level=None, node=None, force_warn_or_error_handling=False):
        is_heard = (level or event.level_tag()) != EventLevel.DEBUG or any(
            logger.level == EventLevel.DEBUG for logger in self.loggers
        )
        # dbt itself listens to warnings.
        if is_heard or any(callback is not track_behavior_change_warn for callback in self.callbacks):
            fire(self, event, level, node, force_warn_or_error_handling)

    EventManager.fire_event = fire_what_is_heard
    _build_events_when_read()
    # A file for those who look for what makes dbt slow.
    Linker.get_graph_summary = lambda self, manifest: {}
    _compile_templates_once()


def _build_events_when_read() -> None:
    """Most events are for debugging: nobody hears them."""
    from dbt_common.events.base_types import BaseEvent

    build = BaseEvent.__init__

    def remember(self, *arguments, **given):
        self.__dict__["_given"] = arguments, given

    def message(self):
        if "_message" not in self.__dict__:
            arguments, given = self.__dict__.pop("_given")
            build(self, *arguments, **given)
        return self.__dict__["_message"]

    def keep(self, message):
        self.__dict__["_message"] = message

    BaseEvent.__init__ = remember
    BaseEvent.pb_msg = property(message, keep)


def _compile_templates_once() -> None:
    """A template that was compiled before the fork is not compiled anew after it."""
    from jinja2 import Environment

    compile_anew = Environment.compile
    compiled: dict[tuple, types.CodeType] = {}

    def compile_once(self, source, name=None, filename=None, raw=False, defer_init=False):
        if not isinstance(source, str) or raw:
            return compile_anew(self, source, name, filename, raw, defer_init)
        key = type(self), tuple(self.extensions), source, name, filename
        if key not in compiled:
            compiled[key] = compile_anew(self, source, name, filename, raw, defer_init)
        return compiled[key]

    Environment.compile = compile_once


def _run_command(arguments: list[str], manifests: dict[str, object], has_small_trees: bool) -> int:
    """`retail-warehouse`, with the projects that were parsed, by target."""
    from dbt.adapters.factory import get_adapter
    from dbt.parser.manifest import ManifestLoader

    from retail_warehouse.cli import main

    def parsed(_, config, **__):
        get_adapter(config).set_macro_resolver(manifests[config.target_name])
        return manifests[config.target_name]

    ManifestLoader.get_full_manifest = classmethod(parsed)
    if has_small_trees:
        sys.path.append(str(Path(__file__).parents[1]))
        from shared.predicted_shop import make_trees_small

        make_trees_small(types.SimpleNamespace(setattr=setattr))
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdout.flush()
    return 0


def _run(arguments: list[str], manifest, is_for_people: bool) -> int:
    import dbt.cli.main
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if manifest is not None:
        from dbt.adapters.factory import get_adapter
        from dbt.parser.manifest import ManifestLoader

        def parsed(loader, config, **__):
            adapter = get_adapter(config)
            adapter.set_macro_resolver(manifest)
            if arguments[0] == "parse":
                # Kept as dbt keeps it, for commands in processes of their own.
                kept = loader(config, config.load_dependencies(), adapter.connections.set_query_header)
                manifest.state_check = kept.manifest.state_check
                kept.manifest = manifest
                kept.write_manifest_for_partial_parse()
            return manifest

        # `dbt retry` would parse once more.
        ManifestLoader.get_full_manifest = classmethod(parsed)
    if is_for_people:
        from retail_warehouse import building

        dbt.cli.main.dbtRunner = functools.partial(dbt.cli.main.dbtRunner, manifest)
        status = building.build(arguments)
        sys.stdout.flush()
        return status
    is_parsed_for_others = manifest is not None and arguments[0] == "parse"
    result = dbt.cli.main.dbtRunner(manifest=None if is_parsed_for_others else manifest).invoke(arguments)
    # A process of this kind ends without clean-up; the dbt command would close the warehouse file.
    DuckDBConnectionManager.close_all_connections()
    sys.stdout.flush()
    return 0 if result.success else 1


def _forget_old(folder: Path) -> None:
    """Remove what no session of the last day has looked at."""
    for parsed in folder.glob("*/partial_parse.msgpack"):
        if parsed.stat().st_mtime < time.time() - 86_400:
            shutil.rmtree(parsed.parent, ignore_errors=True)


def main() -> None:
    """Serve until standard input ends."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    # What dbt says while it parses is said once more by the command, if it fails.
    os.dup2(nowhere, 1)
    for module in _IMPORTED_LATE:
        importlib.import_module(module)
    _take_shortcuts()
    folder = Path(sys.argv[1])
    _forget_old(folder)
    projects = _Projects(folder)
    inherited = dict(os.environ)
    for line in requests:
        request = json.loads(line)
        os.environ.clear()
        os.environ.update(inherited | request["environment"])
        os.chdir(request["project"])
        manifests = {target: projects.get(one) for target, one in request["parsed"].items()}
        manifest = None if manifests else projects.get(request)
        # What all forks share is not to be searched for garbage by any; a command is over before there is much.
        gc.freeze()
        gc.disable()
        # Before anybody is told of the command, lest they read what the last one wrote.
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        process = os.fork()
        if process == 0:
            _write_to(output)
            os.chdir(request["working_folder"])
            if manifests:
                os._exit(_run_command(request["arguments"], manifests, request["has_small_trees"]))
            os._exit(_run(request["arguments"], manifest, request["is_for_people"]))
        os.close(output)
        print(process, file=answers)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), file=answers)


if __name__ == "__main__":
    main()
