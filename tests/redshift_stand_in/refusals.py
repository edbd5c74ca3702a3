"""What Redshift refuses, each rule with the page of the AWS guide that it comes from, and how a refusal is raised."""

from dataclasses import dataclass
from typing import NoReturn

_GUIDE = "https://docs.aws.amazon.com/redshift/latest/dg/"


@dataclass(frozen=True)
class Rule:
    """Something that Redshift refuses.

    Attributes:
        name: How the cases and the messages call it.
        page: The page of the Amazon Redshift Database Developer Guide.
        message: What the user reads, before the detail.
    """

    name: str
    page: str
    message: str

    @property
    def url(self) -> str:
        """The page's address."""
        return f"{_GUIDE}{self.page}.html"


_FEATURES = "c_unsupported-postgresql-features"
_TYPES = "c_unsupported-postgresql-datatypes"
_FUNCTIONS = "c_unsupported-postgresql-functions"
_CREATE_TABLE = "r_CREATE_TABLE_NEW"
_COPY_COLUMNAR = "copy-usage_notes-copy-from-columnar"

RULES = {
    rule.name: rule
    for rule in (
        # Queries
        Rule("distinct_on", "r_SELECT_list", "SELECT DISTINCT ON is not in the syntax"),
        Rule("qualify_alias", "r_QUALIFY_clause", "QUALIFY directly after FROM needs an alias on the relation"),
        Rule("lateral", "r_FROM_clause30", "LATERAL is not in the syntax of FROM"),
        Rule("join_kind", "r_FROM_clause30", "this kind of join is not in the syntax of FROM"),
        Rule("values_table", _FEATURES, "a VALUES list cannot be used as a table"),
        Rule("fetch_first", "r_ORDER_BY_clause", "rows are limited by LIMIT, not by FETCH"),
        Rule("set_operator_all", "r_UNION", "INTERSECT ALL and EXCEPT ALL are not supported"),
        Rule("union_distinct", "r_UNION", "UNION DISTINCT is not in the syntax: write UNION"),
        Rule("set_operator_limit", "r_UNION", "LIMIT may not be used within input to set operations"),
        Rule("recursive_columns", "r_WITH_clause", "a recursive common table expression needs a column list"),
        Rule("recursive_union_all", "r_WITH_clause", "a recursive common table expression needs UNION ALL"),
        Rule("from_item", "r_FROM_clause30", "this is not in the syntax of FROM"),
        Rule("select_clause", "r_SELECT_synopsis", "this is not in the syntax of SELECT"),
        Rule("with_clause", "r_WITH_clause", "this is not in the syntax of WITH"),
        Rule("group_by_distinct", "r_GROUP_BY_clause", "GROUP BY DISTINCT is not in the syntax"),
        Rule("insert_clause", "r_INSERT_30", "this is not in the syntax of INSERT"),
        Rule("update_row", "r_UPDATE", "UPDATE sets one column at a time"),
        Rule("returning", "r_INSERT_30", "RETURNING is not in the syntax"),
        # Expressions
        Rule("is_distinct_from", _FUNCTIONS, "IS DISTINCT FROM is not supported"),
        Rule("row_comparison", _FEATURES, "row constructors cannot be compared"),
        Rule("row_constructor", _FEATURES, "row constructors are not supported"),
        Rule("array_constructor", _FEATURES, "arrays are not supported"),
        Rule("between_symmetric", "r_range_condition", "BETWEEN is neither SYMMETRIC nor ASYMMETRIC"),
        Rule("starts_with_operator", "pattern-matching-conditions", "the operator ^@ does not exist"),
        Rule("posix_without_case", "pattern-matching-conditions-posix", "the operators are ~ and !~ only"),
        Rule("unsupported_type", _TYPES, "the type is not supported"),
        Rule("decimal_precision", "r_Numeric_types201", "a decimal has at most 38 digits"),
        Rule("character_length", "r_Character_types", "the type does not have that many bytes"),
        Rule("datetime_precision", "r_Datetime_types", "the type has no precision"),
        Rule("boolean_to_text", "c_Supported_data_types", "a boolean cannot be cast to a character type"),
        Rule("reserved_word", "r_pg_keywords", "the word is reserved"),
        # Functions
        Rule("unknown_function", "c_SQL_functions", "the function does not exist"),
        Rule("leader_function", "c_SQL_functions_leader_node_only", "the function cannot be used on tables"),
        Rule("compute_function", "c_SQL_functions_compute_node_only", "the function needs a user table in the query"),
        Rule("concat_arguments", "r_CONCAT", "CONCAT takes two arguments"),
        Rule("lag_default", "r_WF_LAG", "LAG and LEAD have no default"),
        Rule("to_timestamp_format", "r_TO_TIMESTAMP", "TO_TIMESTAMP takes a text and a format"),
        Rule("date_trunc_zone", "r_DATE_TRUNC", "DATE_TRUNC takes no time zone"),
        Rule("substring_pattern", "r_SUBSTRING", "SUBSTRING takes positions, no pattern"),
        Rule("date_part", "r_Dateparts_for_datetime_functions", "the date part does not exist"),
        Rule("aggregate_filter", "c_Aggregate_Functions", "aggregates have no FILTER clause"),
        Rule("aggregate_order", "c_Aggregate_Functions", "aggregates have no ORDER BY among their arguments"),
        Rule("one_within_group_order", "r_LISTAGG", "all WITHIN GROUP orders of a query must be the same"),
        Rule("no_distinct_beside", "r_MEDIAN", "the function cannot be used beside a DISTINCT aggregate"),
        # Windows
        Rule("window_clause", "r_Window_function_synopsis", "there is no WINDOW clause"),
        Rule("window_frame", "c_Window_functions", "with an ORDER BY, this window function needs a ROWS frame"),
        Rule("frame_unit", "r_Window_function_synopsis", "frames are counted in ROWS only"),
        Rule("frame_exclude", "r_Window_function_synopsis", "frames have no EXCLUDE"),
        Rule("frame_not_allowed", "r_Window_function_synopsis", "this window function takes no frame"),
        # Tables and views
        Rule("unsupported_command", _FEATURES, "the command does not exist"),
        Rule("table_attribute", _CREATE_TABLE, "this does not belong into a table definition"),
        Rule("dist_key", _CREATE_TABLE, "DISTKEY and DISTSTYLE contradict each other"),
        Rule("sort_keys", _CREATE_TABLE, "too many sort key columns"),
        Rule("key_column", _CREATE_TABLE, "a key names a column that is not in the table"),
        Rule("foreign_key_target", "t_Defining_constraints", "the referenced table has no primary or unique key"),
        Rule("check_constraint", _FEATURES, "CHECK constraints are not supported"),
        Rule("serial_type", _TYPES, "serial types are not supported: write IDENTITY"),
        Rule("create_table_as", "r_CREATE_TABLE_AS", "this is not in the syntax of CREATE TABLE AS"),
        Rule("view_clause", "r_CREATE_VIEW", "this is not in the syntax of CREATE VIEW"),
        Rule("late_binding_names", "r_CREATE_VIEW", "a view WITH NO SCHEMA BINDING needs names with their schema"),
        # Other commands
        Rule("alter_table", "r_ALTER_TABLE", "this is not in the syntax of ALTER TABLE"),
        Rule("alter_one_action", "r_ALTER_TABLE", "ALTER TABLE takes one action"),
        Rule("alter_type", "r_ALTER_TABLE", "only the length of a VARCHAR can be altered"),
        Rule("truncate", "r_TRUNCATE", "TRUNCATE takes one table and nothing else"),
        Rule("grant_privilege", "r_GRANT", "the privilege does not exist"),
        Rule("transaction_chain", "r_COMMIT", "AND CHAIN is not in the syntax"),
        # MERGE
        Rule("merge_source", "r_MERGE", "the source must be a table"),
        Rule("merge_clauses", "r_MERGE", "both WHEN MATCHED and WHEN NOT MATCHED are needed"),
        Rule("merge_condition", "r_MERGE", "a WHEN clause has no further condition"),
        Rule("merge_match", "r_MERGE", "the match condition consists of equalities between columns"),
        # COPY and UNLOAD
        Rule("copy_prefix", "copy-parameters-data-source-s3", "the specified S3 prefix does not exist"),
        Rule("copy_not_parquet", _COPY_COLUMNAR, "an object with the prefix is no Parquet file"),
        Rule("copy_columns", _COPY_COLUMNAR, "the file must have as many columns as the table"),
        Rule("copy_type", _COPY_COLUMNAR, "incompatible Parquet schema"),
        Rule("copy_too_long", "r_Character_types", "a value has more bytes than the column may hold"),
        Rule("unload_not_empty", "r_UNLOAD", "the destination is not empty"),
        Rule("unload_overwrite", "r_UNLOAD", "CLEANPATH and ALLOWOVERWRITE exclude each other"),
        Rule("unload_limit", "r_UNLOAD", "the query of UNLOAD cannot have a LIMIT"),
        Rule("unload_partition", "r_UNLOAD", "the partition columns must be some, but not all, of the query's columns"),
    )
}


class Refused(Exception):
    """Redshift would not run this."""

    def __init__(self, rule: Rule, detail: str) -> None:
        """What the user reads: rule, message, detail and page."""
        self.rule = rule
        self.detail = detail
        told = f"{rule.message}: {detail}" if detail else rule.message
        super().__init__(f"[redshift: {rule.name}] {told} ({rule.url})")


class NotEmulated(Exception):
    """Redshift may run this; the stand-in cannot."""

    def __init__(self, what: str) -> None:
        """Says what it cannot."""
        super().__init__(f"[stand-in: not emulated] {what}")


def refuse(rule: str, detail: str = "") -> NoReturn:
    """Refuses a statement for the named rule.

    Raises:
        Refused: always.
    """
    raise Refused(RULES[rule], detail)
