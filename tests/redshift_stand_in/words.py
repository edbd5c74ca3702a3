"""Words of Redshift's SQL, from the lists of the Amazon Redshift Database Developer Guide."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html those that PostgreSQL does not reserve, but for
# those with a meaning of their own where they may stand: sysdate, partition, ignore, respect, minus, identity.
RESERVED = _words("""
    aes128 aes256 allowoverwrite az64 backup blanksasnull bytedict bzip2 credentials current_user_id deflate defrag
    delta delta32k disable emptyasnull enable encode encrypt encryption explicit globaldict256 globaldict64k gzip
    identity lun luns lzo lzop mostly16 mostly32 mostly8 new off offline oid old open parallel percent permissions
    pivot raw readratio recover rejectlog resort restore snapshot system tag tdes text255 text32k top truncatecolumns
    unpivot wallet without
""")

# https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html; any other function is refused.
FUNCTIONS = _words("""
    abs acos add_months any_value approximate array array_concat array_flatten ascii asin atan atan2 avg
    bit_and bit_or bool_and bool_or bpcharcmp btrim bttext_pattern_cmp
    can_json_parse cast cbrt ceil ceiling char_length character_length charindex checksum chr coalesce collate concat
    convert convert_timezone cos cot count crc32 cume_dist current_database current_date current_schema current_setting
    current_user
    date date_cmp date_cmp_timestamp date_cmp_timestamptz date_part date_part_year date_trunc dateadd datediff datepart
    decimal_precision decimal_scale decode degrees dense_rank dexp difference dlog1 dlog10
    exp extract farmfingerprint64 first_value floor fnv_hash from_hex from_varbyte func_sha1
    get_array_length getdate greatest grouping grouping_id
    has_database_privilege has_schema_privilege has_table_privilege hll hll_cardinality hll_combine
    hll_combine_sketches hll_create_sketch
    initcap interval_cmp is_array is_bigint is_boolean is_char is_decimal is_float is_integer is_object is_scalar
    is_smallint is_valid_json is_valid_json_array is_varchar
    json_array_length json_extract_array_element_text json_extract_path_text json_parse json_serialize
    json_serialize_to_varbyte json_size json_typeof
    lag last_day last_value lead least left len length listagg ln log lower lpad ltrim
    max md5 median min mod months_between next_day nth_value ntile nullif nvl nvl2
    object octet_length octetindex
    percent_rank percentile_cont percentile_disc pg_backend_pid pg_last_unload_count pg_terminate_backend pi position
    pow power quote_ident quote_literal
    radians random rank ratio_to_report regexp_count regexp_instr regexp_replace regexp_substr repeat replace replicate
    reverse right round row_number rpad rtrim
    sha sha1 sha2 sign sin soundex split_part split_to_array sqrt stddev stddev_pop stddev_samp strpos strtol subarray
    substr substring sum sysdate
    tan textlen timeofday timestamp_cmp timestamp_cmp_date timestamp_cmp_timestamptz timestamptz_cmp
    timestamptz_cmp_date timestamptz_cmp_timestamp timezone to_char to_date to_hex to_number to_timestamp to_varbyte
    translate trim trunc try_cast
    upper var_pop var_samp variance version
""")

# Of these, those that PostgreSQL has not or computes otherwise, and that are not built here.
NOT_EMULATED_FUNCTIONS = _words("""
    array array_concat array_flatten can_json_parse checksum collate convert crc32 date_part_year decimal_precision
    decimal_scale decode difference farmfingerprint64 fnv_hash from_hex from_varbyte func_sha1 get_array_length
    grouping_id hll hll_cardinality hll_combine hll_combine_sketches hll_create_sketch is_array is_bigint is_boolean
    is_char is_decimal is_float is_integer is_object is_scalar is_smallint is_valid_json_array is_varchar
    json_array_length json_extract_array_element_text json_parse json_serialize json_serialize_to_varbyte json_size
    json_typeof months_between next_day object octetindex ratio_to_report sha sha1 soundex split_to_array subarray
    to_varbyte
""")

# Words before a parenthesis that open no call.
NOT_CALLS = _words("""
    add all and any as between bpchar by case char character check cross cube decimal distinct distkey else end except
    exclude exists float foreign from group having in index insert intersect interval into is join key like ilike limit
    minus nchar not numeric nvarchar offset on or over over partition primary qualify recursive references returning
    rollup select set sets some sortkey table then time timestamp timestamptz timetz to union unique update using
    values varbyte varchar when where with within
""")

# https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions_leader_node_only.html
LEADER_FUNCTIONS = _words("""
    age current_schema current_schemas getbit has_database_privilege has_schema_privilege has_table_privilege now
""")
# https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions_compute_node_only.html
COMPUTE_FUNCTIONS = _words("listagg median percentile_cont percentile_disc")

# https://docs.aws.amazon.com/redshift/latest/dg/c_Window_functions.html
FRAMED_FUNCTIONS = _words("""
    avg bool_and bool_or count first_value last_value max min nth_value stddev stddev_pop stddev_samp sum var_pop
    var_samp variance
""")
UNFRAMED_FUNCTIONS = _words("cume_dist dense_rank lag lead ntile percent_rank rank row_number")

# https://docs.aws.amazon.com/redshift/latest/dg/r_Dateparts_for_datetime_functions.html
DATE_PARTS = _words("""
    c cent century centuries cents d day dayofweek dayofyear days dec decade decades decs dow doy dw dy epoch h hour
    hours hr hrs m microsec microsecond microseconds microsecs mil millennia millennium millisec millisecon millisecond
    milliseconds millisecs mils min mins minute minutes mon mons month months ms msec msecond mseconds msecs qtr qtrs
    quarter quarters s sec second seconds secs timezone timezone_hour timezone_minute us usec usecond useconds usecs w
    week weekday weeks y year yearday years yr yrs
""")
POSTGRES_DATE_PARTS = {
    "dayofweek": "dow",
    "dw": "dow",
    "weekday": "dow",
    "dayofyear": "doy",
    "dy": "doy",
    "yearday": "doy",
}
SUBSECONDS = _words("""
    microsec microsecond microseconds microsecs millisec millisecon millisecond milliseconds millisecs ms msec msecond
    mseconds msecs us usec usecond useconds usecs
""")
WEEKS = _words("week weeks w")

# https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-datatypes.html, and types of DuckDB.
UNSUPPORTED_TYPES = _words("""
    bit box bytea cidr circle daterange hstore hugeint inet int4multirange int4range int8multirange int8range json jsonb
    jsonpath line lseg macaddr macaddr8 money numrange path pg_lsn point polygon regclass regnamespace regproc
    regprocedure regrole regtype tsquery tsrange tstzrange tsvector txid_snapshot uuid varbit xml
""")
NOT_EMULATED_TYPES = _words("geography geometry hllsketch super varbinary varbyte")

# Relations of the catalog that are here and on Redshift, and may be named without their schema.
CATALOG_RELATIONS = _words("""
    pg_attribute pg_class pg_database pg_depend pg_description pg_get_late_binding_view_cols pg_group pg_namespace
    pg_proc pg_rewrite pg_table_def pg_tables pg_type pg_user pg_views svv_mv_info svv_redshift_columns
    svv_relation_privileges svv_table_info sys_query_detail
""")
